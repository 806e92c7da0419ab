"""Sound files read block by block: as much memory as there is sound, whatever length the header promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16  # frames
_RATES = range(1000, 768_001)  # Hz; a damaged header says others, and resampling would make hours of a second


def read_sound_file(path: str | Path, seconds: float | None = None) -> tuple[NDArray[np.float32], int]:
    """A sound file, or its first `seconds`.

    Returns:
        (N, C) float32 in [-1, 1], and its sample rate (Hz).

    Raises:
        soundfile.LibsndfileError, OSError: it cannot be opened or read as sound, or has an impossible sample rate.
    """
    import soundfile

    blocks = []
    with soundfile.SoundFile(path) as file:
        if file.samplerate not in _RATES:
            raise OSError(f"its sample rate is {file.samplerate} Hz")
        left = None if seconds is None else round(seconds * file.samplerate)
        while left is None or left > 0:
            block = file.read(_BLOCK if left is None else min(_BLOCK, left), dtype="float32", always_2d=True)
            if not len(block):
                break
            blocks.append(block)
            left = None if left is None else left - len(block)
        return np.concatenate([np.zeros((0, file.channels), np.float32), *blocks]), int(file.samplerate)
