"""Changes to a dance's keypoints in training, such as real videos make: a model trained on clean dances meets them
before it meets a stranger's video.

Each change is a function of arrays alone; `Augmentation` draws how much of each a segment gets. They come after the
segment is cut out and before anything is derived from it, so velocities are those of the changed dance, and the
reversed stream is the changed dance reversed. Places are in heights of the picture, times in seconds.

The visual windows stay as they are: they are computed once, from the video. A mirrored dance keeps the windows of the
unmirrored one, where others would have to be computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.signal import lfilter

from ..errors import UserError
from .skeleton import JOINT_NAMES

#: Keypoints (T, J, 3), detected (T,), frames a second, width of the picture → the first two, changed.
Change = Callable[[np.ndarray, np.ndarray, float, float], tuple[np.ndarray, np.ndarray]]


def _partner(name: str) -> str:
    """The joint's name on the other side of the body."""
    words = [{"left": "right", "right": "left"}.get(word, word) for word in name.split("_")]
    return "_".join(words)


#: The joint that is where joint j is in a mirror.
MIRRORED = tuple(JOINT_NAMES.index(_partner(name)) for name in JOINT_NAMES)

#: What BlazePose's joints tremble by around where dancers were drawn, in torso lengths, and how much of it stays to the
#: next frame at 25 Hz (`benchmarks/robustness.py --jitter`). Pictures of real cameras make them tremble more.
JITTER_BY_PART = {"head": 0.006, "trunk": 0.008, "arms": 0.012, "hands": 0.015, "legs": 0.008, "feet": 0.011}
JITTER_STAYS = 0.41

_PARTS = {
    "shoulder": "trunk", "hip": "trunk", "elbow": "arms", "wrist": "arms", "pinky": "hands", "thumb": "hands",
    "index": "hands", "knee": "legs", "ankle": "legs", "heel": "feet", "foot": "feet",
}  # fmt: skip


def part_of_body(joint: str) -> str:
    """Which of `JITTER_BY_PART` a joint belongs to, by the word after its side: (left_)foot_index is a foot's."""
    return next((_PARTS[word] for word in joint.split("_") if word in _PARTS), "head")


JITTER = np.array([JITTER_BY_PART[part_of_body(name)] for name in JOINT_NAMES], dtype=np.float32)


def mirror(keypoints: np.ndarray, width: float) -> np.ndarray:
    """The dance in a mirror: (T, J, 3) → the same; twice is the dance itself."""
    mirrored = keypoints[:, MIRRORED].copy()
    mirrored[..., 0] = width - mirrored[..., 0]
    return mirrored


def resize(keypoints: np.ndarray, factors: Sequence[float], middle: Sequence[float]) -> np.ndarray:
    """The dance `factors` as wide and as high around `middle` (x, y): (T, J, 3) → the same."""
    resized = keypoints.copy()
    resized[..., :2] = (keypoints[..., :2] - middle) * np.asarray(factors, np.float32) + middle
    return resized


def drift(keypoints: np.ndarray, velocity: Sequence[float] | np.ndarray, fps: float) -> np.ndarray:
    """The dance seen by a camera that moves: `velocity` (x, y; heights a second) is added to all velocities."""
    moved = keypoints.copy()
    moved[..., :2] += (np.arange(len(keypoints)) / fps)[:, None, None] * np.asarray(velocity)
    return moved


def jitter(
    keypoints: np.ndarray, deviation: np.ndarray, stays: float, rng: np.random.Generator
) -> np.ndarray:
    """Places with noise that stays by `stays` from frame to frame (a first-order autoregression).

    Args:
        keypoints: (T, J, 3).
        deviation: (J,) of the noise, heights.
        stays: correlation of neighbouring frames, 0 to 1.
    """
    noise = rng.standard_normal((*keypoints.shape[:2], 2)).astype(np.float32)
    noise[1:] *= np.sqrt(1 - stays**2)
    noise = lfilter([1.0], [1.0, -stays], noise, axis=0)
    noisy = keypoints.copy()
    noisy[..., :2] += noise * deviation[None, :, None]
    return noisy


