"""Music for a score: drums, bass and chords, synthesised.

Every beat of the score sounds as a drum stroke; what lies between beats is much quieter, so that the beats
can be told. Genres differ in their patterns, song seeds in key, harmony and the timbre of every instrument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .score import BEATS_PER_BAR, Hit, Mode, Score

_PROGRESSIONS: tuple[tuple[int, ...], ...] = (
    (0, 5, 3, 4),
    (0, 3, 4, 4),
    (0, 5, 1, 4),
    (0, 2, 3, 4),
    (0, 0, 3, 4),
    (0, 6, 5, 4),
)
_SCALES: tuple[tuple[int, ...], ...] = (
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 9, 10),
)


@dataclass(frozen=True)
class Pattern:
    """What sounds on the beats of a normal bar, and how loud the strokes between them are."""

    kick: tuple[int, ...]
    snare: tuple[int, ...]
    bass: tuple[int, ...]
    chord: tuple[int, ...]
    between: float
    clap: bool = False


PATTERNS: dict[str, Pattern] = {
    "house": Pattern(kick=(0, 1, 2, 3), snare=(1, 3), bass=(0, 1, 2, 3), chord=(0,), between=0.32, clap=True),
    "disco": Pattern(kick=(0, 1, 2, 3), snare=(1, 3), bass=(0, 1, 2, 3), chord=(0, 2), between=0.20),
    "hiphop": Pattern(kick=(0, 2), snare=(1, 3), bass=(0, 2), chord=(0,), between=0.16),
    "pop": Pattern(kick=(0, 2), snare=(1, 3), bass=(0, 1, 2, 3), chord=(0, 1, 2, 3), between=0.14, clap=True),
    "robot": Pattern(kick=(0, 1, 2, 3), snare=(1, 3), bass=(0, 2), chord=(1, 3), between=0.12),
    "latin": Pattern(kick=(0, 2, 3), snare=(1, 3), bass=(0, 2, 3), chord=(0, 1, 2, 3), between=0.20),
}


def _time(seconds: float, sample_rate: int) -> np.ndarray:
    return np.arange(round(seconds * sample_rate)) / sample_rate


def kick_drum(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """A sine that falls from a click to its low pitch: f(t) = low + (high − low)·exp(−t/τ)."""
    t = _time(0.32, sample_rate)
    low, high, tau = rng.uniform(42, 60), rng.uniform(160, 320), rng.uniform(0.018, 0.04)
    phase = 2 * np.pi * (low * t + (high - low) * tau * (1.0 - np.exp(-t / tau)))
    click = rng.normal(0, 0.5, t.size) * np.exp(-t / 0.003)
    return np.sin(phase) * np.exp(-t / rng.uniform(0.08, 0.16)) + click


def snare_drum(rng: np.random.Generator, sample_rate: int, clap: bool) -> np.ndarray:
    """A tone and noise; a clap is noise that starts several times within 25 ms."""
    t = _time(0.28, sample_rate)
    noise = rng.normal(0, 1, t.size)
    noise = noise - 0.6 * np.concatenate([[0.0], noise[:-1]])
    body = noise * np.exp(-t / rng.uniform(0.04, 0.09)) * 0.5
    if clap:
        for start in (0.009, 0.018):
            later = t - start
            body += 0.4 * noise * np.exp(-np.maximum(later, 0) / 0.012) * (later > 0)
        return body
    tone = np.sin(2 * np.pi * rng.uniform(170, 240) * t) * np.exp(-t / 0.05)
    return body + 0.7 * tone


def hat(rng: np.random.Generator, sample_rate: int, decay: float) -> np.ndarray:
    """High noise (second difference of white noise) with an exponential decay in seconds."""
    t = _time(min(6 * decay, 0.8), sample_rate)
    noise = np.diff(rng.normal(0, 1, t.size + 2), n=2)
    return 0.35 * noise * np.exp(-t / decay)


def _saw(phase: np.ndarray, partials: int, tilt: float) -> np.ndarray:
    """Σ sin(k·phase) / k^tilt: band-limited by construction."""
    return np.sum([np.sin(k * phase) / k**tilt for k in range(1, partials + 1)], axis=0)


def _square(phase: np.ndarray, partials: int, tilt: float) -> np.ndarray:
    return np.sum([np.sin(k * phase) / k**tilt for k in range(1, partials + 1, 2)], axis=0)


_VOICES: tuple[Callable[[np.ndarray, int, float], np.ndarray], ...] = (_saw, _square)


@dataclass(frozen=True)
class Voice:
    """The timbre of a tuned instrument; times in seconds."""

    wave: Callable[[np.ndarray, int, float], np.ndarray]
    partials: int
    tilt: float
    attack: float
    decay: float

    @classmethod
    def bass(cls, rng: np.random.Generator) -> Voice:
        """Few partials, quick attack."""
        return cls(
            _VOICES[int(rng.integers(2))],
            int(rng.integers(2, 7)),
            float(rng.uniform(1.1, 1.8)),
            0.004,
            float(rng.uniform(0.15, 0.4)),
        )

    @classmethod
    def chords(cls, rng: np.random.Generator, pad: bool) -> Voice:
        """A pad (slow, one a bar) or a keyboard (plucked)."""
        attack, decay = (0.08, 1.5) if pad else (0.006, float(rng.uniform(0.15, 0.45)))
        return cls(
            _VOICES[int(rng.integers(2))],
            int(rng.integers(3, 8)),
            float(rng.uniform(1.2, 2.0)),
            attack,
            decay,
        )

    def note(self, midi: float, seconds: float, sample_rate: int) -> np.ndarray:
        """One note, `midi` being its number (69: 440 Hz)."""
        t = _time(seconds, sample_rate)
        frequency = 440.0 * 2.0 ** ((midi - 69.0) / 12.0)
        envelope = np.minimum(t / self.attack, 1.0) * np.exp(-t / self.decay)
        envelope *= np.clip((seconds - t) / 0.015, 0.0, 1.0)
        return self.wave(2 * np.pi * frequency * t, self.partials, self.tilt) * envelope


class _Mix:
    """A buffer onto which sounds are laid at any time, also before its start or over its end."""

    def __init__(self, seconds: float, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.wav = np.zeros(round(seconds * sample_rate))

    def add(self, sound: np.ndarray, time: float, gain: float) -> None:
        start = round(time * self.sample_rate)
        first, last = max(0, -start), min(sound.size, self.wav.size - start)
        if last > first:
            self.wav[start + first : start + last] += gain * sound[first:last]


def _hush(wav: np.ndarray, score: Score, sample_rate: int) -> np.ndarray:
    """Silence during pauses: 60 ms fade out, back at once on the next beat."""
    gain = np.ones(wav.size)
    for start, end in score.pauses():
        a, b = round(start * sample_rate), round(end * sample_rate)
        fade = np.clip(1.0 - np.arange(max(b - a, 0)) / (0.06 * sample_rate), 0.01, 1.0)
        gain[a:b] = fade[: gain[a:b].size]
    return wav * gain


def synthesise(
    seed: np.random.SeedSequence, score: Score, genre: str, sample_rate: int = 22050
) -> np.ndarray:
    """Music (N,) float32, peak 0.9, of the score's length.

    Args:
        seed: key, harmony, timbres and small variations come from it.
        score: beats, accents, density, pauses.
        genre: one of `PATTERNS`.
        sample_rate: Hz.
    """
    rng = np.random.default_rng(seed)
    pattern = PATTERNS[genre]
    scale = _SCALES[int(rng.integers(len(_SCALES)))]
    progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
    key = int(rng.integers(33, 45))
    drums = {
        "kick": kick_drum(rng, sample_rate),
        "snare": snare_drum(rng, sample_rate, pattern.clap),
        "hat": hat(rng, sample_rate, float(rng.uniform(0.015, 0.035))),
        "open": hat(rng, sample_rate, float(rng.uniform(0.04, 0.08))),
        "crash": hat(rng, sample_rate, float(rng.uniform(0.12, 0.22))),
    }
    bass, chords = Voice.bass(rng), Voice.chords(rng, pad=len(pattern.chord) == 1)
    bass_level, chord_level = float(rng.uniform(0.22, 0.34)), float(rng.uniform(0.06, 0.11))
    mix = _Mix(score.seconds, sample_rate)

    def degree(bar: int, step: int) -> int:
        place = progression[bar % len(progression)] + step
        return key + scale[place % 7] + 12 * (place // 7)

    for hit in score.hits:
        if hit.still:
            continue
        gain = 1.15 if hit.accent else 0.9
        _strike(mix, drums, hit, pattern, gain, score.period)
        count = int(hit.count)
        sounding = hit.mode is not Mode.HALF or count % 2 == 0
        if hit.on_beat and count in pattern.bass and sounding:
            length = min(score.period * (2.0 if hit.mode is Mode.HALF else 0.9), 0.8)
            note = degree(hit.bar, 4 if count == 3 else 0)
            mix.add(bass.note(note, length, sample_rate), hit.time, bass_level * gain)
        if hit.on_beat and count in pattern.chord and sounding:
            length = score.period * BEATS_PER_BAR / len(pattern.chord) * 0.95
            triad = [degree(hit.bar, step) + 24 for step in (0, 2, 4)]
            sound = np.sum([chords.note(note, length, sample_rate) for note in triad], axis=0)
            mix.add(sound, hit.time, chord_level * gain)
    wav = np.tanh(1.1 * _hush(mix.wav, score, sample_rate))
    return (0.9 * wav / max(float(np.abs(wav).max()), 1e-9)).astype(np.float32)


def _strike(
    mix: _Mix, drums: dict[str, np.ndarray], hit: Hit, pattern: Pattern, gain: float, period: float
) -> None:
    """The drums of one hit."""
    count = int(hit.count)
    if hit.mode is Mode.HALF:
        mix.add(drums["hat"], hit.time, 0.7 * gain)
        if count % 2 == 0:
            mix.add(drums["kick" if count == 0 else "snare"], hit.time, gain)
    elif not hit.on_beat:  # double-time: the half beats are struck as hard as the beats
        mix.add(drums["snare"], hit.time, 0.75 * gain)
        mix.add(drums["hat"], hit.time, 0.5)
    else:
        mix.add(drums["hat"], hit.time, 0.5 * gain)
        if count in pattern.kick:
            mix.add(drums["kick"], hit.time, gain)
        if count in pattern.snare and hit.mode is not Mode.DOUBLE:
            mix.add(drums["snare"], hit.time, 0.85 * gain)
        elif hit.mode is Mode.DOUBLE and count not in pattern.kick:
            mix.add(drums["kick"], hit.time, gain)
        if hit.mode is Mode.NORMAL and pattern.between > 0:
            name = "open" if pattern.between > 0.3 else "hat"
            mix.add(drums[name], hit.time + 0.5 * period, 0.6 * pattern.between)
    if hit.accent:
        mix.add(drums["crash"], hit.time, 0.35)
