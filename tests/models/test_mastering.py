"""Mastering: loudness, true peak and ending of signals with known properties."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.models.mastering import CEILING, LOUDNESS, RATE, master, master_gain, prepare
from pn_diffusion_plugin.utils.loudness import loudness, true_peaks


def decibels(value: float) -> float:
    return 20 * float(np.log10(value))


@pytest.mark.parametrize("level", [0.003, 0.1, 3.0])
@pytest.mark.parametrize("kind", ["noise", "beats"])
def test_every_sound_gets_the_same_loudness_and_no_peak_above_the_ceiling(kind: str, level: float) -> None:
    rng = np.random.default_rng(0)
    wave = rng.standard_normal(6 * RATE).astype(np.float32)
    if kind == "beats":  # a hit every half second, with a crest factor of 18 dB
        wave *= np.exp(-(np.arange(len(wave)) % (RATE // 2)) / (0.12 * RATE)).astype(np.float32)
    sound = master(level * wave)
    assert sound.shape == (2, len(wave)) and sound.dtype == np.float32
    assert np.array_equal(sound[0], sound[1])
    assert loudness(sound, RATE) == pytest.approx(LOUDNESS, abs=0.1)
    assert decibels(true_peaks(sound[0], RATE).max()) <= CEILING


def test_a_sound_that_is_right_already_is_scaled_only() -> None:
    wave = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    wave *= np.float32(0.1)
    sound = master(wave)[0]
    np.testing.assert_allclose(sound / sound[0], wave / wave[0], rtol=1e-4)


def test_a_lonely_click_is_not_turned_into_a_plateau() -> None:
    """It stays quieter than the rest would be: limiting ends at 12 dB."""
    wave = np.zeros(2 * RATE, np.float32)
    wave[RATE] = 1.0
    wave[: RATE // 2] = 1e-3 * np.sin(np.arange(RATE // 2))
    sound = master(wave)[0]
    assert (
        decibels(np.abs(sound).max()) <= CEILING and loudness(np.stack([sound, sound]), RATE) < LOUDNESS - 3
    )
    assert sound[1000] / sound[RATE] == pytest.approx(10 ** (12 / 20) * wave[1000], rel=0.05)


def test_silence_stays_silence_and_short_sounds_work() -> None:
    assert not master(np.zeros(RATE, np.float32)).any()
    assert master(np.ones(3, np.float32)).shape == (2, 3) and prepare(
        np.ones(3, np.float32), 22050
    ).shape == (6,)


def test_the_end_fades_and_the_rest_is_the_model_s() -> None:
    rate = 22050
    wave = np.sin(2 * np.pi * 440 * np.arange(6 * rate) / rate).astype(np.float32)
    sound = prepare(wave, rate)
    assert len(sound) == 6 * RATE
    np.testing.assert_allclose(sound[2000 : 4 * RATE : 2], wave[1000 : 2 * RATE], atol=1e-3)
    tail = np.abs(sound[-round(1.2 * RATE) :]).reshape(-1, 441).max(axis=1)
    assert tail[0] > 0.95 and tail[-1] < 0.01 and (np.diff(tail) < 0.02).all()


def test_stereo_gets_one_gain_with_which_stems_sum_to_the_master() -> None:
    rng = np.random.default_rng(0)
    hits = np.exp(-(np.arange(4 * RATE) % (RATE // 2)) / (0.12 * RATE))
    stems = (rng.standard_normal((2, 2, 4 * RATE)) * hits * [[[0.5], [0.1]], [[0.1], [0.4]]]).astype(
        np.float32
    )
    mix = stems.sum(axis=0)
    sound, gain = master(mix), master_gain(mix)
    assert gain.shape == (4 * RATE,) and sound.shape == mix.shape
    np.testing.assert_allclose(sum(stem * gain for stem in stems), sound, atol=1e-5)
    assert loudness(sound, RATE) == pytest.approx(LOUDNESS, abs=0.1)
    assert max(decibels(true_peaks(channel, RATE).max()) for channel in sound) <= CEILING


def test_mono_is_stereo_with_equal_channels() -> None:
    wave = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    np.testing.assert_allclose(master(wave), master(np.stack([wave, wave])), atol=1e-5)
