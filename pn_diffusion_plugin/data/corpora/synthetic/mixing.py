"""Mixing to mono: tracks, reverberation, side-chain, compression, limiter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import butter, fftconvolve, sosfilt


def time_axis(seconds: float, rate: int) -> np.ndarray:
    """Times (s) of the samples of a sound."""
    return np.arange(round(seconds * rate)) / rate


class Track:
    """A buffer into which sounds are mixed at any time, also across its start or end.

    Args:
        seconds: length.
        rate: Hz.
    """

    def __init__(self, seconds: float, rate: int) -> None:
        self.rate = rate
        self.wav = np.zeros(round(seconds * rate))

    def add(self, sound: np.ndarray, time: float, gain: float) -> None:
        """Mix in a sound (n,) at `time` (s)."""
        start = round(time * self.rate)
        first, last = max(0, -start), min(sound.size, self.wav.size - start)
        if last > first:
            self.wav[start + first : start + last] += gain * sound[first:last]


def reverberation(wav: np.ndarray, rate: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Wet signal only: convolved with band-passed noise that decays by 60 dB in `seconds`; same length."""
    t = np.arange(round(seconds * rate)) / rate
    impulse = rng.normal(0, 1, t.size) * 10 ** (-3 * t / seconds)
    impulse = sosfilt(butter(1, [250, 5500], "bandpass", fs=rate, output="sos"), impulse)
    impulse /= np.sqrt(np.sum(impulse**2))
    return np.asarray(fftconvolve(wav, impulse)[: wav.size])


def ducking(kicks: Sequence[float], samples: int, rate: int, depth: float, release: float) -> np.ndarray:
    """Side-chain gain (samples,): 1 − depth at each of the times `kicks` (s), which recovers within `release` (s)."""
    t = np.arange(samples) / rate
    gain = np.ones(samples)
    for time in kicks:
        since = t - time
        near = (since >= 0) & (since < 5 * release)
        gain[near] = np.minimum(gain[near], 1.0 - depth * np.exp(-since[near] / release))
    return gain


def compress(wav: np.ndarray, rate: int, threshold: float, ratio: float) -> np.ndarray:
    """Bus compression: above `threshold` (share of the loudest level) the level (dB) rises only 1/ratio as fast.

    The level is the root mean square of 5 ms, held 30 ms and smoothed over 40 ms.
    """
    hop = max(round(0.005 * rate), 1)
    blocks = np.pad(wav, (0, -wav.size % hop)).reshape(-1, hop)
    level = np.sqrt(np.mean(blocks**2, axis=1) + 1e-12)
    level = gaussian_filter1d(maximum_filter1d(level, 7), 4.0)
    over = np.maximum(level / max(threshold * float(level.max()), 1e-9), 1.0)
    gain = over ** (1.0 / ratio - 1.0)
    return np.asarray(wav * np.interp(np.arange(wav.size), (np.arange(gain.size) + 0.5) * hop, gain))


def hush(wav: np.ndarray, pauses: Sequence[tuple[float, float]], rate: int) -> np.ndarray:
    """Mute the pauses: 60 ms fade-out, no fade-in."""
    gain = np.ones(wav.size)
    for start, end in pauses:
        a, b = round(start * rate), round(end * rate)
        gain[a:b] = np.clip(1.0 - np.arange(max(b - a, 0)) / (0.06 * rate), 0.01, 1.0)[: gain[a:b].size]
    return np.asarray(wav * gain)


def _shelf(wav: np.ndarray, rate: int, low: float, high: float, gain: float) -> np.ndarray:
    """Multiply the band between two frequencies (Hz) by `gain`, with a parallel first-order band-pass."""
    return wav + (gain - 1) * np.asarray(
        sosfilt(butter(1, [low, high], "bandpass", fs=rate, output="sos"), wav)
    )


def master(wav: np.ndarray, rate: int, drive: float) -> np.ndarray:
    """Master: equalisation close to recorded music (see `benchmarks/generated_corpus.py --real`), 28 Hz high-pass, soft
    limiter, peak 0.9; float32."""
    wav = np.asarray(sosfilt(butter(2, 28, "highpass", fs=rate, output="sos"), wav))
    wav = _shelf(_shelf(wav, rate, 90, 230, 1.5), rate, 500, 1800, 0.9)
    wav = np.tanh(drive * wav / max(float(np.abs(wav).max()), 1e-9) * 1.5)
    return (0.9 * wav / max(float(np.abs(wav).max()), 1e-9)).astype(np.float32)
