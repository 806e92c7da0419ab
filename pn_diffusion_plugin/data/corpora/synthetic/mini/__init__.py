"""The preset `mini`: the embedded corpus, whose train and valid features ship with the package (`features.npz`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....manifest import SPLITS
from ....score.notes import Score
from ..body import Motion
from ..look import Look, room
from ..plan import SAMPLE_RATE, ClipPlan, SyntheticSpec
from ..scene import OVERSAMPLING, Scene, ground
from ..timing import (
    BEATS_PER_BAR,
    MARGIN_BARS,
    SECOND_ACCENTS,
    Bar,
    Mode,
    Section,
    Timing,
    lay_hits,
    pause_from,
)
from .choreography import STYLES, Camera, dance, film
from .music import Song, synthesise


@dataclass(frozen=True)
class MiniSpec(SyntheticSpec):
    """248 clips of square frames with the camera in front, each at one of the whole tempos from 60 to 180."""

    train: int = 200
    valid: int = 16
    test: int = 32
    seconds: float = 8.0

    name = "mini"
    version = 2
    digits = 4
    entropy = ()
    tempos = range(60, 181)
    residues = {"train": (0, 2), "valid": (1,), "test": (3,)}

    def _plan(self, name: str, split: str, index: int, bpm: int, seed: np.random.SeedSequence) -> MiniPlan:
        timing, motion, look, music = seed.spawn(4)
        genre = list(STYLES)[(index + SPLITS.index(split)) % len(STYLES)]
        return MiniPlan(
            id=name,
            spec=self,
            split=split,
            genre=genre,
            timing=make_timing(np.random.default_rng(timing), self.seconds, float(bpm)),
            motion_seed=motion,
            look_seed=look,
            music_seed=music,
        )


@dataclass(frozen=True)
class MiniPlan(ClipPlan):
    """Plan of one clip."""

    def score(self) -> Score:
        return Song(np.random.default_rng(self.music_seed), self.timing, self.genre, SAMPLE_RATE).score

    def music(self) -> np.ndarray:
        return synthesise(self.music_seed, self.timing, self.genre, SAMPLE_RATE)

    def motion(self) -> Motion:
        return self._dance()[0]

    def _dance(self) -> tuple[Motion, Camera]:
        return dance(self.motion_seed, self.timing, self.genre, float(self.spec.fps))

    def scene(self) -> Scene:
        footage = film(*self._dance())
        rng = np.random.default_rng(self.look_seed)
        look = Look.from_palette(rng)
        floor = ground(footage)
        background = room(look, rng, self.spec.size * OVERSAMPLING, floor - float(rng.uniform(0.05, 0.09)))
        return Scene(footage, look, background, np.full(len(footage.keypoints), floor), self.spec.size)


def make_timing(rng: np.random.Generator, seconds: float, bpm: float) -> Timing:
    """Lay out one clip of constant tempo, its first beat anywhere within the first period.

    At least every second bar is normal: a clip of double-time only would be one of twice the tempo. No half-time in
    slow and no double-time in fast music: both would leave the range (0.28–1.2 s a move) in which a dancer moves and a
    pose estimator follows.

    Args:
        rng: source of phase, position in the bar, modes, pauses and accents.
        seconds: length of the clip.
        bpm: beats per minute.
    """
    period = 60.0 / bpm
    phase = float(rng.uniform(0.0, period))
    start = phase - (int(rng.integers(BEATS_PER_BAR)) + MARGIN_BARS * BEATS_PER_BAR) * period
    count = int(np.ceil((seconds - start) / (period * BEATS_PER_BAR))) + MARGIN_BARS
    second_accent = float(rng.choice(SECOND_ACCENTS))
    half, double, pause = 0.25 if bpm >= 100 else 0.0, 0.20 if bpm <= 105 else 0.0, 0.12
    kinds = (Mode.NORMAL, Mode.HALF, Mode.DOUBLE, "pause")
    bars: list[Bar] = []
    kind: Mode | str = Mode.NORMAL
    for index in range(count):
        drawn = kinds[int(rng.choice(4, p=[1.0 - half - double - pause, half, double, pause]))]
        kind = Mode.NORMAL if kind is not Mode.NORMAL else drawn
        bars.append(
            Bar(
                number=index - MARGIN_BARS,
                start=start + index * BEATS_PER_BAR * period,
                section=Section.VERSE,
                mode=kind if isinstance(kind, Mode) else Mode.NORMAL,
                opens=False,
                fill_from=BEATS_PER_BAR,
                still_from=pause_from(bpm) if kind == "pause" else BEATS_PER_BAR,
                phrase=index // 2,
            )
        )
    return Timing(seconds, bpm, 0.5, 2, tuple(bars), lay_hits(rng, bars, start, bpm, second_accent))
