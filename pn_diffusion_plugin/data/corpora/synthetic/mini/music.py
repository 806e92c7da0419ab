"""Music of the preset `mini`: drums, bass and chords.

Every beat is a drum stroke; strokes between beats are much quieter, so that the beats are clear. Genres differ in their
patterns, songs in key, harmony and the timbre of every instrument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ....score.notes import DRUM_KEYS, DRUM_NAMES, Note, Score
from ..harmony import SCALES, Harmony
from ..mixing import Track, hush, time_axis
from ..timing import BEATS_PER_BAR, Hit, Mode, Timing

_SCALES = ("minor", "major", "dorian")
_PROGRESSIONS = ((0, 5, 3, 4), (0, 3, 4, 4), (0, 5, 1, 4), (0, 2, 3, 4), (0, 0, 3, 4), (0, 6, 5, 4))


@dataclass(frozen=True)
class Pattern:
    """Beats of a normal bar on which each instrument plays, and the level of the strokes between beats."""

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


def kick_drum(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Synthesise a kick: a click, and a sine of falling frequency low + (high − low)·exp(−t/τ)."""
    t = time_axis(0.32, sample_rate)
    low, high, tau = rng.uniform(42, 60), rng.uniform(160, 320), rng.uniform(0.018, 0.04)
    phase = 2 * np.pi * (low * t + (high - low) * tau * (1.0 - np.exp(-t / tau)))
    click = rng.normal(0, 0.5, t.size) * np.exp(-t / 0.003)
    return np.sin(phase) * np.exp(-t / rng.uniform(0.08, 0.16)) + click


def snare_drum(rng: np.random.Generator, sample_rate: int, clap: bool) -> np.ndarray:
    """Synthesise a snare, tone and noise, or a clap: noise that starts several times within 25 ms."""
    t = time_axis(0.28, sample_rate)
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
    """Synthesise a cymbal: second difference of white noise with an exponential decay (s)."""
    t = time_axis(min(6 * decay, 0.8), sample_rate)
    noise = np.diff(rng.normal(0, 1, t.size + 2), n=2)
    return 0.35 * noise * np.exp(-t / decay)


def _saw(phase: np.ndarray, partials: int, tilt: float) -> np.ndarray:
    """Band-limited saw: Σ sin(k·phase) / k^tilt."""
    return np.sum([np.sin(k * phase) / k**tilt for k in range(1, partials + 1)], axis=0)


def _square(phase: np.ndarray, partials: int, tilt: float) -> np.ndarray:
    return np.sum([np.sin(k * phase) / k**tilt for k in range(1, partials + 1, 2)], axis=0)


_WAVES: tuple[Callable[[np.ndarray, int, float], np.ndarray], ...] = (_saw, _square)


@dataclass(frozen=True)
class Voice:
    """Timbre of a tuned instrument; times in seconds."""

    wave: Callable[[np.ndarray, int, float], np.ndarray]
    partials: int
    tilt: float
    attack: float
    decay: float

    @classmethod
    def bass(cls, rng: np.random.Generator) -> Voice:
        """Bass: few partials, quick attack."""
        wave, partials = _WAVES[int(rng.integers(2))], int(rng.integers(2, 7))
        return cls(wave, partials, float(rng.uniform(1.1, 1.8)), 0.004, float(rng.uniform(0.15, 0.4)))

    @classmethod
    def chords(cls, rng: np.random.Generator, pad: bool) -> Voice:
        """Pad (slow, one chord per bar) or keyboard."""
        attack, decay = (0.08, 1.5) if pad else (0.006, float(rng.uniform(0.15, 0.45)))
        wave, partials = _WAVES[int(rng.integers(2))], int(rng.integers(3, 8))
        return cls(wave, partials, float(rng.uniform(1.2, 2.0)), attack, decay)

    def note(self, midi: float, seconds: float, sample_rate: int) -> np.ndarray:
        """Synthesise a note of MIDI number `midi` (69: 440 Hz)."""
        t = time_axis(seconds, sample_rate)
        frequency = 440.0 * 2.0 ** ((midi - 69.0) / 12.0)
        envelope = np.minimum(t / self.attack, 1.0) * np.exp(-t / self.decay)
        envelope *= np.clip((seconds - t) / 0.015, 0.0, 1.0)
        return self.wave(2 * np.pi * frequency * t, self.partials, self.tilt) * envelope


