"""The preset `generated`: a large corpus, varied in music, dance, bodies, clothes and cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...score.notes import Score
from .body import INDEX, Motion
from .choreography import dance
from .genres import GENRES, genre_for
from .look import Look, room
from .music import Song, synthesise
from .plan import SAMPLE_RATE, ClipPlan, SyntheticSpec, streams
from .scene import OVERSAMPLING, Scene, Shot, film, ground
from .timing import make_timing

_SWAY = 0.03  # background beyond the frame's edges, in which a hand-held camera moves


@dataclass(frozen=True)
class GeneratedSpec(SyntheticSpec):
    """2 180 clips, each of six windows of the visual encoder."""

    train: int = 2000
    valid: int = 60
    test: int = 120
    seconds: float = 7.68

    name = "generated"
    version = 1
    digits = 5
    entropy = (7,)
    tempos = range(75, 180)
    residues = {"train": (0, 2, 4, 5, 6), "valid": (1,), "test": (3,)}

    def _plan(
        self, name: str, split: str, index: int, bpm: int, seed: np.random.SeedSequence
    ) -> GeneratedPlan:
        timing, filming, motion, look, music, noise = seed.spawn(6)
        rng = np.random.default_rng(timing)
        tempo = round(
            bpm + 0.5 * float(rng.random()), 3
        )  # still below the next whole tempo, that of another split
        genre = genre_for(tempo, float(rng.random()))
        swing = round(float(rng.uniform(*GENRES[genre].swing)), 3)
        return GeneratedPlan(
            id=name,
            spec=self,
            split=split,
            genre=genre,
            timing=make_timing(rng, self.seconds, tempo, swing, GENRES[genre].parts),
            motion_seed=motion,
            look_seed=look,
            music_seed=music,
            shot=Shot.random(np.random.default_rng(filming)),
            noise_seed=noise,
        )


@dataclass(frozen=True)
class GeneratedPlan(ClipPlan):
    """Plan of one clip.

    Args:
        shot: the camera.
        noise_seed: of the keypoint errors, for clips without a video.
    """

    shot: Shot
    noise_seed: np.random.SeedSequence

    def description(self) -> dict[str, Any]:
        return {**super().description(), "swing": self.timing.swing}

    def score(self) -> Score:
        return Song(np.random.default_rng(self.music_seed), self.timing, self.genre, SAMPLE_RATE).score

    def music(self) -> np.ndarray:
        return synthesise(self.music_seed, self.timing, self.genre, SAMPLE_RATE)

    def motion(self) -> Motion:
        return dance(self.motion_seed, self.timing, self.genre, float(self.spec.fps))

    def scene(self) -> Scene:
        shaking, looking = (np.random.default_rng(seed) for seed in streams(self.look_seed, 2))
        footage, shake = film(self.motion(), self.shot, float(self.spec.fps), shaking)
        look = Look.random(looking)
        side = self.spec.size * OVERSAMPLING
        border = round(_SWAY * side)
        wide = side + 2 * border
        horizon = ground(footage) - float(looking.uniform(0.03, 0.10)) - 0.35 * max(self.shot.elevation, 0.0)
        background = room(look, looking, wide, (horizon * side + border) / wide)
        gamma, gain = float(looking.uniform(0.75, 1.3)), float(looking.uniform(0.8, 1.1))
        tones = np.clip(255.0 * gain * (np.arange(256) / 255.0) ** gamma, 0, 255).astype(np.uint8)
        feet = [INDEX[f"{foot}_{part}"] for foot in ("left", "right") for part in ("heel", "foot_index")]
        return Scene(
            footage,
            look,
            background,
            footage.keypoints[:, feet, 1].astype(np.float64).max(axis=1),
            self.spec.size,
            aspect=self.shot.aspect,
            shake=shake,
            tones=tones,
            blur=float(looking.choice([0.0, 0.0, 0.6, 0.9])),
        )
