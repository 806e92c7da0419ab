"""Music for a timing: drums, bass, chords and melody of a genre, arranged by sections.

A song has one kit, one set of patterns, one harmony, one set of instruments and one mix. Sections differ in what plays
and how loud: an intro without bass, a chorus with everything, a break of mostly chords; a fill leads to the next
section, whose first beat has a crash. Every beat on which the dancer arrives is audible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ...score.notes import DRUM_KEYS, DRUM_NAMES, Note, Score
from .drums import Kit
from .genres import GENRES
from .harmony import Harmony
from .mixing import Track, compress, ducking, hush, master, reverberation
from .timing import BEATS_PER_BAR, DENSE_FILLS, Bar, Mode, Section, Timing
from .voices import bass_voice, instrument

_GAINS = {"X": 1.0, "x": 0.8, "o": 0.4}
_STEPS = 16
# section → gain of each track
_LEVELS: dict[Section, dict[str, float]] = {
    Section.INTRO: {"kick": 0.9, "snare": 0.0, "hat": 0.9, "extra": 0.8, "bass": 0.0, "chord": 1.0, "lead": 0.0},
    Section.VERSE: {"kick": 1.0, "snare": 1.0, "hat": 0.9, "extra": 0.6, "bass": 1.0, "chord": 0.8, "lead": 0.3},
    Section.CHORUS: {"kick": 1.0, "snare": 1.0, "hat": 1.0, "extra": 1.0, "bass": 1.0, "chord": 1.0, "lead": 1.0},
    Section.BREAK: {"kick": 0.5, "snare": 0.0, "hat": 0.6, "extra": 0.5, "bass": 0.5, "chord": 1.2, "lead": 0.6},
}  # fmt: skip
_SENDS = {"snare": 0.7, "chord": 1.0, "lead": 1.2, "extra": 0.6}  # to the reverberation

Item = TypeVar("Item")


def _one(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


class Song:
    """Score, instruments and levels of one song.

    Args:
        rng: source of everything random.
        timing: of the clip.
        name: one of `GENRES`, the source of patterns and sounds.
        rate: Hz; 0: the song is not going to sound, and has no drums (which takes less time).

    Attributes:
        notes: the score.
        kicks: times (s) of the kick pattern, for the side-chain.
        levels: voice → level in the mix.
    """

    def __init__(self, rng: np.random.Generator, timing: Timing, name: str, rate: int) -> None:
        self._rng, self._timing, self.name = rng, timing, name
        genre = self.genre = GENRES[name]
        self._kit = Kit(_one(rng, genre.kits), rng, rate).sounds if rate else {}
        self._kick, self._snare, self._hat = (_one(rng, p) for p in (genre.kicks, genre.snares, genre.hats))
        self._snare_drum = _one(rng, genre.snare)
        names = list(genre.extras)
        self._extras = [names[i] for i in rng.permutation(len(names))[: int(rng.integers(0, 3))]]
        self._harmony = Harmony.random(rng, genre.scales)
        bass = bass_voice(_one(rng, genre.basses), rng, rate)
        self._bass_line = _one(rng, genre.bass_lines)
        chord = instrument(name := _one(rng, genre.chords), rng, rate)
        self._comping = "x..............." if name in ("pad", "strings") else _one(rng, genre.comping)
        self._held = name in ("pad", "strings", "organ")
        lead = instrument(_one(rng, genre.leads), rng, rate)
        self._voices = {"bass": bass, "chord": chord, "lead": lead}
        rhythm = genre.melody * np.tile([1.0, 0.25, 0.7, 0.25], 4)
        self._phrases = [self._harmony.melody(rng, rhythm) for _ in range(2)]
        self.levels = {
            "kick": rng.uniform(0.8, 1.0),
            "snare": rng.uniform(0.5, 0.8),
            "hat": rng.uniform(0.16, 0.36),
            "extra": rng.uniform(0.15, 0.3),
            "bass": rng.uniform(0.4, 0.7),
            "chord": rng.uniform(0.12, 0.24),
            "lead": rng.uniform(0.08, 0.17),
        }
        self._fill = [_one(rng, ("snare", "tom_high", "tom_low", "snare", "clap")) for _ in range(8)]
        self.notes: list[Note] = []
        self.kicks: list[float] = []
        for bar in timing.bars:
            if bar.start <= timing.seconds and bar.start + 2 * BEATS_PER_BAR * timing.period >= 0:
                self._drums(bar)
                self._tuned(bar)

    @property
    def score(self) -> Score:
        """The notes, with key and beats."""
        return self._harmony.score(self.notes, self._timing, self.name)

    def sound(self, note: Note) -> np.ndarray:
        """Waveform (n,) of a note at velocity 1."""
        if note.voice in self._voices:
            return self._voices[note.voice].note(note.pitch, note.duration)
        return self._kit[DRUM_NAMES[note.pitch]]

    def _add(self, onset: float, duration: float, pitch: int, velocity: float, voice: str) -> None:
        if velocity:
            self.notes.append(Note(onset, duration, pitch, velocity, voice))

    def _strokes(self, bar: Bar, pattern: str) -> list[tuple[int, float, float]]:
        """(step, seconds, gain) of a pattern's strokes in a bar, without those in a pause."""
        return [
            (step, self._timing.time(bar, step / 4), _GAINS[sign])
            for step, sign in enumerate(pattern)
            if sign != "." and step / 4 < bar.still_from
        ]

    def _drums(self, bar: Bar) -> None:
        rng, timing, levels = self._rng, self._timing, _LEVELS[bar.section]
        human = 0.004 if "acoustic" in self.genre.kits else 0.001  # s, deviation of the onsets

        def strike(voice: str, drum: str, time: float, gain: float) -> None:
            onset = time + float(rng.normal(0, human))
            self._add(onset, 0.0, DRUM_KEYS[drum], gain * float(rng.uniform(0.85, 1.1)), voice)

        fill_from = 4 * bar.fill_from
        kick, snare = self._kick, self._snare
        if bar.mode is Mode.HALF:
            kick, snare = "X" + "." * 9 + "x.....", "........X......."
        if bar.section is Section.BREAK:
            kick = "X..............."
        for step, time, gain in self._strokes(bar, kick):
            if step < fill_from:
                strike("kick", "kick", time, gain * levels["kick"])
                self.kicks.append(time)
        for step, time, gain in self._strokes(bar, snare):
            if step < fill_from:
                strike("snare", self._snare_drum, time, gain * levels["snare"])
        for step, time, gain in self._strokes(bar, self._hat):
            if bar.mode is Mode.HALF and step % 4 == 2:
                gain *= 0.4  # beats stand out where the dancer arrives on every second one
            off = self._hat[2] == "X" and step % 4 == 2
            strike("hat", "open" if off else "hat", time, gain * levels["hat"])
        for name in self._extras:
            for _, time, gain in self._strokes(bar, self.genre.extras[name]):
                strike("extra", name, time, gain * levels["extra"])
        if bar.mode is Mode.DOUBLE:  # half beats are as loud as beats
            for beat in range(2 * BEATS_PER_BAR):
                if beat % 2 and beat / 2 < bar.still_from:
                    strike("snare", self._snare_drum, timing.time(bar, beat / 2), 0.55)
        for beat in range(bar.still_from):  # no beat without a stroke
            strike("hat", "hat", timing.time(bar, beat), 0.9)
            if bar.section is Section.BREAK or (self._kick[4 * beat] == "." and self._snare[4 * beat] == "."):
                strike("extra", "rim", timing.time(bar, beat), 0.7)
        if bar.fill_from < bar.still_from:
            halves = 1 if timing.bpm > DENSE_FILLS else 2
            for i in range((BEATS_PER_BAR - bar.fill_from) * halves):
                drum = self._fill[i % 8]
                voice = "kick" if drum.startswith("tom") else "snare"
                strike(voice, drum, timing.time(bar, bar.fill_from + i / halves), 0.75 + 0.06 * i)
        if bar.opens:
            strike("extra", "crash", bar.start, 1.6)

    def _tuned(self, bar: Bar) -> None:
        rng, period, levels, harmony = self._rng, self._timing.period, _LEVELS[bar.section], self._harmony
        strokes = self._strokes(bar, "x.......x......." if bar.mode is Mode.HALF else self._bass_line)
        for i, (step, time, gain) in enumerate(strokes):
            after = strokes[i + 1][0] if i + 1 < len(strokes) else _STEPS
            length = min((after - step) / 4 * period * 0.92, 1.6)
            above = int(rng.choice([0, 4, 7], p=[0.7, 0.15, 0.15])) if step % 16 else 0
            self._add(time, length, harmony.degree(bar.number, above), gain * levels["bass"], "bass")
        sustained = bar.section is Section.BREAK and self._held
        strokes = self._strokes(bar, "x..............." if sustained else self._comping)
        for i, (step, time, gain) in enumerate(strokes):
            after = strokes[i + 1][0] if i + 1 < len(strokes) else _STEPS
            length = min((after - step) / 4 * period * (0.98 if self._held else 0.8), 3.2)
            velocity = gain * levels["chord"] * float(rng.uniform(0.9, 1.05))
            for pitch in harmony.chord(bar.number):
                self._add(time, length, pitch, velocity, "chord")
        for step, above in self._phrases[bar.number % 2]:
            if step / 4 < bar.still_from and levels["lead"]:
                velocity = levels["lead"] * float(rng.uniform(0.7, 1.0))
                pitch = harmony.degree(bar.number, above) + 36
                self._add(self._timing.time(bar, step / 4), 0.5 * period, pitch, velocity, "lead")