class Song:
    """Score and instruments of one song.

    Args:
        rng: source of key, harmony and timbres.
        timing: of the clip.
        genre: one of `PATTERNS`.
        rate: Hz.
    """

    def __init__(self, rng: np.random.Generator, timing: Timing, genre: str, rate: int) -> None:
        self._timing, self._pattern, self._rate = timing, PATTERNS[genre], rate
        scale = SCALES[_SCALES[int(rng.integers(len(_SCALES)))]]
        progression = _PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))]
        key = int(rng.integers(33, 45))
        self._harmony = Harmony(key, scale, progression, seventh=False, inversion=0)
        self._kit = {
            "kick": kick_drum(rng, rate),
            "snare": snare_drum(rng, rate, self._pattern.clap),
            "hat": hat(rng, rate, float(rng.uniform(0.015, 0.035))),
            "open": hat(rng, rate, float(rng.uniform(0.04, 0.08))),
            "crash": hat(rng, rate, float(rng.uniform(0.12, 0.22))),
        }
        self._voices = {
            "bass": Voice.bass(rng),
            "chord": Voice.chords(rng, pad=len(self._pattern.chord) == 1),
        }
        self.levels = {
            "bass": float(rng.uniform(0.22, 0.34)),
            "chord": float(rng.uniform(0.06, 0.11)),
            "drums": 1.0,
        }
        self.notes: list[Note] = []
        for hit in timing.hits:
            if not hit.still:
                self._drums(hit)
                self._tuned(hit)

    @property
    def score(self) -> Score:
        """The notes, with key and beats. Its patterns are too simple for one of `genres.GENRES`: the style is `any`."""
        return self._harmony.score(self.notes, self._timing, "any")

    def sound(self, note: Note) -> np.ndarray:
        """Waveform (n,) of a note at velocity 1."""
        if note.voice == "drums":
            return self._kit[DRUM_NAMES[note.pitch]]
        return self._voices[note.voice].note(note.pitch, note.duration, self._rate)

    def _strike(self, drum: str, time: float, gain: float) -> None:
        self.notes.append(Note(time, 0.0, DRUM_KEYS[drum], gain, "drums"))

    def _drums(self, hit: Hit) -> None:
        pattern, mode, count = self._pattern, hit.bar.mode, int(hit.count)
        gain = _gain(hit)
        if mode is Mode.HALF:
            self._strike("hat", hit.time, 0.7 * gain)
            if count % 2 == 0:
                self._strike("kick" if count == 0 else "snare", hit.time, gain)
        elif not hit.on_beat:  # double-time: half beats are as loud as beats
            self._strike("snare", hit.time, 0.75 * gain)
            self._strike("hat", hit.time, 0.5)
        else:
            self._strike("hat", hit.time, 0.5 * gain)
            if count in pattern.kick:
                self._strike("kick", hit.time, gain)
            if count in pattern.snare and mode is not Mode.DOUBLE:
                self._strike("snare", hit.time, 0.85 * gain)
            elif mode is Mode.DOUBLE and count not in pattern.kick:
                self._strike("kick", hit.time, gain)
            if mode is Mode.NORMAL and hit.bar.still_from == BEATS_PER_BAR:
                between = "open" if pattern.between > 0.3 else "hat"
                self._strike(between, hit.time + 0.5 * self._timing.period, 0.6 * pattern.between)
        if hit.accent:
            self._strike("crash", hit.time, 0.35)

    def _tuned(self, hit: Hit) -> None:
        pattern, period, bar, count = self._pattern, self._timing.period, hit.bar, int(hit.count)
        if not hit.on_beat or hit.passing:
            return
        if count in pattern.bass:
            length = min(period * (2.0 if bar.mode is Mode.HALF else 0.9), 0.8)
            pitch = self._harmony.degree(bar.number, 4 if count == 3 else 0)
            self.notes.append(Note(hit.time, length, pitch, _gain(hit), "bass"))
        if count in pattern.chord:
            length = period * BEATS_PER_BAR / len(pattern.chord) * 0.95
            for pitch in self._harmony.chord(bar.number):
                self.notes.append(Note(hit.time, length, pitch, _gain(hit), "chord"))


def _gain(hit: Hit) -> float:
    return 1.15 if hit.accent else 0.9


def synthesise(seed: np.random.SeedSequence, timing: Timing, genre: str, rate: int = 22050) -> np.ndarray:
    """Compose, render and mix a song: (N,) float32 as long as the clip, peak 0.9.

    Args:
        seed: source of everything random.
        timing: of the clip.
        genre: one of `PATTERNS`.
        rate: Hz.
    """
    song = Song(np.random.default_rng(seed), timing, genre, rate)
    track = Track(timing.seconds, rate)
    for note in song.notes:
        track.add(song.sound(note), note.onset, song.levels[note.voice] * note.velocity)
    wav = np.tanh(1.1 * hush(track.wav, timing.pauses(), rate))
    return (0.9 * wav / max(float(np.abs(wav).max()), 1e-9)).astype(np.float32)
