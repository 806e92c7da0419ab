"""Timing that dance and music of a clip share: tempo, swing, sections, density, pauses.

A clip is an excerpt of a song. The song is a sequence of sections (intro, verse, chorus, break) of two or four bars of
four beats. Each bar has a `Mode`, the density of both dance and music: one move per beat, per two beats (half-time) or
per half beat (double-time). The end of a section may be a fill, whose last beats are dense; a bar may end in a pause,
in which the dancer stands still and the music is silent.

Swing delays every second half beat (or every second quarter beat): at 0.5 they are even, at 0.66 they fall on the last
third, as in a shuffle.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

BEATS_PER_BAR = 4
DENSE_FILLS = 110  # beats per minute, up to which a fill strikes half beats too
SECOND_ACCENTS = (0.1, 0.4, 0.8)  # how often the third beat is stressed, one per song
MARGIN_BARS = 2  # laid out before and after the clip, so that the dancer already moves at its start


class Section(enum.Enum):
    """Part of a song."""

    INTRO = "intro"
    VERSE = "verse"
    CHORUS = "chorus"
    BREAK = "break"


class Mode(enum.Enum):
    """Density of a bar."""

    NORMAL = "normal"
    HALF = "half"
    DOUBLE = "double"


@dataclass(frozen=True)
class Bar:
    """One bar of four beats.

    Args:
        number: counts the bars.
        start: seconds of its first beat.
        section: part of the song.
        mode: density.
        opens: first bar of its section.
        fill_from: beat at which a fill starts; 4: none.
        still_from: beat at which a pause starts; 4: none.
        phrase: number of its pair of bars; a dancer repeats the same pattern within a phrase.
    """

    number: int
    start: float
    section: Section
    mode: Mode
    opens: bool
    fill_from: int
    still_from: int
    phrase: int


@dataclass(frozen=True)
class Hit:
    """One moment at which the dancer arrives in a key pose.

    Args:
        time: seconds; hits outside the clip are kept, as the dancer moves into and out of it.
        count: place in its bar, in beats (0, 0.5, 1, …).
        bar: the bar it falls in.
        accent: a stressed hit: a larger move, a louder stroke.
        still: within a pause.
        passing: the middle of a half-time move, in which the limbs slow down without arriving.
    """

    time: float
    count: float
    bar: Bar
    accent: bool
    still: bool
    passing: bool

    @property
    def on_beat(self) -> bool:
        """Whether it falls on a beat, not between two."""
        return float(self.count).is_integer()


@dataclass(frozen=True)
class Timing:
    """Timing of one clip.

    Args:
        seconds: length of the clip.
        bpm: beats per minute.
        swing: position of the late one of two, as a share of both (0.5: even).
        parts: into which swing divides a beat: 2 (halves) or 4 (quarters).
        bars: all bars, from before the clip to after it.
        hits: all hits in order.
    """

    seconds: float
    bpm: float
    swing: float
    parts: int
    bars: tuple[Bar, ...]
    hits: tuple[Hit, ...]

    @property
    def period(self) -> float:
        """Seconds per beat."""
        return 60.0 / self.bpm

    def time(self, bar: Bar, beats: float) -> float:
        """Seconds of the place `beats` after a bar's start, swing included."""
        return bar.start + swung(beats, self.swing, self.parts) * self.period

    def _inside(self, hits: Iterable[Hit]) -> np.ndarray:
        return np.array([hit.time for hit in hits if 0.0 <= hit.time < self.seconds])

    def beats(self) -> np.ndarray:
        """Times (s) of the beats within the clip, without those of pauses."""
        return self._inside(hit for hit in self.hits if hit.on_beat and not hit.still)

    def accents(self) -> np.ndarray:
        """Times (s) of the stressed beats within the clip."""
        return self._inside(hit for hit in self.hits if hit.accent and not hit.still)

    def pauses(self) -> list[tuple[float, float]]:
        """(start, end) in seconds of every pause, cut to the clip."""
        spans = []
        for bar in self.bars:
            start = max(bar.start + bar.still_from * self.period, 0.0)
            end = min(bar.start + BEATS_PER_BAR * self.period, self.seconds)
            if bar.still_from < BEATS_PER_BAR and end > start:
                spans.append((start, end))
        return spans


def pause_from(bpm: float) -> int:
    """Beat at which a pause starts, so that it lasts 0.67–1.2 s."""
    return 2 if bpm >= 100 else 3


def swung(beats: float, swing: float, parts: int) -> float:
    """Position in a bar after swing, both in beats.

    >>> swung(1.5, 0.66, 2), swung(1.0, 0.66, 2), swung(0.25, 0.6, 4)
    (1.66, 1.0, 0.3)
    """
    pair = 2.0 / parts  # beats that an even and a late one fill together
    whole, share = divmod(beats / pair, 1.0)
    bent = share * 2 * swing if share < 0.5 else swing + (share - 0.5) * 2 * (1 - swing)
    return float(round((whole + bent) * pair, 9))


