"""What decides a clip of the generated corpus: all of it a function of (seed, split, index) and the length.

The three splits share no song, no choreography, no dancer and no tempo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ....errors import CorpusError
from ...manifest import SPLITS
from .choreography import Motion, dance
from .genres import GENRES, genre_for
from .music import synthesise
from .scene import SceneRenderer, Shot
from .score import Score, make_score

SAMPLE_RATE = 22050  # Hz
GENERATOR = 1  # changes whenever the generated clips change
TEMPOS = (75, 180)  # beats a minute

# Tempos are whole numbers dealt to the splits in turn, and up to half a beat a minute more: none is in two splits
_RESIDUES = {"train": (0, 2, 4, 5, 6), "valid": (1,), "test": (3,)}
_CYCLE = 7
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class GeneratedSpec:
    """What the corpus holds.

    Args:
        train, valid, test: clips of each split.
        seconds: length of a clip; the default is six windows of the visual encoder.
        fps: pictures a second.
        size: pixels of the picture's longer side.
        seed: another seed, another corpus.
    """

    train: int = 2000
    valid: int = 60
    test: int = 120
    seconds: float = 7.68
    fps: int = 25
    size: int = 256
    seed: int = 0

    def clips(self, split: str) -> int:
        """Number of clips of a split.

        Raises:
            CorpusError: there is no such split.
        """
        if split not in SPLITS:
            raise CorpusError(
                f"the generated corpus has no split {split!r}: choose one of {', '.join(SPLITS)}"
            )
        return int(getattr(self, split))

    def everything(self) -> list[tuple[str, int]]:
        """(split, index) of all clips."""
        return [(split, index) for split in SPLITS for index in range(self.clips(split))]


@dataclass(frozen=True)
class ClipPlan:
    """What decides one clip."""

    id: str
    split: str
    genre: str
    score: Score
    shot: Shot
    motion_seed: np.random.SeedSequence
    look_seed: np.random.SeedSequence
    music_seed: np.random.SeedSequence
    noise_seed: np.random.SeedSequence

    def about(self, spec: GeneratedSpec) -> dict[str, Any]:
        """What the json beside a clip's video says: labels as `prepare folder` reads them, and the truth."""
        return {
            "id": self.id,
            "split": self.split,
            "song": f"{self.id}-song",
            "choreography": f"{self.id}-choreography",
            "dancer": f"{self.id}-dancer",
            "genre": self.genre,
            "bpm": self.score.bpm,
            "beats": [round(float(t), 6) for t in self.score.beats()],
            "accents": [round(float(t), 6) for t in self.score.accents()],
            "pauses": [[round(a, 6), round(b, 6)] for a, b in self.score.pauses()],
            "swing": self.score.swing,
            "seconds": spec.seconds,
            "fps": spec.fps,
            "size": spec.size,
            "generator": GENERATOR,
            "seed": spec.seed,
        }


def tempos(split: str) -> list[int]:
    """The whole tempos (beats a minute) of a split, in order."""
    return [bpm for bpm in range(TEMPOS[0], TEMPOS[1]) if (bpm - TEMPOS[0]) % _CYCLE in _RESIDUES[split]]


def clip_plan(spec: GeneratedSpec, split: str, index: int) -> ClipPlan:
    """The plan of clip `index` of a split.

    Tempos follow a golden-ratio sequence, so that any number of first clips covers the range evenly.

    Raises:
        CorpusError: there is no such split, or no such clip in it.
    """
    if not 0 <= index < spec.clips(split):
        raise CorpusError(
            f"split {split} of the generated corpus has {spec.clips(split)} clips, and no clip {index}"
        )
    # 7: another root than the mini corpus', whose clips would otherwise share its streams
    seeds = np.random.SeedSequence((7, spec.seed, SPLITS.index(split), index)).spawn(6)
    timing, filming = (np.random.default_rng(seed) for seed in seeds[:2])
    own = tempos(split)
    whole = own[int(((index + 0.5) * _GOLDEN % 1.0) * len(own))]
    bpm = round(whole + 0.5 * float(timing.random()), 3)
    genre = genre_for(bpm, float(timing.random()))
    style = GENRES[genre]
    swing = round(float(timing.uniform(*style.swing)), 3)
    return ClipPlan(
        id=f"generated-{split}-{index:05d}",
        split=split,
        genre=genre,
        score=make_score(timing, spec.seconds, bpm, swing, style.parts),
        shot=Shot.random(filming),
        motion_seed=seeds[2],
        look_seed=seeds[3],
        music_seed=seeds[4],
        noise_seed=seeds[5],
    )


def clip_motion(spec: GeneratedSpec, plan: ClipPlan) -> Motion:
    """The dancer of a clip."""
    return dance(plan.motion_seed, plan.score, plan.genre, float(spec.fps))


def clip_pictures(spec: GeneratedSpec, plan: ClipPlan) -> SceneRenderer:
    """The pictures of a clip, and its true joints."""
    return SceneRenderer(clip_motion(spec, plan), plan.shot, float(spec.fps), plan.look_seed, spec.size)


def clip_music(plan: ClipPlan) -> np.ndarray:
    """Music (N,) float32 of a clip at `SAMPLE_RATE`, on the grid of 16-bit samples: to the bit what its files hold."""
    wav = synthesise(plan.music_seed, plan.score, plan.genre, SAMPLE_RATE)
    return (np.round(wav * 32768.0).clip(-32768, 32767) / 32768.0).astype(np.float32)
