"""Synthesised drum kits: one sound of each drum per song, drawn from a family of sounds.

Families: `analogue` (long sines, filtered noise), `tight` (short, hard), `acoustic` (several modes a drum, softer
noise), `lofi` (dull, saturated). Envelopes are exponential; times are seconds, frequencies Hz.

The upper limits of noise and metal are for 22 050 Hz, the rate of the corpora; at higher rates they rise, see `_limit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from ...score.notes import DRUM_KEYS
from .mixing import time_axis

KITS = ("analogue", "tight", "acoustic", "lofi")


@dataclass(frozen=True)
class _Family:
    """Ranges of the parameters of a family's drums."""

    kick_low: tuple[float, float]
    kick_high: tuple[float, float]
    kick_decay: tuple[float, float]
    click: float
    snare_tone: tuple[float, float]
    snare_decay: tuple[float, float]
    hat_decay: tuple[float, float]
    metallic: float  # share of inharmonic squares in the cymbals, the rest is noise
    drive: float
    ceiling: float  # low-pass over the whole kit


_FAMILIES: dict[str, _Family] = {
    "analogue": _Family(
        (40, 54), (140, 260), (0.14, 0.34), 0.25, (165, 215), (0.07, 0.16), (0.02, 0.05), 0.8, 1.2, 10000
    ),
    "tight": _Family(
        (46, 62), (220, 420), (0.07, 0.14), 0.6, (180, 250), (0.04, 0.09), (0.012, 0.03), 0.6, 1.8, 10500
    ),
    "acoustic": _Family(
        (52, 72), (110, 180), (0.08, 0.16), 0.5, (180, 240), (0.06, 0.13), (0.03, 0.07), 0.35, 1.0, 9500
    ),
    "lofi": _Family(
        (45, 60), (120, 220), (0.1, 0.2), 0.3, (160, 210), (0.05, 0.1), (0.015, 0.04), 0.4, 2.6, 5200
    ),
}


def _band(x: np.ndarray, low: float, high: float, rate: int, order: int = 2) -> np.ndarray:
    high = min(high, 0.48 * rate)
    out: np.ndarray = sosfilt(butter(order, [low, high], "bandpass", fs=rate, output="sos"), x)
    return out


def _limit(frequency: float, rate: int) -> float:
    """Upper limit (Hz) at `rate` of a sound that reaches to `frequency` at 22 050 Hz: proportional, up to 1.55 times.

    >>> _limit(10500, 22050), _limit(10500, 44100)
    (10500.0, 16275.0)
    """
    return frequency * min(max(rate / 22050, 1.0), 1.55)


def _sweep(t: np.ndarray, low: float, high: float, tau: float) -> np.ndarray:
    """Sine whose frequency falls as low + (high − low)·exp(−t/τ)."""
    return np.sin(2 * np.pi * (low * t + (high - low) * tau * (1.0 - np.exp(-t / tau))))


def _metal(rng: np.random.Generator, t: np.ndarray, base: float) -> np.ndarray:
    """Six square waves at inharmonic ratios, as in electronic cymbals."""
    ratios = np.array([1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523]) * rng.uniform(0.97, 1.03, 6)
    return np.asarray(np.sign(np.sin(2 * np.pi * base * ratios[:, None] * t)).sum(axis=0) / 6)


def _normal(x: np.ndarray) -> np.ndarray:
    return x / max(float(np.abs(x).max()), 1e-9)


