"""Music for a score: drums, bass, chords and melody of a genre, arranged by sections, mixed.

Every beat of the score that the dancer meets sounds. A song draws its kit, patterns, harmony, instruments and mix once;
sections differ in what plays and how loud: an intro without bass, a chorus with all, a break of chords and little
else; a fill leads over to the next section, whose first beat has a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .drums import Kit
from .genres import GENRES, Genre
from .harmony import Harmony
from .mixing import Track, compress, ducking, hush, master, reverberation
from .score import BEATS_PER_BAR, DENSE_FILLS, Bar, Mode, Score, Section
from .voices import bass_voice, chord_voice, lead_voice

_GAINS = {"X": 1.0, "x": 0.8, "o": 0.4}
_STEPS = 16
# section → which tracks play, and how loud
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


class _Song:
    """What one song is made of."""

    def __init__(self, rng: np.random.Generator, genre: Genre, rate: int) -> None:
        self.genre, self.rate = genre, rate
        self.kit = Kit(_one(rng, genre.kits), rng, rate).sounds
        self.kick, self.snare, self.hat = (_one(rng, p) for p in (genre.kicks, genre.snares, genre.hats))
        self.snare_drum = _one(rng, genre.snare)
        names = list(genre.extras)
        self.extras = [names[i] for i in rng.permutation(len(names))[: int(rng.integers(0, 3))]]
        self.harmony = Harmony.random(rng, genre.scales)
        self.bass = bass_voice(_one(rng, genre.basses), rng, rate)
        self.bass_line = _one(rng, genre.bass_lines)
        self.chords = chord_voice(chords := _one(rng, genre.chords), rng, rate)
        self.comping = "x..............." if chords in ("pad", "strings") else _one(rng, genre.comping)
        self.held = chords in ("pad", "strings", "organ")
        self.lead = lead_voice(_one(rng, genre.leads), rng, rate)
        rhythm = genre.melody * np.tile([1.0, 0.25, 0.7, 0.25], 4)
        self.phrases = [self.harmony.melody(rng, rhythm) for _ in range(2)]
        self.levels = {
            "kick": rng.uniform(0.8, 1.0),
            "snare": rng.uniform(0.5, 0.8),
            "hat": rng.uniform(0.16, 0.36),
            "extra": rng.uniform(0.15, 0.3),
            "bass": rng.uniform(0.4, 0.7),
            "chord": rng.uniform(0.12, 0.24),
            "lead": rng.uniform(0.08, 0.17),
        }
        self.fill = [_one(rng, ("snare", "tom_high", "tom_low", "snare", "clap")) for _ in range(8)]


def synthesise(
    seed: np.random.SeedSequence, score: Score, genre: str, sample_rate: int = 22050
) -> np.ndarray:
    """Music (N,) float32, peak 0.9, of the score's length.

    Args:
        seed: everything that makes the song comes from it.
        score: beats, sections, swing, pauses.
        genre: one of `GENRES`.
        sample_rate: Hz.
    """
    rng = np.random.default_rng(seed)
    song = _Song(rng, GENRES[genre], sample_rate)
    tracks = {name: Track(score.seconds, sample_rate) for name in song.levels}
    kicks: list[float] = []
    for bar in score.bars:
        if bar.start > score.seconds or bar.start + 2 * BEATS_PER_BAR * score.period < 0:
            continue
        _drums(rng, song, score, bar, tracks, kicks)
        _tuned(rng, song, score, bar, tracks)
    pump = float(rng.uniform(0.2, 0.6)) if genre in ("house", "techno", "trap", "electro", "pop") else 0.15
    gain = ducking(kicks, tracks["bass"].wav.size, sample_rate, pump, 0.11)
    for name in ("bass", "chord", "lead"):
        tracks[name].wav *= gain
    dry = np.sum([track.wav * song.levels[name] for name, track in tracks.items()], axis=0)
    send = sum(tracks[name].wav * song.levels[name] * share for name, share in _SENDS.items())
    wet = reverberation(np.asarray(send), sample_rate, float(rng.uniform(0.35, 1.3)), rng)
    mixed = dry + song.genre.space * float(rng.uniform(0.5, 1.6)) * 4.0 * wet
    mixed = compress(mixed, sample_rate, float(rng.uniform(0.4, 0.8)), float(rng.uniform(1.2, 2.5)))
    return master(hush(mixed, score.pauses(), sample_rate), sample_rate, float(rng.uniform(0.2, 1.1)))


def _places(score: Score, bar: Bar, pattern: str) -> list[tuple[int, float, float]]:
    """(step, seconds, gain) of a pattern's strokes in a bar that sounds."""
    found = []
    for step, sign in enumerate(pattern):
        if sign != "." and step / 4 < bar.still_from:
            found.append((step, score.time(bar, step / 4), _GAINS[sign]))
    return found


