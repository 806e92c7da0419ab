"""Mastering: what is done to a model's waveform before it becomes a file that people post.

44.1 kHz, an ending instead of a cut, the loudness that streaming services play at, and peaks that survive encoding.
The scores of a model are those of its waveform before mastering.
"""

from __future__ import annotations

import numpy as np
import soxr
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from ..utils.loudness import Wave, loudness, true_peaks

RATE = 44100
"""Sample rate of mastered sound, Hz."""
LOUDNESS = -14.0
"""Integrated loudness, LUFS."""
CEILING = -1.0
"""Greatest true peak, dBTP."""

_FADE = 1.2  # seconds of the ending
_LIMITER = 0.015  # seconds that the limiter looks ahead, and takes to let go
_HEADROOM = 0.1  # dB below the ceiling: the limiter's gain changes the peaks between samples
_ROUNDS = 6  # of limiting and correcting the loudness
_GREATEST = 12.0  # dB that peaks are limited by at most; a sparse click stays quieter


def prepare(wave: Wave, sample_rate: int) -> Wave:
    """A model's waveform (N,) at `RATE`, ending in a fade: (round(N * RATE / sample_rate),)."""
    wave = soxr.resample(wave, sample_rate, RATE).astype(np.float32)
    count = min(round(_FADE * RATE), len(wave) // 4)
    wave[len(wave) - count :] *= np.cos(np.linspace(0, np.pi / 2, count, dtype=np.float32)) ** 2
    return wave


def master(wave: Wave) -> Wave:
    """Stereo (2, N) of a waveform (N,) at `RATE`: at `LOUDNESS`, no true peak above `CEILING`. Silence stays silence.

    A waveform that would need more than 12 dB of limiting stays quieter.
    """
    level = _played_twice(wave)
    if not np.isfinite(level):
        return np.stack([wave, wave])
    peaks = true_peaks(wave, RATE)
    ceiling = 10 ** ((CEILING - _HEADROOM) / 20)
    highest = float(np.log10(ceiling / peaks.max())) * 20 + _GREATEST
    gain, limited = min(LOUDNESS - level, highest), wave
    for _ in range(_ROUNDS):
        limited = _limit(wave, peaks, 10 ** (gain / 20), ceiling)
        missing = LOUDNESS - _played_twice(limited)
        if abs(missing) < 0.05 or gain == highest and missing > 0:
            break
        gain = min(gain + missing, highest)
    return np.stack([limited, limited])


def _played_twice(wave: Wave) -> float:
    """Loudness of (N,) on two equal channels: twice the power."""
    return loudness(np.float32(2**0.5) * wave, RATE)


def _limit(wave: Wave, peaks: Wave, gain: float, ceiling: float) -> Wave:
    """The waveform times `gain`, turned down smoothly around peaks above `ceiling`."""
    reach = round(_LIMITER * RATE)
    needed = np.minimum(1.0, ceiling / np.maximum(gain * peaks, 1e-9)).astype(np.float32)
    if (
        needed.min() < 1
    ):  # averages, over `reach` to both sides, of minima over as much: nowhere above what is needed
        size = reach // 2 * 2 + 1
        needed = uniform_filter1d(uniform_filter1d(minimum_filter1d(needed, 2 * reach + 1), size), size)
    return (wave * gain * needed).astype(np.float32)
