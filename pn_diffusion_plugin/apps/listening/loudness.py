"""Loudness of a sound by ITU-R BS.1770-4, and sounds brought to the same.

K-weighting (a shelf for the head, a high-pass) by the filters the recommendation gives for 48 kHz; mean square z of
blocks of 400 ms, four of which begin in that time; blocks below −70 LUFS do not count, then those more than 10 LU
below the loudness of the rest:

    L = −0.691 + 10 log10(mean of z over the blocks that count)

(torchaudio's function of that name uses other filters and is 0.3 dB off for the recommendation's own test tone.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from ...metrics.beats import resample

Wave = NDArray[np.float32]

LOUDNESS = -23.0
"""LUFS wanted (EBU R 128); less where a stimulus would clip."""
PEAK = 0.98

_RATE = 48000
_SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)
_HIGH_PASS = (1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)
_BLOCK, _STEP = round(0.4 * _RATE), round(0.1 * _RATE)
_ABSOLUTE, _RELATIVE = -70.0, -10.0


def loudness(wav: Wave, sample_rate: int) -> float:
    """Integrated loudness (LUFS) of a mono sound (N,) at `sample_rate` Hz; -inf for silence.

    A sound shorter than a block is taken as a block with silence behind it.
    """
    signal = resample(wav, sample_rate, _RATE).astype(np.float64)
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        signal = lfilter(numerator, denominator, signal)
    signal = np.pad(signal, (0, max(0, _BLOCK - signal.size)))
    power = np.lib.stride_tricks.sliding_window_view(signal**2, _BLOCK)[::_STEP].mean(axis=1)
    power = power[_lufs(power) > _ABSOLUTE]
    if not power.size:
        return -np.inf
    return float(_lufs(power[_lufs(power) > _lufs(power.mean()) + _RELATIVE].mean()))


def equally_loud(
    waves: Mapping[str, Wave], rates: Mapping[str, int], target: float = LOUDNESS
) -> dict[str, Wave]:
    """The sounds (N,) at one loudness: `target` LUFS, or what the one with the highest peak allows.

    Silence stays silence.
    """
    levels = {name: loudness(wav, rates[name]) for name, wav in waves.items()}
    gains = {name: target - level for name, level in levels.items() if np.isfinite(level)}
    headroom = [20 * np.log10(PEAK / np.abs(waves[name]).max()) - gain for name, gain in gains.items()]
    lowered = min([0.0, *headroom])
    return {
        name: (wav * 10 ** ((gains[name] + lowered) / 20)).astype(np.float32) if name in gains else wav
        for name, wav in waves.items()
    }


def _lufs(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(-0.691 + 10 * np.log10(np.maximum(power, 1e-12)))
