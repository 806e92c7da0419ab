"""Tuned instruments: wave tables with a bright and a dark end, frequency modulation, plucked strings.

A wave table is one period of a band-limited spectrum, without aliasing. A note fades from its bright to its dark table
like a closing filter (subtractive synthesis at the cost of two look-ups).
Plucked strings are Karplus and Strong's (Computer Music Journal 7:2, 1983), frequency modulation Chowning's (1973).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.signal import lfilter

_TABLE = 2048

Wave = Callable[[float, float], np.ndarray]


def _spectrum(shape: str, partials: int) -> np.ndarray:
    """Amplitudes of the first partials of a waveform."""
    k = np.arange(1, partials + 1)
    if shape == "square":
        return np.where(k % 2 == 1, 1.0 / k, 0.0)
    if shape == "triangle":
        return np.where(k % 2 == 1, 1.0 / k**2, 0.0)
    if shape == "organ":
        drawbars = {1: 1.0, 2: 0.8, 3: 0.6, 4: 0.5, 6: 0.3, 8: 0.25}
        return np.array([drawbars.get(int(i), 0.0) for i in k])
    if shape == "sine":
        return (k == 1).astype(float)
    return 1.0 / k  # saw


def _table(amplitudes: np.ndarray, frequency: float, rate: int, cutoff: float) -> np.ndarray:
    """One period (2048,) of the partials below the Nyquist frequency, with a two-pole low-pass at `cutoff` (Hz)."""
    place = frequency * np.arange(1, amplitudes.size + 1)
    weights = amplitudes * (place < 0.46 * rate) / (1.0 + (place / cutoff) ** 2)
    spectrum = np.zeros(_TABLE // 2 + 1, complex)
    spectrum[1 : weights.size + 1] = -1j * weights
    return np.fft.irfft(spectrum) * (_TABLE / 2)


def _read(table: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Read the table at `phase` (periods)."""
    return table[(phase * _TABLE).astype(np.int64) % _TABLE]


@dataclass
class Voice:
    """One instrument of one song.

    Args:
        kind: `table`, `fm` or `pluck`.
        rate: Hz.
        shape: waveform, for tables.
        bright, dark: cut-off frequencies (Hz) at the note's start and end.
        attack, decay: seconds; `decay` of the level.
        detune: of three tables in parallel, as a share of the frequency; 0: one table.
        ratio, index: of the modulator, for `fm`.
        damping: low-pass of the excitation, 0 to 1, for `pluck`.
        vibrato: depth, as a share of the frequency.
    """

    kind: str
    rate: int
    shape: str = "saw"
    bright: float = 3000.0
    dark: float = 800.0
    attack: float = 0.005
    decay: float = 0.4
    detune: float = 0.0
    ratio: float = 2.0
    index: float = 2.0
    damping: float = 0.5
    vibrato: float = 0.0
    _cache: dict[tuple[float, int], np.ndarray] = field(default_factory=dict, repr=False)

    def note(self, midi: float, seconds: float) -> np.ndarray:
        """Synthesise a note of MIDI number `midi` (69: 440 Hz), or take it from the cache."""
        key = (round(midi, 3), round(seconds * self.rate))
        if key not in self._cache:
            self._cache[key] = self._note(440.0 * 2.0 ** ((midi - 69.0) / 12.0), key[1])
        return self._cache[key]

    def _note(self, frequency: float, samples: int) -> np.ndarray:
        t = np.arange(max(samples, 8)) / self.rate
        wobble = self.vibrato * np.sin(2 * np.pi * 5.3 * t) * np.clip((t - 0.15) / 0.2, 0, 1)
        phase = frequency * np.cumsum(1.0 + wobble) / self.rate
        wave = {"table": self._tables, "fm": self._fm, "pluck": self._string}[self.kind](t, phase, frequency)
        envelope = np.minimum(t / self.attack, 1.0) * np.exp(-t / self.decay)
        return np.asarray(wave * envelope * np.clip((t[-1] - t) / 0.015, 0.0, 1.0))

    def _tables(self, t: np.ndarray, phase: np.ndarray, frequency: float) -> np.ndarray:
        amplitudes = _spectrum(self.shape, min(max(int(0.46 * self.rate / frequency), 1), 64))
        bright = _table(amplitudes, frequency, self.rate, self.bright)
        dark = _table(amplitudes, frequency, self.rate, self.dark)
        share = np.exp(-t / (0.5 * self.decay))
        wave = np.zeros_like(t)
        for offset in (0.0,) if self.detune == 0 else (-self.detune, 0.0, self.detune):
            moved = phase * (1.0 + offset) + 0.37 * offset / max(self.detune, 1e-9)
            wave += share * _read(bright, moved) + (1 - share) * _read(dark, moved)
        return wave

    def _fm(self, t: np.ndarray, phase: np.ndarray, frequency: float) -> np.ndarray:
        index = min(self.index, 0.2 * self.rate / (self.ratio * frequency))
        modulator = index * np.exp(-t / (0.4 * self.decay)) * np.sin(2 * np.pi * self.ratio * phase)
        return np.asarray(1.4 * np.sin(2 * np.pi * phase + modulator))

    def _string(self, t: np.ndarray, phase: np.ndarray, frequency: float) -> np.ndarray:
        """A delay line of N + d samples (together one period) excited by noise, a recursive filter:
        y[n] = x[n] + g·((1 − d)·y[n − N] + d·y[n − N − 1])."""
        whole, share = divmod(self.rate / frequency, 1.0)
        period = max(int(whole), 2)
        rng = np.random.default_rng(period)  # the same string always sounds the same
        burst = np.zeros_like(t)
        pick = rng.uniform(-1, 1, period)
        burst[:period] = (pick - pick.mean())[: t.size]  # a constant offset would decay slowly
        feedback = np.zeros(period + 2)
        feedback[0] = 1.0
        feedback[period], feedback[period + 1] = -0.995 * (1 - share), -0.995 * share
        softened = lfilter([1 - self.damping], [1, -self.damping], burst)
        return np.asarray(2.0 * lfilter([1.0], feedback, softened))