def _drums(
    rng: np.random.Generator,
    song: _Song,
    score: Score,
    bar: Bar,
    tracks: dict[str, Track],
    kicks: list[float],
) -> None:
    levels, kit = _LEVELS[bar.section], song.kit
    human = 0.004 if "acoustic" in song.genre.kits else 0.001

    def strike(track: str, drum: str, time: float, gain: float) -> None:
        tracks[track].add(kit[drum], time + float(rng.normal(0, human)), gain * float(rng.uniform(0.85, 1.1)))

    fill_from = 4 * bar.fill_from
    kick, snare = song.kick, song.snare
    if bar.mode is Mode.HALF:
        kick, snare = "X" + "." * 9 + "x.....", "........X......."
    if bar.section is Section.BREAK:
        kick = "X..............."
    for step, time, gain in _places(score, bar, kick):
        if step < fill_from:
            strike("kick", "kick", time, gain * levels["kick"])
            kicks.append(time)
    for step, time, gain in _places(score, bar, snare):
        if step < fill_from:
            strike("snare", song.snare_drum, time, gain * levels["snare"])
    for step, time, gain in _places(score, bar, song.hat):
        if bar.mode is Mode.HALF and step % 4 == 2:
            gain *= 0.4  # the beats stand out where the dancer meets every second
        off = song.hat[2] == "X" and step % 4 == 2
        strike("hat", "open" if off else "hat", time, gain * levels["hat"])
    for name in song.extras:
        for _, time, gain in _places(score, bar, song.genre.extras[name]):
            strike("extra", name, time, gain * levels["extra"])
    if bar.mode is Mode.DOUBLE:  # the half beats are struck as hard as the beats
        for beat in range(2 * BEATS_PER_BAR):
            if beat % 2 and beat / 2 < bar.still_from:
                strike("snare", song.snare_drum, score.time(bar, beat / 2), 0.55)
    for beat in range(bar.still_from):  # no beat that the dancer meets is silent
        strike("hat", "hat", score.time(bar, beat), 0.9)
        if bar.section is Section.BREAK or (song.kick[4 * beat] == "." and song.snare[4 * beat] == "."):
            strike("extra", "rim", score.time(bar, beat), 0.7)
    if bar.fill_from < bar.still_from:
        halves = 1 if score.bpm > DENSE_FILLS else 2
        for i in range((BEATS_PER_BAR - bar.fill_from) * halves):
            drum = song.fill[i % 8]
            place = bar.fill_from + i / halves
            strike(
                "kick" if drum.startswith("tom") else "snare", drum, score.time(bar, place), 0.75 + 0.06 * i
            )
    if bar.opens:
        strike("extra", "crash", bar.start, 1.6)


def _tuned(rng: np.random.Generator, song: _Song, score: Score, bar: Bar, tracks: dict[str, Track]) -> None:
    levels, period, harmony = _LEVELS[bar.section], score.period, song.harmony
    line = "x.......x......." if bar.mode is Mode.HALF else song.bass_line
    strokes = _places(score, bar, line)
    for i, (step, time, gain) in enumerate(strokes):
        after = strokes[i + 1][0] if i + 1 < len(strokes) else _STEPS
        length = min((after - step) / 4 * period * 0.92, 1.6)
        above = int(rng.choice([0, 4, 7], p=[0.7, 0.15, 0.15])) if step % 16 else 0
        note = song.bass.note(harmony.degree(bar.number, above), length)
        tracks["bass"].add(note, time, gain * levels["bass"])
    comping = "x..............." if bar.section is Section.BREAK and song.held else song.comping
    strokes = _places(score, bar, comping)
    for i, (step, time, gain) in enumerate(strokes):
        after = strokes[i + 1][0] if i + 1 < len(strokes) else _STEPS
        length = (after - step) / 4 * period * (0.98 if song.held else 0.8)
        sound = np.sum(
            [song.chords.note(note, min(length, 3.2)) for note in harmony.chord(bar.number)], axis=0
        )
        tracks["chord"].add(sound, time, gain * levels["chord"] * float(rng.uniform(0.9, 1.05)))
    for step, above in song.phrases[bar.number % 2]:
        if step / 4 < bar.still_from and levels["lead"]:
            note = song.lead.note(harmony.degree(bar.number, above) + 36, 0.5 * period)
            tracks["lead"].add(note, score.time(bar, step / 4), levels["lead"] * float(rng.uniform(0.7, 1.0)))