_FOLLOWS: dict[Section, tuple[tuple[Section, float], ...]] = {
    Section.INTRO: ((Section.VERSE, 0.7), (Section.CHORUS, 0.3)),
    Section.VERSE: ((Section.CHORUS, 0.6), (Section.BREAK, 0.25), (Section.VERSE, 0.15)),
    Section.CHORUS: ((Section.VERSE, 0.5), (Section.BREAK, 0.3), (Section.CHORUS, 0.2)),
    Section.BREAK: ((Section.CHORUS, 0.7), (Section.VERSE, 0.3)),
}


def _mode(rng: np.random.Generator, section: Section, bpm: float) -> Mode:
    """Density of a phrase. No half-time in slow and no double-time in fast music: both would leave the range
    (0.28–1.2 s a move) in which a dancer moves and a pose estimator follows."""
    half = (0.6 if section in (Section.BREAK, Section.INTRO) else 0.22) if bpm >= 100 else 0.0
    double = {Section.CHORUS: 0.3, Section.VERSE: 0.15}.get(section, 0.0) if bpm <= 105 else 0.0
    draw = rng.random()
    return Mode.HALF if draw < half else Mode.DOUBLE if draw < half + double else Mode.NORMAL


def make_timing(
    rng: np.random.Generator, seconds: float, bpm: float, swing: float = 0.5, parts: int = 2
) -> Timing:
    """Lay out one clip of constant tempo that starts anywhere in a bar of a song.

    Args:
        rng: source of sections, modes, fills, pauses, accents and phase.
        seconds: length of the clip.
        bpm: beats per minute.
        swing, parts: as in `Timing`.
    """
    period = 60.0 / bpm
    first = float(rng.uniform(0.0, BEATS_PER_BAR))  # beats of the bar before the clip
    start = -(first + MARGIN_BARS * BEATS_PER_BAR) * period
    needed = int(np.ceil((seconds - start) / (period * BEATS_PER_BAR))) + MARGIN_BARS
    section = list(Section)[int(rng.choice(4, p=[0.2, 0.35, 0.3, 0.15]))]
    bars: list[Bar] = []
    phrase = 0
    while len(bars) < needed:
        length = 4 if bpm >= 125 or rng.random() < 0.25 else 2
        if not bars and length == 4 and rng.random() < 0.5:
            length = 2  # the layout starts in the middle of a section
        fill_from = int(rng.choice([2, 3])) if rng.random() < 0.6 else BEATS_PER_BAR
        for place in range(length):
            if place % 2 == 0:
                mode, phrase = _mode(rng, section, bpm), phrase + 1
            last = place == length - 1
            pausing = not last and rng.random() < (0.08 if section is not Section.INTRO else 0.0)
            bars.append(
                Bar(
                    number=len(bars),
                    start=start + len(bars) * BEATS_PER_BAR * period,
                    section=section,
                    mode=mode,
                    opens=place == 0,
                    fill_from=fill_from if last else BEATS_PER_BAR,
                    still_from=pause_from(bpm) if pausing else BEATS_PER_BAR,
                    phrase=phrase,
                )
            )
        names, weights = zip(*_FOLLOWS[section], strict=True)
        section = names[int(rng.choice(len(names), p=weights))]
    hits = lay_hits(rng, bars, start, bpm, float(rng.choice(SECOND_ACCENTS)), swing, parts)
    return Timing(seconds, bpm, swing, parts, tuple(bars), hits)


def lay_hits(
    rng: np.random.Generator,
    bars: Sequence[Bar],
    start: float,
    bpm: float,
    second_accent: float,
    swing: float = 0.5,
    parts: int = 2,
) -> tuple[Hit, ...]:
    """Hits of successive bars, the first of which starts at `start` (s).

    Args:
        rng: source of the accents.
        bars: their modes, fills and pauses.
        start: seconds.
        bpm: beats per minute.
        second_accent: how often the third beat of a bar is stressed like the first.
        swing, parts: as in `Timing`.
    """
    hits: list[Hit] = []
    for place, bar in enumerate(bars):
        stressed = {0} | ({2} if rng.random() < second_accent else set())
        for step in range(2 * BEATS_PER_BAR):
            count = step / 2
            dense = bar.mode is Mode.DOUBLE or (count >= bar.fill_from and bpm <= DENSE_FILLS)
            if step % 2 and not dense:
                continue
            hits.append(
                Hit(
                    time=start + (place * BEATS_PER_BAR + swung(count, swing, parts)) * (60.0 / bpm),
                    count=count,
                    bar=bar,
                    accent=step % 2 == 0 and int(count) in stressed,
                    still=count >= bar.still_from,
                    passing=bar.mode is Mode.HALF
                    and int(count) % 2 == 1
                    and count < min(bar.fill_from, bar.still_from)
                    and not count + 1 == bar.still_from < BEATS_PER_BAR,
                )
            )
    return tuple(hits)