def bass_voice(name: str, rng: np.random.Generator, rate: int) -> Voice:
    """Bass: `sub`, `saw`, `square`, `fm` or `finger` (plucked)."""
    decay = float(rng.uniform(0.2, 0.6))
    if name == "sub":
        return Voice("table", rate, "triangle", 900, 300, 0.008, decay + 0.3)
    if name == "fm":
        return Voice(
            "fm", rate, attack=0.004, decay=decay, ratio=float(rng.choice([1, 2, 3])), index=rng.uniform(1, 3)
        )
    if name == "finger":
        return Voice("pluck", rate, attack=0.003, decay=decay + 0.2, damping=0.5)
    return Voice(
        "table", rate, name, rng.uniform(900, 3500), rng.uniform(200, 500), 0.004, decay,
        detune=float(rng.choice([0.0, 0.004])),
    )  # fmt: skip


# Instruments for chords and melodies: a number, or a range that a song's value is drawn from
_INSTRUMENTS: dict[str, dict[str, Any]] = {
    "pad": {"kind": "table", "bright": (900, 2500), "dark": 600, "attack": 0.12, "decay": 3.0,
            "detune": (0.003, 0.008)},
    "strings": {"kind": "table", "bright": (2500, 5000), "dark": 1800, "attack": 0.06, "decay": 3.0, "detune": 0.004,
                "vibrato": 0.004},
    "epiano": {"kind": "fm", "attack": 0.004, "decay": (0.6, 1.2), "ratio": 1.0, "index": (0.8, 1.8)},
    "organ": {"kind": "table", "shape": "organ", "bright": 5000, "dark": 3500, "attack": 0.008, "decay": 4.0,
              "vibrato": 0.002},
    "guitar": {"kind": "pluck", "attack": 0.002, "decay": (0.4, 1.0), "damping": (0.35, 0.5)},
    "piano": {"kind": "fm", "attack": 0.002, "decay": (0.5, 1.0), "ratio": 3.0, "index": (0.4, 0.9)},
    "stab": {"kind": "table", "bright": (2500, 6000), "dark": 500, "attack": 0.003, "decay": (0.1, 0.25),
             "detune": 0.006},
    "bell": {"kind": "fm", "attack": 0.002, "decay": (0.4, 0.9), "ratio": [3.5, 2.76, 5.0], "index": 1.6},
    "pluck": {"kind": "pluck", "attack": 0.002, "decay": 0.5, "damping": (0.2, 0.5)},
    "flute": {"kind": "table", "shape": "triangle", "bright": 3000, "dark": 2200, "attack": 0.04, "decay": 1.5,
              "vibrato": 0.006},
    "saw": {"kind": "table", "bright": (2500, 5000), "dark": (900, 2000), "attack": 0.006, "decay": 0.6,
            "vibrato": 0.004},
    "square": {"kind": "table", "shape": "square", "bright": (2500, 5000), "dark": (900, 2000), "attack": 0.006,
               "decay": 0.6, "vibrato": 0.004},
}  # fmt: skip


def instrument(name: str, rng: np.random.Generator, rate: int) -> Voice:
    """Instrument for chords or melodies, see `_INSTRUMENTS`."""
    values = dict(_INSTRUMENTS[name])
    for key, value in values.items():
        if isinstance(value, tuple):
            values[key] = rng.uniform(*value)
        elif isinstance(value, list):
            values[key] = rng.choice(value)
    return Voice(rate=rate, **values)
