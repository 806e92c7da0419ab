"""The clock that dance and music of a generated clip share: beats, accents, density and pauses.

A clip is cut into bars of four beats. Each bar has one `Mode`, which says how dense both dance and music are
in it: the dancer strikes a pose on every beat, on every second beat (half-time), on every half beat
(double-time), or stands still through the last beat or two of the bar (pause) while the music goes silent.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from .clock import AnyHit, AnyScore

BEATS_PER_BAR = 4
_MARGIN_BARS = 2  # bars laid out before and after the clip, so that its edges are in full motion


class Mode(enum.Enum):
    """Density of one bar."""

    NORMAL = "normal"
    HALF = "half"
    DOUBLE = "double"
    PAUSE = "pause"


@dataclass(frozen=True)
class Hit(AnyHit):
    """One moment at which the dancer arrives in a pose (and the music sounds).

    Args:
        time: seconds; hits outside the clip are kept, as motion runs into and out of them.
        count: place in its bar, in beats (0, 0.5, 1, …).
        bar: number of the bar (negative before the clip's first bar).
        mode: density of its bar.
        accent: a stressed hit: a larger move, a louder stroke.
        still: within a pause: nobody moves, nothing sounds.
    """

    time: float
    count: float
    bar: int
    mode: Mode
    accent: bool
    still: bool


@dataclass(frozen=True)
class Score(AnyScore):
    """The timing of one clip.

    Args:
        seconds: length of the clip.
        bpm: beats a minute.
        hits: all hits, half beats in double-time bars included, in order (from before 0 to after the end).
    """

    seconds: float
    bpm: float
    hits: tuple[Hit, ...]

    def pauses(self) -> list[tuple[float, float]]:
        """(start, end) in seconds of every pause, cut to the clip."""
        spans: list[tuple[float, float]] = []
        for hit in self.hits:
            if not hit.still:
                continue
            start, end = max(hit.time, 0.0), min(hit.time + self.period, self.seconds)
            if spans and abs(spans[-1][1] - start) < 1e-6:
                spans[-1] = (spans[-1][0], end)
            elif end > start:
                spans.append((start, end))
        return spans


def _modes(rng: np.random.Generator, bars: int, bpm: float) -> list[Mode]:
    """Modes of successive bars, at least every second one normal: a clip all in double-time would simply be
    one of twice the tempo. No half-time in slow and no double-time in fast music: both would leave the range
    (0.28–1.2 s a move) in which a dancer moves and a pose estimator follows."""
    half = 0.25 if bpm >= 100 else 0.0
    double = 0.20 if bpm <= 105 else 0.0
    pause = 0.12
    choices = [Mode.NORMAL, Mode.HALF, Mode.DOUBLE, Mode.PAUSE]
    weights = [1.0 - half - double - pause, half, double, pause]
    modes: list[Mode] = []
    while len(modes) < bars:
        mode = choices[int(rng.choice(4, p=weights))]
        if modes and modes[-1] is not Mode.NORMAL:
            mode = Mode.NORMAL
        modes.append(mode)
    return modes


def make_score(rng: np.random.Generator, seconds: float, bpm: float) -> Score:
    """Lay out one clip at a constant tempo, its first beat anywhere within the first period.

    Args:
        rng: source of phase, bar position, modes and accents.
        seconds: length of the clip.
        bpm: beats a minute.
    """
    period = 60.0 / bpm
    phase = float(rng.uniform(0.0, period))
    first_count = int(rng.integers(BEATS_PER_BAR))
    start = phase - (first_count + _MARGIN_BARS * BEATS_PER_BAR) * period
    bars = int(np.ceil((seconds - start) / (period * BEATS_PER_BAR))) + _MARGIN_BARS
    second_accent = float(
        rng.choice([0.1, 0.4, 0.8])
    )  # how often the third beat of a bar is stressed as well
    pause_from = 2 if bpm >= 100 else 3  # a pause lasts 0.67–1.2 s
    hits: list[Hit] = []
    for bar, mode in enumerate(_modes(rng, bars, bpm)):
        stressed = {0} | ({2} if rng.random() < second_accent else set())
        for step in range(2 * BEATS_PER_BAR):
            count = step / 2
            if step % 2 and mode is not Mode.DOUBLE:
                continue
            hits.append(
                Hit(
                    time=start + (bar * BEATS_PER_BAR + count) * period,
                    count=count,
                    bar=bar - _MARGIN_BARS,
                    mode=mode,
                    accent=step % 2 == 0 and int(count) in stressed,
                    still=mode is Mode.PAUSE and count >= pause_from,
                )
            )
    return Score(seconds=seconds, bpm=bpm, hits=tuple(hits))
