"""Sound files come back whole or in part, in as much memory as there is sound."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.utils.sound import read_sound_file, to_mono, to_stereo, write_sound_file

RATE = 8000


@pytest.mark.parametrize("seconds", [0.0, 0.1, 20.0])
def test_a_sound_is_read_as_in_one_piece(tmp_path: Path, seconds: float) -> None:
    wav = np.random.default_rng(0).uniform(-0.9, 0.9, (round(seconds * RATE), 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav, RATE, subtype="FLOAT")
    found, rate = read_sound_file(tmp_path / "a.wav")
    assert rate == RATE and found.dtype == np.float32 and np.array_equal(found, wav)
    part, _ = read_sound_file(tmp_path / "a.wav", 9.5)
    assert np.array_equal(part, wav[: round(9.5 * RATE)])


def test_a_length_that_lies_asks_for_no_memory(tmp_path: Path) -> None:
    """A FLAC header that promises 2^36 - 1 samples; soundfile.read would want 256 GB for them."""
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(RATE), RATE)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the upper 4 of 36 bits of the number of samples, then the lower 32
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    assert soundfile.info(path).frames == 2**36 - 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_sound_file(path)
    except soundfile.LibsndfileError:
        pass  # it may say that the file is cut off
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


@pytest.mark.parametrize("rate", [3, 2_000_000])
def test_an_impossible_sample_rate_is_refused(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), rate)
    with pytest.raises(OSError, match=f"its sample rate is {rate} Hz"):
        read_sound_file(tmp_path / "a.wav")


def tones(*frequencies: float, seconds: float = 1.0) -> np.ndarray:
    """(C, N): a sine of amplitude .5 in each channel; 0: silence."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.5 * np.sin(2 * np.pi * f * time) for f in frequencies]).astype(np.float32)


def rms(wav: np.ndarray) -> float:
    return float(np.sqrt(np.mean(wav**2)))


def test_surround_is_mixed_with_the_coefficients_of_bs_775() -> None:
    """Each channel has a frequency of its own, whose amplitude in the mix is its coefficient."""
    layout = {"FL": 1.0, "FR": 1.0, "FC": 2 * 0.5**0.5, "LFE": 0.0, "BL": 0.5**0.5, "BR": 0.5**0.5}
    frequencies = (200, 400, 600, 800, 1000, 1200)
    for names in (None, list(layout)):
        spectrum = np.abs(np.fft.rfft(to_mono(0.4 * tones(*frequencies), names))) * 2 / RATE
        expected = [0.4 * 0.5 * gain / 2 for gain in layout.values()]
        np.testing.assert_allclose(spectrum[list(frequencies)], expected, atol=1e-4)
    swapped = ["FC", "FL", "FR", "LFE", "BL", "BR"]  # some files have the centre first
    spectrum = np.abs(np.fft.rfft(to_mono(0.4 * tones(*frequencies), swapped))) * 2 / RATE
    assert spectrum[200] == pytest.approx(0.4 * 0.5 * 0.5**0.5, abs=1e-4)


def test_a_mix_of_loud_channels_does_not_clip() -> None:
    loud = np.repeat(2 * tones(300), 6, axis=0)
    assert np.abs(to_mono(loud)).max() == pytest.approx(1.0)


def test_antiphase_channels_do_not_cancel() -> None:
    (tone,) = tones(300)
    quiet = 0.15 * tones(500)[0]
    mixed = to_mono(np.stack([tone + quiet, quiet - tone]))
    assert rms(mixed) == pytest.approx(rms(tone), rel=0.05)
    surround = np.stack([tone, -tone, 0 * tone, 0 * tone, 0 * tone, 0 * tone])
    assert rms(to_mono(surround)) == pytest.approx(rms(tone), rel=1e-3)


def test_other_channels_are_as_before() -> None:
    left, right = tones(300, 500)
    np.testing.assert_array_equal(to_mono(left[None]), left)
    np.testing.assert_allclose(to_mono(np.stack([left, right])), (left + right) / 2, atol=1e-7)
    np.testing.assert_allclose(to_mono(np.stack([left, 0 * left])), left / 2, atol=1e-7)
    eleven = np.repeat(left[None], 11, axis=0)  # no layout that is known
    np.testing.assert_allclose(to_mono(eleven), left, atol=1e-6)
    np.testing.assert_allclose(to_stereo(eleven), left[None], atol=1e-6)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", os.fsdecode(b"caf\xe9.wav")])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    wav = tones(300)[0]
    write_sound_file(tmp_path / name, wav, RATE)
    found, rate = read_sound_file(tmp_path / name)
    assert rate == RATE and os.listdir(tmp_path) == [name]
    np.testing.assert_allclose(found[:, 0], wav, atol=1e-4)
