"""Sound files come back whole or in part, in as much memory as there is sound."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.utils.sound import read_sound_file

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
