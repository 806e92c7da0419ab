"""Space and dynamics of a mix, all linear or a gain that every stem shares, so that stems sum to the mix.

A voice is mono. Convolved with a pair of impulse responses it becomes stereo: with a reverberation whose channels are
decorrelated, and with a side signal that only its difference contains: left = mid + side, right = mid − side, so that
nothing cancels when both are played by one loudspeaker.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import butter, sosfilt

_BLOCK = 1 << 17  # samples of a block of the convolution with its tail


def pan_gains(position: float) -> np.ndarray:
    """Gains (2,) of constant power for a position, −1 (left) to 1 (right); both are 1 in the middle.

    >>> pan_gains(0.0).round(6).tolist()
    [1.0, 1.0]
    """
    angle = np.pi / 4 * (1 + position)
    return np.sqrt(2) * np.array([np.cos(angle), np.sin(angle)])


def reverberation(rng: np.random.Generator, rate: int, seconds: float) -> np.ndarray:
    """Stereo impulse response (2, n) of unit energy that decays by 60 dB in `seconds`, after 12 ms of silence.

    Its channels are a + 0.8 b and a − 0.8 b of independent noises a and b: their correlation is 0.2.
    """
    t = np.arange(round(seconds * rate)) / rate
    noise = rng.normal(0, 1, (2, t.size)) * 10 ** (-3 * t / seconds)
    noise = sosfilt(butter(1, [250, 8000], "bandpass", fs=rate, output="sos"), noise)
    a, b = noise / np.sqrt(np.sum(noise**2, axis=1, keepdims=True))
    pair = np.stack([a + 0.8 * b, a - 0.8 * b]) / np.sqrt(1 + 0.8**2)
    return np.pad(pair, ((0, 0), (round(0.012 * rate), 0)))


def widening(rng: np.random.Generator, rate: int) -> np.ndarray:
    """Impulse response (n,) of unit energy from a mid signal to a side signal: 20 ms of noise above 200 Hz."""
    t = np.arange(round(0.02 * rate)) / rate
    noise = sosfilt(
        butter(2, 200, "highpass", fs=rate, output="sos"), rng.normal(0, 1, t.size) * np.exp(-t / 0.006)
    )
    return np.asarray(noise / np.sqrt(np.sum(noise**2)))


def place(pan: float, width: float, side: np.ndarray, wet: np.ndarray) -> np.ndarray:
    """Impulse response (2, n) of a voice: direct sound, side signal and reverberation.

    Args:
        pan: see `pan_gains`.
        width: level of the side signal.
        side: see `widening`.
        wet: (2, n) reverberation with its level.
    """
    out = np.zeros((2, max(side.size, wet.shape[1])))
    out[:, : wet.shape[1]] += wet
    out[:, : side.size] += width * np.outer([1.0, -1.0], side)
    out[:, 0] += pan_gains(pan)
    return out


def add_convolved(out: np.ndarray, wave: np.ndarray, impulses: np.ndarray) -> None:
    """Add `wave` (N,) convolved with both `impulses` (2, n) to `out` (2, N), by overlap-add in bounded memory."""
    length = scipy.fft.next_fast_len(max(_BLOCK, 4 * impulses.shape[1]), real=True)
    step = length - impulses.shape[1] + 1
    spectra = scipy.fft.rfft(impulses.astype(np.float32), length)
    for start in range(0, wave.size, step):
        block = wave[start : start + step]
        if block.any():
            spectrum = scipy.fft.rfft(block, length)
            target = out[:, start : start + length]
            for channel in range(2):
                target[channel] += scipy.fft.irfft(spectrum * spectra[channel], length)[: target.shape[1]]


def duck(wave: np.ndarray, kicks: Sequence[float], rate: int, depth: float, release: float = 0.11) -> None:
    """Side-chain, in place: turn `wave` (N,) down by `depth` at the times `kicks` (s); it recovers in `release` (s)."""
    curve = (1.0 - depth * np.exp(-np.arange(round(5 * release * rate)) / (release * rate))).astype(
        np.float32
    )
    starts = [*sorted(round(time * rate) for time in kicks), wave.size]
    for start, following in zip(starts, starts[1:], strict=False):
        # the latest kick's gain is the lowest
        first, end = max(start, 0), min(start + curve.size, following, wave.size)
        if end > first:
            wave[first:end] *= curve[first - start : end - start]


def glue(mix: np.ndarray, rate: int, threshold: float = 0.6, ratio: float = 1.6) -> np.ndarray:
    """Gain (N,) of bus compression: above `threshold` the level (dB) of `mix` (2, N) rises only 1/ratio as fast.

    The level is the root mean square of 5 ms, held 30 ms and smoothed over 40 ms; the threshold is a share of its
    maximum.
    """
    hop, samples = round(0.005 * rate), mix.shape[1]
    power = np.zeros(-(-samples // hop) * hop, np.float32)
    np.einsum("cn,cn->n", mix, mix, out=power[:samples])
    level = np.sqrt(power.reshape(-1, hop).mean(axis=1) + 1e-12)
    level = gaussian_filter1d(maximum_filter1d(level, 7), 4.0)
    over = np.maximum(level / max(threshold * float(level.max(initial=0)), 1e-6), 1.0)
    steps = over ** (1.0 / ratio - 1.0)
    middles = (np.arange(steps.size) + 0.5) * hop
    gain = np.ones(samples, np.float32)
    for start in range(0, samples, _BLOCK):  # in blocks, because np.interp computes in double precision
        times = np.arange(start, min(start + _BLOCK, samples))
        gain[start : start + times.size] = np.interp(times, middles, steps)
    return gain