class Kit:
    """All drums of one song: `sounds` is {drum: (n,) waveform, peak 1}.

    Args:
        family: one of `KITS`.
        rng: source of every drum's parameters.
        rate: Hz.
    """

    def __init__(self, family: str, rng: np.random.Generator, rate: int) -> None:
        self.family, self.rate, self._rng = _FAMILIES[family], rate, rng
        self.sounds = {name: self._make(name) for name in DRUM_KEYS}

    def _make(self, name: str) -> np.ndarray:
        family, rng = self.family, self._rng
        if name.startswith("tom"):
            sound = self._tom(float(rng.uniform(75, 110)) * (1.6 if name == "tom_high" else 1.0))
        elif name in ("hat", "open", "ride", "crash"):
            decay = float(rng.uniform(*family.hat_decay))
            length = {"hat": 1.0, "open": 5.0, "ride": 8.0, "crash": 11.0}[name] * decay
            sound = self._cymbal(min(length, 0.6), 6500 if name in ("hat", "open") else 3800)
        else:
            sound = getattr(self, f"_{name}")()
        sound = np.tanh(family.drive * _normal(sound)) / np.tanh(family.drive)
        sound = sound * np.minimum(
            np.arange(sound.size)[::-1] / (0.01 * self.rate), 1.0
        )  # no click at the end
        low_pass = butter(1, _limit(family.ceiling, self.rate), fs=self.rate, output="sos")
        return _normal(np.asarray(sosfilt(low_pass, sound)))

    def _noise(self, t: np.ndarray) -> np.ndarray:
        return self._rng.normal(0, 1, t.size)

    def _kick(self) -> np.ndarray:
        family, rng = self.family, self._rng
        decay = rng.uniform(*family.kick_decay)
        t = time_axis(min(5 * decay, 0.7), self.rate)
        body = _sweep(
            t, rng.uniform(*family.kick_low), rng.uniform(*family.kick_high), rng.uniform(0.015, 0.045)
        )
        click = _band(self._noise(t), 1500, 6000, self.rate) * np.exp(-t / 0.004)
        return np.asarray(body * np.exp(-t / decay) + family.click * _normal(click))

    def _snare(self) -> np.ndarray:
        family, rng = self.family, self._rng
        decay = rng.uniform(*family.snare_decay)
        t = time_axis(min(6 * decay, 0.6), self.rate)
        tone = rng.uniform(*family.snare_tone)
        modes = sum(
            g * np.sin(2 * np.pi * tone * k * t) * np.exp(-t / d)
            for k, g, d in ((1.0, 0.7, 0.06), (1.59, 0.45, 0.045), (2.14, 0.2, 0.03))
        )
        high = _limit(9500, self.rate)
        rattle = _normal(_band(self._noise(t), rng.uniform(700, 1800), high, self.rate)) * np.exp(-t / decay)
        return np.asarray(modes + rng.uniform(0.6, 1.1) * rattle)

    def _clap(self) -> np.ndarray:
        t = time_axis(0.3, self.rate)
        noise = _normal(_band(self._noise(t), 800, 4200, self.rate))
        envelope = np.exp(-t / self._rng.uniform(0.05, 0.1)) * (t > 0.027)
        for start in (0.0, 0.009, 0.018):  # several hands within 27 ms
            envelope += np.exp(-np.maximum(t - start, 0) / 0.006) * (t >= start)
        return noise * envelope

    def _rim(self) -> np.ndarray:
        t = time_axis(0.09, self.rate)
        tone = self._rng.uniform(1500, 2000)
        body = np.sin(2 * np.pi * tone * t) + 0.6 * np.sin(2 * np.pi * 0.31 * tone * t)
        return np.asarray(body * np.exp(-t / 0.014) + 0.3 * self._noise(t) * np.exp(-t / 0.004))

    def _cymbal(self, decay: float, low: float) -> np.ndarray:
        family, rng = self.family, self._rng
        t = time_axis(min(4 * decay + 0.02, 1.6), self.rate)
        metal = _metal(rng, t, rng.uniform(260, 420)) * 2.0
        mixed = family.metallic * metal + (1 - family.metallic) * self._noise(t)
        return _band(mixed, low, _limit(10500, self.rate), self.rate) * np.exp(-t / decay)

    def _tom(self, pitch: float) -> np.ndarray:
        t = time_axis(0.45, self.rate)
        body = _sweep(t, pitch, 1.7 * pitch, 0.05) + 0.3 * np.sin(2 * np.pi * 1.59 * pitch * t)
        return np.asarray(body * np.exp(-t / 0.14) + 0.15 * self._noise(t) * np.exp(-t / 0.01))

    def _conga(self) -> np.ndarray:
        t = time_axis(0.3, self.rate)
        pitch = self._rng.uniform(190, 320)
        body = _sweep(t, pitch, 1.25 * pitch, 0.02) * np.exp(-t / self._rng.uniform(0.05, 0.1))
        return np.asarray(body + 0.25 * _band(self._noise(t), 1000, 5000, self.rate) * np.exp(-t / 0.008))

    def _shaker(self) -> np.ndarray:
        t = time_axis(0.12, self.rate)
        swell = np.minimum(t / 0.02, 1.0) * np.exp(-np.maximum(t - 0.02, 0) / 0.02)
        return _band(self._noise(t), 4500, _limit(10000, self.rate), self.rate) * swell

    def _cowbell(self) -> np.ndarray:
        t = time_axis(0.3, self.rate)
        pitch = self._rng.uniform(520, 600)
        squares = np.sign(np.sin(2 * np.pi * pitch * t)) + np.sign(np.sin(2 * np.pi * 1.48 * pitch * t))
        return _band(squares, 500, 4000, self.rate) * np.exp(-t / 0.07)

    def _tambourine(self) -> np.ndarray:
        t = time_axis(0.2, self.rate)
        jingle = _metal(self._rng, t, 900.0) + 0.5 * self._noise(t)
        return _band(jingle, 5000, _limit(10500, self.rate), self.rate) * np.exp(-t / 0.045)
