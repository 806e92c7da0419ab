"""Loudness and true peak of signals with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.utils import loudness as module
from pn_diffusion_plugin.utils.loudness import loudness, true_peaks


def sine(frequency: float, rate: int, seconds: float = 1.0, phase: float = 0.0) -> np.ndarray:
    """At full scale."""
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate + phase).astype(np.float32)


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_loudness_of_a_known_sine(rate: int) -> None:
    """A full-scale sine of 997 Hz is at -3.01 LUFS (ITU-R BS.1770-4, section 2.1), on both channels at 0 LUFS."""
    wav = sine(997, rate)
    assert loudness(wav, rate) == pytest.approx(-3.01, abs=0.02)
    assert loudness(0.1 * wav, rate) == pytest.approx(-23.01, abs=0.02)
    assert loudness(np.stack([wav, wav]), rate) == pytest.approx(0.0, abs=0.02)
    pause = np.concatenate([wav, np.zeros(2 * rate, np.float32)])
    assert loudness(pause, rate) == pytest.approx(-3.01, abs=1.1)  # gated away, but for blocks with an edge
    assert loudness(np.zeros(1000, np.float32), rate) == -np.inf


def test_a_short_sound_is_a_block_with_silence_behind_it() -> None:
    assert loudness(sine(997, 48000, 0.1), 48000) == pytest.approx(-3.01 - 10 * np.log10(4), abs=0.1)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wav = np.random.default_rng(0).standard_normal(50000).astype(np.float32) * 0.1
    whole = loudness(wav, 22050), true_peaks(wav, 22050)
    monkeypatch.setattr(module, "_CHUNK", 1 << 13)
    assert loudness(wav, 22050) == pytest.approx(whole[0], abs=1e-6)
    np.testing.assert_allclose(true_peaks(wav, 22050), whole[1], atol=1e-3)


def test_a_peak_between_samples_is_found() -> None:
    """A sine at a quarter of the rate, sampled at 45 degrees, is 3 dB higher between its samples."""
    wav = sine(11025, 44100, phase=np.pi / 4)
    peaks = true_peaks(wav, 44100)
    assert np.abs(wav).max() == pytest.approx(0.5**0.5, abs=1e-4)
    between = np.maximum(peaks[:-1], peaks[1:])[2000:-2000]  # in every second gap
    assert np.abs(between - 1).max() < 0.01
