"""Sound files read block by block and written whole, and channels mixed to one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import atomic_path

SILENCE = 1e-3
"""A sound whose samples are all smaller is silent (-60 dBFS): nothing can be learnt from it or compared with it."""

_BLOCK = 1 << 16  # frames
_RATES = range(1000, 768_001)  # Hz; a damaged header says others, and resampling would make hours of a second

_HALF = 0.5**0.5  # -3 dB
#: Left and right of ITU-R BS.775's mix to stereo; the low-frequency channel is left out.
_STEREO = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_HALF, _HALF),
    "BC": (0.5, 0.5),
    "LFE": (0.0, 0.0),
    **dict.fromkeys(("SL", "BL", "FLC"), (_HALF, 0.0)),
    **dict.fromkeys(("SR", "BR", "FRC"), (0.0, _HALF)),
}
#: Channels of sound files, which store their number alone.
_LAYOUTS = {
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
_ANTIPHASE = 2.0  # more power in the difference than this multiple of that in the sum


def to_stereo(wav: NDArray[np.float32], names: Sequence[str] | None = None) -> NDArray[np.float32]:
    """Channels (C, N) to stereo (2, N); mono (1, N) stays.

    Args:
        wav: samples, float.
        names: of the channels (FL, FR, FC, LFE, SL, …); None: the usual order for their number.
    """
    if len(wav) <= 2:
        return wav
    names = names or _LAYOUTS.get(len(wav), ())
    if len(names) != len(wav) or not set(names) <= set(_STEREO):  # an unknown layout
        return wav.mean(axis=0, keepdims=True)
    return np.array([_STEREO[name] for name in names], dtype=np.float32).T @ wav


def to_mono(wav: NDArray[np.float32], names: Sequence[str] | None = None) -> NDArray[np.float32]:
    """Channels (C, N) to mono (N,): half the sum of left and right.

    Where it has far less power than half their difference (one channel is inverted), that difference is returned. More
    than two channels are first mixed to stereo (ITU-R BS.775), and scaled as a whole where the mix would clip.
    """
    stereo = to_stereo(wav, names)
    if len(stereo) == 1:
        return stereo[0]
    left, right = stereo
    mono, difference = (left + right) / 2, (left - right) / 2
    if np.vdot(difference, difference) > _ANTIPHASE * np.vdot(mono, mono):
        mono = difference
    peak = float(np.abs(mono).max(initial=0.0))
    return mono / np.float32(peak) if len(wav) > 2 and peak > 1 else mono


def read_sound_file(path: str | Path, seconds: float | None = None) -> tuple[NDArray[np.float32], int]:
    """A sound file, or its first `seconds`: as much memory as there is sound, whatever length the header promises.

    Returns:
        (N, C) float32 in [-1, 1], and its sample rate (Hz).

    Raises:
        soundfile.LibsndfileError, OSError: it cannot be opened or read as sound, or has an impossible sample rate.
    """
    import soundfile

    blocks = []
    with soundfile.SoundFile(os.fsencode(path)) as file:  # a str must be UTF-8
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


def write_sound_file(
    path: str | Path,
    wav: NDArray[np.generic],
    sample_rate: int,
    subtype: str | None = None,
    comment: str | None = None,
) -> None:
    """Write samples (N,) or (N, C) as the kind of file that the suffix of `path` names, atomically."""
    import soundfile

    channels = 1 if wav.ndim == 1 else wav.shape[1]
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(os.fsencode(temporary), "w", sample_rate, channels, subtype) as file,
    ):
        if comment is not None:
            file.comment = comment
        file.write(wav)