def other_scores(seed: np.random.SeedSequence, timing: Timing, count: int) -> list[Score]:
    """Scores of `count` different genres, each with its own swing, for a dance of that timing.

    One dance goes with music of any genre: a network that is trained on all of them takes the genre from its label, and
    the timing from the dance.
    """
    rng = np.random.default_rng(seed)
    scores = []
    for name in rng.permutation(list(GENRES))[:count]:
        genre = GENRES[name]
        own = replace(timing, swing=round(float(rng.uniform(*genre.swing)), 3), parts=genre.parts)
        scores.append(Song(rng, own, str(name), 0).score)
    return scores


def synthesise(seed: np.random.SeedSequence, timing: Timing, genre: str, rate: int = 22050) -> np.ndarray:
    """Compose, render and mix a song: (N,) float32 as long as the clip, peak 0.9.

    Args:
        seed: source of everything random.
        timing: of the clip.
        genre: one of `GENRES`.
        rate: Hz.
    """
    rng = np.random.default_rng(seed)
    song = Song(rng, timing, genre, rate)
    tracks = {voice: Track(timing.seconds, rate) for voice in song.levels}
    for note in song.notes:
        tracks[note.voice].add(song.sound(note), note.onset, note.velocity)
    pump = float(rng.uniform(0.2, 0.6)) if genre in ("house", "techno", "trap", "electro", "pop") else 0.15
    gain = ducking(song.kicks, tracks["bass"].wav.size, rate, pump, 0.11)
    for voice in ("bass", "chord", "lead"):
        tracks[voice].wav *= gain
    dry = np.sum([track.wav * song.levels[voice] for voice, track in tracks.items()], axis=0)
    send = sum(tracks[voice].wav * song.levels[voice] * share for voice, share in _SENDS.items())
    wet = reverberation(np.asarray(send), rate, float(rng.uniform(0.35, 1.3)), rng)
    mixed = dry + song.genre.space * float(rng.uniform(0.5, 1.6)) * 4.0 * wet
    mixed = compress(mixed, rate, float(rng.uniform(0.4, 0.8)), float(rng.uniform(1.2, 2.5)))
    return master(hush(mixed, timing.pauses(), rate), rate, float(rng.uniform(0.2, 1.1)))
