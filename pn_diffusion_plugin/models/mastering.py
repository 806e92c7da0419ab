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
    """Stereo (2, N) of a waveform (N,) or (2, N) at `RATE`: at `LOUDNESS`, no true peak above `CEILING`.

    Silence stays silence. A waveform that would need more than 12 dB of limiting stays quieter. Both channels get the
    same gain.
    """
    gain, limiting = _gains(wave)
    wave = (wave * gain * limiting).astype(np.float32)
    return np.stack([wave, wave]) if wave.ndim == 1 else wave


def master_gain(wave: Wave) -> Wave:
    """The gain (N,) of `master` for a waveform (N,) or (2, N): `master(wave)` is `wave * master_gain(wave)`.

    Stems that sum to `wave`, each times this gain, sum to its master.
    """
    gain, limiting = _gains(wave)
    return (gain * limiting).astype(np.float32)


def _gains(wave: Wave) -> tuple[float, Wave]:
    """Constant gain, and the limiter's (N,), for a waveform (N,) or (2, N)."""
    limiting = np.ones(wave.shape[-1], np.float32)
    level = _level(wave)
    if not np.isfinite(level):
        return 1.0, limiting
    peaks = np.max([true_peaks(channel, RATE) for channel in np.atleast_2d(wave)], axis=0)
    ceiling = 10 ** ((CEILING - _HEADROOM) / 20)
    highest = float(np.log10(ceiling / peaks.max())) * 20 + _GREATEST
    gain = min(LOUDNESS - level, highest)
    for number in range(_ROUNDS):
        limiting = _limiter(peaks, 10 ** (gain / 20), ceiling)
        missing = LOUDNESS - _level((wave * 10 ** (gain / 20) * limiting).astype(np.float32))
        if abs(missing) < 0.05 or gain == highest and missing > 0 or number == _ROUNDS - 1:
            break
        gain = min(gain + missing, highest)
    return 10 ** (gain / 20), limiting


def _level(wave: Wave) -> float:
    """Loudness of (2, N), or of (N,) on two equal channels: twice the power."""
    return loudness(wave if wave.ndim == 2 else np.float32(2**0.5) * wave, RATE)


def _limiter(peaks: Wave, gain: float, ceiling: float) -> Wave:
    """Gain (N,) that turns a waveform times `gain` down smoothly around peaks above `ceiling`."""
    reach = round(_LIMITER * RATE)
    needed = np.minimum(1.0, ceiling / np.maximum(gain * peaks, 1e-9)).astype(np.float32)
    if (
        needed.min() < 1
    ):  # averages, over `reach` to both sides, of minima over as much: nowhere above what is needed
        size = reach // 2 * 2 + 1
        needed = uniform_filter1d(uniform_filter1d(minimum_filter1d(needed, 2 * reach + 1), size), size)
    return needed