def drop_joints(keypoints: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Joints hidden: visibility 0 where `dropped`, (J,) or (T, J) bool."""
    hidden = keypoints.copy()
    hidden[..., 2] = np.where(dropped, 0.0, hidden[..., 2])
    return hidden


def drop_gap(detected: np.ndarray, fps: float, start: float, seconds: float) -> np.ndarray:
    """Nobody found from `start` on for `seconds`: (T,) → the same."""
    kept = detected.copy()
    kept[max(0, round(start * fps)) : max(0, round((start + seconds) * fps))] = False
    return kept


def resample(keypoints: np.ndarray, fps: float, source_fps: float, phase: float) -> np.ndarray:
    """The dance as a camera of `source_fps` pictures a second saw it, interpolated back: (T, J, 3) → the same.

    Args:
        phase: of its first picture, in parts of its frame, 0 to 1.
    """
    count = len(keypoints)
    times = (np.arange(-1, count * source_fps / fps + 1) + phase) / source_fps
    seen = _at(keypoints, times * fps)
    return _at(seen, (np.arange(count) / fps - times[0]) * source_fps)


def _at(keypoints: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Interpolated between frames (held at the ends): (T, J, 3), (N,) → (N, J, 3) float32."""
    place = np.round(place, 6).clip(0, len(keypoints) - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, len(keypoints) - 1)
    share = (place - low).astype(np.float32)[:, None, None]
    between: np.ndarray = keypoints[low] * (1 - share) + keypoints[high] * share
    return between


@dataclass(frozen=True)
class Augmentation:
    """How much of each change a training segment gets; see `config/solver/default.yaml`.

    Attributes:
        mirror: share of the segments that are mirrored.
        scale: the dancer is up to so much (natural logarithm) larger or smaller.
        stretch: … and wider or narrower against that: a camera at another angle.
        shift: the dancer stands up to so far elsewhere, heights.
        drift: standard deviation of a camera's slow movement, heights a second.
        jitter: noise, in parts of what BlazePose's joints tremble by.
        joints: share of the joints hidden for the whole segment.
        frames: share of single frames in which nobody is found.
        gaps: share of the segments in which nobody is found for a while …
        gap_seconds: … of at most so long.
        rates: pictures a second of the cameras that segments are seen by, one drawn each.
    """

    mirror: float = 0.5
    scale: float = 0.2
    stretch: float = 0.1
    shift: float = 0.2
    drift: float = 0.03
    jitter: float = 1.0
    joints: float = 0.05
    frames: float = 0.02
    gaps: float = 0.2
    gap_seconds: float = 0.6
    rates: tuple[float, ...] = (24.0, 25.0, 30.0)

    def __post_init__(self) -> None:
        for name in ("mirror", "joints", "frames", "gaps"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"augment.{name} is {getattr(self, name)}: give a share from 0 to 1")
        for name in ("scale", "stretch", "shift", "drift", "jitter", "gap_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"augment.{name} is {getattr(self, name)}: give 0 or more")
        if not all(rate >= 5 for rate in self.rates):
            raise UserError(
                f"augment.rates is {list(self.rates)}: give pictures a second, 5 or more, or none"
            )

    @classmethod
    def from_config(cls, section: Mapping[str, Any] | None) -> Augmentation | None:
        """Of a section of the configuration; None where there is none or its `use` is false.

        Raises:
            UserError: a key it does not know, or a value that makes no sense.
        """
        if not section or not section.get("use", False):
            return None
        values = {name: value for name, value in section.items() if name != "use"}
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"augment.{unknown[0]} is no change that is known: take it out")
        try:
            values = {k: tuple(map(float, v or ())) if k == "rates" else float(v) for k, v in values.items()}
        except (TypeError, ValueError) as error:
            raise UserError(f"a value of augment is no number ({error}): give numbers") from error
        return cls(**values)

    def change(self, *seed: int) -> Change:
        """What happens to one segment: the same draws at every call, of whichever array."""

        def apply(
            keypoints: np.ndarray, detected: np.ndarray, fps: float, width: float
        ) -> tuple[np.ndarray, np.ndarray]:
            return self._apply(keypoints, detected, fps, width, np.random.default_rng(seed))

        return apply

    def _apply(
        self, x: np.ndarray, detected: np.ndarray, fps: float, width: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        count, joints = x.shape[:2]
        mirrored, has_gap, start, length, phase, larger, wider = rng.random(7)
        rate = self.rates[int(rng.integers(len(self.rates)))] if self.rates else fps
        if rate != fps:
            x = resample(x, fps, rate, float(phase))
            # What is made of a place that stands in for nobody is nobody's, too.
            found = resample(detected.astype(np.float32)[:, None, None], fps, rate, float(phase))[:, 0, 0]
            detected = found > 0.999 if (found > 0.999).any() else detected
        if mirrored < self.mirror:
            x = mirror(x, width)
        larger, wider = np.exp(self.scale * (2 * larger - 1)), np.exp(self.stretch * (wider - 0.5))
        x = resize(x, (larger * wider, larger / wider), (width / 2, 0.5))
        x[..., :2] += rng.uniform(-self.shift, self.shift, 2).astype(np.float32)
        x = drift(x, rng.normal(0, self.drift, 2), fps)
        x = jitter(x, self.jitter * _torso(x, detected) * JITTER[:joints], JITTER_STAYS, rng)
        x = drop_joints(x, np.less(rng.random(joints), self.joints))
        kept = detected & (rng.random(count) >= self.frames)
        if has_gap < self.gaps:
            kept = drop_gap(kept, fps, start * count / fps, length * self.gap_seconds)
        return x.astype(np.float32, copy=False), kept if kept.any() else detected


def _torso(keypoints: np.ndarray, detected: np.ndarray) -> float:
    """Median distance of mid-hip and mid-shoulder where somebody was found, heights."""
    shown = keypoints[detected] if detected.any() else keypoints
    trunk = shown[:, [23, 24], :2].mean(axis=1) - shown[:, [11, 12], :2].mean(axis=1)
    return float(np.median(np.linalg.norm(trunk, axis=1)))
