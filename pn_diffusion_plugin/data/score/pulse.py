"""The steady pulse of generated notes: its tempo and phase, and notes moved on to it.

A network places each note by the dance of its own window, with errors of tens of milliseconds. All notes of a piece
together determine one period T and phase φ much more precisely: those that maximise

    Σ_k a_k Re(Z_k(T) exp(-2πi k φ / T)),   Z_k(T) = Σ_n w_n exp(2πi k t_n / T) / Σ_n w_n

over the harmonics k of beats, half beats and quarter beats, where note n starts at t_n and weighs w_n: a comb of
cosines, as in the Fourier tempogram (Grosche and Müller, "Extracting predominant local pulse information", 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .notes import LOUDEST, Note

_HARMONICS = ((1, 1.0), (2, 0.6), (4, 0.5))  # k, a_k
_SHORTEST, _LONGEST = 60 / 200, 60 / 60  # seconds of a beat
_USUAL, _SPREAD = 0.5, 0.9  # of beats, seconds and octaves: the prior of the tempo (120 beats per minute)
_WEIGHTS = {"kick": 1.0, "snare": 1.0, "bass": 0.6, "hat": 0.5, "chord": 0.2, "lead": 0.3, "extra": 0.3}
_FAST = 60 / 150  # seconds of a beat below which every second one may be the beat …
_STRONGER = 4.0  # … if it is so much stronger than the others
_SPAN = 30.0  # seconds on which all tempos are compared
_PHASES = 48  # per beat, that are tried
_STEPS = 4  # of a beat, that notes are moved to
_OWN_PLACE = 6  # notes that a step of the beat needs for a place of its own, e.g. swung
_CHUNK = 6.0  # seconds, in each of which the pulse is compared with the notes
_CLEAR = 0.3  # clarity from which on a chunk's notes follow the pulse


@dataclass(frozen=True)
class Pulse:
    """A constant pulse.

    Args:
        period: seconds of a beat.
        phase: seconds of a beat, in [0, period).
        clarity: how well notes lie on quarter beats, 0 (anywhere) to 1 (exactly).
    """

    period: float
    phase: float
    clarity: float

    @property
    def bpm(self) -> float:
        """Beats per minute."""
        return 60 / self.period

    def beats(self, seconds: float) -> tuple[float, ...]:
        """Times (s) of the beats in a piece of that length."""
        return tuple(np.arange(self.phase, seconds, self.period).tolist())


def find_pulse(notes: Sequence[Note]) -> Pulse | None:
    """The pulse of notes; None for fewer than four onsets within at least two seconds.

    All tempos are compared on the `_SPAN` seconds with the most notes. Then the part is doubled again and again, and
    the period refined on it, so that the time grows with the length and not with its square.
    """
    notes = sorted(notes, key=lambda note: note.onset)
    times = np.array([note.onset for note in notes])
    weights = np.array([_WEIGHTS.get(note.voice, 0.3) * min(note.velocity / LOUDEST, 1) for note in notes])
    if times.size < 4 or np.ptp(times) < 2 or not weights.sum():
        return None
    until = np.searchsorted(times, times + _SPAN)
    begin = int(np.argmax([weights[i:end].sum() for i, end in enumerate(until)]))
    start, span = float(times[begin]), _SPAN
    part = slice(begin, int(until[begin]))
    if part.stop - part.start < 4 or np.ptp(times[part]) < 2:
        part = slice(0, times.size)
    step = 0.01 * _SHORTEST / np.ptp(times[part])  # a hundredth of a beat over the part
    periods = np.exp(np.arange(np.log(_SHORTEST), np.log(_LONGEST), step))
    coarse = sum(a * np.abs(_coefficients(times[part], weights[part], periods, k)) for k, a in _HARMONICS)
    # The phase is computed for the likely ones only.
    likely = periods[np.argsort(-np.asarray(coarse) * _prior(periods))[:400]]
    period, phase = _best(times[part], weights[part], likely)
    while span < np.ptp(times):
        near = period * (1 + np.linspace(-0.04, 0.04, 81) * period / span)  # ± 0.08 beats over twice the part
        start, span = start - span / 2, 2 * span
        part = slice(*np.searchsorted(times, (start, start + span)))
        period, phase = _best(times[part], weights[part], near)
    if period < _FAST:
        period, phase = _every_second(times, weights, period, phase)
    phase = _refined_phase(times, weights, period, phase)
    return Pulse(period, phase, _clarity(times, weights, period, phase))


def _prior(periods: NDArray[np.float64]) -> NDArray[np.float64]:
    """How usual a period is, at most 1."""
    return np.asarray(np.exp(-0.5 * (np.log2(periods / _USUAL) / _SPREAD) ** 2))


def _best(
    times: NDArray[np.float64], weights: NDArray[np.float64], periods: NDArray[np.float64]
) -> tuple[float, float]:
    """The best one of some periods, and its phase."""
    z = {k: _coefficients(times, weights, periods, k) for k, _ in _HARMONICS}
    turns = np.arange(_PHASES) / _PHASES
    fit = sum(a * np.real(z[k][:, None] * np.exp(-2j * np.pi * k * turns)) for k, a in _HARMONICS)
    best, turn = np.unravel_index(int(np.argmax(fit * _prior(periods)[:, None])), (len(periods), _PHASES))
    return float(periods[best]), float(turns[turn] * periods[best])


def _coefficients(
    times: NDArray[np.float64], weights: NDArray[np.float64], periods: NDArray[np.float64], k: int
) -> NDArray[np.complex128]:
    """Z_k of each period (P,), where the weights may have any sum."""
    weights = weights / max(float(weights.sum()), 1e-9)
    blocks = np.array_split(periods, 1 + len(periods) // 512)
    return np.concatenate([np.exp(2j * np.pi * k * times / block[:, None]) @ weights for block in blocks])


def _every_second(
    times: NDArray[np.float64], weights: NDArray[np.float64], period: float, phase: float
) -> tuple[float, float]:
    """Period and phase of every second beat, if these are much stronger than the others; else as they were."""
    places = (times - phase) / period
    near = np.abs(places - np.round(places)) < 1 / 8
    odd = np.round(places).astype(int) % 2 == 1
    sums = weights[near & ~odd].sum(), weights[near & odd].sum()
    if max(sums) < _STRONGER * min(sums):
        return period, phase
    return 2 * period, phase if sums[0] > sums[1] else phase + period


def _refined_phase(
    times: NDArray[np.float64], weights: NDArray[np.float64], period: float, phase: float
) -> float:
    """The phase near `phase` with the least mean deviation of the notes near beats."""
    away = (times - phase + period / 2) % period - period / 2
    near = np.abs(away) < period / 8
    if near.any() and weights[near].sum():
        phase += float(np.average(away[near], weights=weights[near]))
    return phase % period


def _clarity(times: NDArray[np.float64], weights: NDArray[np.float64], period: float, phase: float) -> float:
    turns = np.exp(2j * np.pi * _STEPS * (times - phase) / period)
    return float(np.abs(np.average(turns, weights=weights)))


def on_pulse(notes: Sequence[Note], pulse: Pulse, strength: float = 1.0) -> list[Note]:
    """Notes moved to the nearest quarter beat, with their ends.

    Quarter beats that several notes share lie where these notes are on average, so that swing stays. Stretches in
    which the notes do not follow the pulse, e.g. after a change of the tempo, are left as they are.

    Args:
        strength: 0: not moved, 1: exactly on the pulse.
    """
    if not notes or not strength:
        return list(notes)
    places = _STEPS * (np.array([note.onset for note in notes]) - pulse.phase) / pulse.period
    steps = np.round(places)
    weights = np.array([note.velocity for note in notes])
    away = places - steps
    target = steps.copy()
    for step in range(_STEPS):
        mine = steps % _STEPS == step
        if step and mine.sum() >= _OWN_PLACE:
            target[mine] += np.clip(np.median(away[mine]), -0.4, 0.4)
    moved = pulse.phase + target * pulse.period / _STEPS
    chunk = (np.array([note.onset for note in notes]) // _CHUNK).astype(int)
    follows = {
        c: abs(np.average(np.exp(2j * np.pi * (places - target)[chunk == c]), weights=weights[chunk == c]))
        >= _CLEAR
        for c in np.unique(chunk)
    }
    result = []
    for note, time, c in zip(notes, moved, chunk, strict=True):
        shift = strength * (float(time) - note.onset) if follows[c] else 0.0
        result.append(replace(note, onset=note.onset + shift))
    return result
