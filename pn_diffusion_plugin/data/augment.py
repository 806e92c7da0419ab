"""Augmentation of keypoints in training, which simulates the variations of real videos.

Each change is a function of arrays; `Augmentation` draws their parameters for a segment. They are applied to the
segment before anything is derived from it, so velocities are those of the changed dance, and the negative is the
changed dance reversed. Positions are relative to the frame height, times in seconds.

Visual features and further streams are not changed, since they are computed once from the video: a mirrored dance
keeps the features of the original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.signal import lfilter

from ..errors import UserError
from .skeleton import JOINT_NAMES

#: Keypoints (T, J, 3), detected (T,), frames per second, width of the frame → changed keypoints and detected.
Change = Callable[[np.ndarray, np.ndarray, float, float], tuple[np.ndarray, np.ndarray]]


def _partner(name: str) -> str:
    """Name of the same joint on the other side of the body."""
    words = [{"left": "right", "right": "left"}.get(word, word) for word in name.split("_")]
    return "_".join(words)


#: Index of the joint that takes the place of joint j in a mirror image.
MIRRORED = tuple(JOINT_NAMES.index(_partner(name)) for name in JOINT_NAMES)

#: Standard deviation of BlazePose's error on rendered dancers, in torso lengths, and its correlation between successive
#: frames at 25 Hz (`benchmarks/robustness.py --jitter`). The error is larger on videos from real cameras.
JITTER_BY_PART = {"head": 0.006, "trunk": 0.008, "arms": 0.012, "hands": 0.015, "legs": 0.008, "feet": 0.011}
JITTER_CORRELATION = 0.41

_PARTS = {
    "shoulder": "trunk", "hip": "trunk", "elbow": "arms", "wrist": "arms", "pinky": "hands", "thumb": "hands",
    "index": "hands", "knee": "legs", "ankle": "legs", "heel": "feet", "foot": "feet",
}  # fmt: skip


def part_of_body(joint: str) -> str:
    """Key of a joint in `JITTER_BY_PART`, by the word after its side: (left_)foot_index belongs to the feet."""
    return next((_PARTS[word] for word in joint.split("_") if word in _PARTS), "head")


JITTER = np.array([JITTER_BY_PART[part_of_body(name)] for name in JOINT_NAMES], dtype=np.float32)


def mirror(keypoints: np.ndarray, width: float) -> np.ndarray:
    """Mirror image: (T, J, 3) → (T, J, 3); its own inverse."""
    mirrored = keypoints[:, MIRRORED].copy()
    mirrored[..., 0] = width - mirrored[..., 0]
    return mirrored


def resize(keypoints: np.ndarray, factors: Sequence[float], centre: Sequence[float]) -> np.ndarray:
    """Scale by `factors` (x, y) around `centre` (x, y): (T, J, 3) → (T, J, 3)."""
    resized = keypoints.copy()
    resized[..., :2] = (keypoints[..., :2] - centre) * np.asarray(factors, np.float32) + centre
    return resized


def drift(keypoints: np.ndarray, velocity: Sequence[float] | np.ndarray, fps: float) -> np.ndarray:
    """Movement of the camera: add `velocity` (x, y; frame heights per second) to all velocities."""
    moved = keypoints.copy()
    moved[..., :2] += (np.arange(len(keypoints)) / fps)[:, None, None] * np.asarray(velocity)
    return moved


def jitter(
    keypoints: np.ndarray, deviation: np.ndarray, correlation: float, rng: np.random.Generator
) -> np.ndarray:
    """Add noise to positions (a first-order autoregressive process).

    Args:
        keypoints: (T, J, 3).
        deviation: (J,) standard deviation of the noise, frame heights.
        correlation: of successive frames, 0 to 1.
    """
    noise = rng.standard_normal((*keypoints.shape[:2], 2)).astype(np.float32)
    noise[1:] *= np.sqrt(1 - correlation**2)
    noise = lfilter([1.0], [1.0, -correlation], noise, axis=0)
    noisy = keypoints.copy()
    noisy[..., :2] += noise * deviation[None, :, None]
    return noisy


def drop_joints(keypoints: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Hide joints: visibility 0 where `dropped`, (J,) or (T, J) bool."""
    hidden = keypoints.copy()
    hidden[..., 2] = np.where(dropped, 0.0, hidden[..., 2])
    return hidden


def drop_gap(detected: np.ndarray, fps: float, start: float, seconds: float) -> np.ndarray:
    """Mark the frames from `start` on for `seconds` as not detected: (T,) → (T,)."""
    kept = detected.copy()
    kept[max(0, round(start * fps)) : max(0, round((start + seconds) * fps))] = False
    return kept


def resample(keypoints: np.ndarray, fps: float, source_fps: float, phase: float) -> np.ndarray:
    """Sample at `source_fps`, as a camera of that rate does, and interpolate back: (T, J, 3) → (T, J, 3).

    Args:
        phase: time of its first frame, as a share of the frame duration, 0 to 1.
    """
    count = len(keypoints)
    times = (np.arange(-1, count * source_fps / fps + 1) + phase) / source_fps
    sampled = _at(keypoints, times * fps)
    return _at(sampled, (np.arange(count) / fps - times[0]) * source_fps)


def _at(keypoints: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate between frames (held at the ends): (T, J, 3), (N,) → (N, J, 3) float32."""
    position = np.round(position, 6).clip(0, len(keypoints) - 1)
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, len(keypoints) - 1)
    share = (position - low).astype(np.float32)[:, None, None]
    between: np.ndarray = keypoints[low] * (1 - share) + keypoints[high] * share
    return between


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the changes of a training segment; see `config/solver/default.yaml`.

    Attributes:
        mirror: probability of mirroring.
        scale: largest change of size (natural logarithm).
        stretch: largest change of width / height (natural logarithm), as from another camera angle.
        shift: largest displacement, frame heights.
        drift: standard deviation of the velocity of a camera, frame heights per second.
        jitter: noise relative to the error of BlazePose.
        joints: probability that a joint is hidden for the whole segment.
        frames: probability that a frame is marked as not detected.
        gaps: probability of a gap without detection …
        gap_seconds: … and its largest length (s).
        rates: frame rates of simulated cameras, one of which is drawn.
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
            raise UserError(f"augment.rates is {list(self.rates)}: give frame rates of 5 or more, or none")

    @classmethod
    def from_config(cls, section: Mapping[str, Any] | None) -> Augmentation | None:
        """Build it from a section of the configuration; None if the section is empty or its `use` is false.

        Raises:
            UserError: an unknown key or an invalid value.
        """
        if not section or not section.get("use", False):
            return None
        values = {name: value for name, value in section.items() if name != "use"}
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"augment.{unknown[0]} does not exist: remove it")
        try:
            values = {k: tuple(map(float, v or ())) if k == "rates" else float(v) for k, v in values.items()}
        except (TypeError, ValueError) as error:
            raise UserError(f"a value of augment is not a number ({error}): give numbers") from error
        return cls(**values)

    def change(self, *seed: int) -> Change:
        """The change of one segment; every call draws the same parameters."""

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
            # A frame interpolated from an undetected frame counts as undetected.
            found = resample(detected.astype(np.float32)[:, None, None], fps, rate, float(phase))[:, 0, 0]
            detected = found > 0.999 if (found > 0.999).any() else detected
        if mirrored < self.mirror:
            x = mirror(x, width)
        larger, wider = np.exp(self.scale * (2 * larger - 1)), np.exp(self.stretch * (wider - 0.5))
        x = resize(x, (larger * wider, larger / wider), (width / 2, 0.5))
        x[..., :2] += rng.uniform(-self.shift, self.shift, 2).astype(np.float32)
        x = drift(x, rng.normal(0, self.drift, 2), fps)
        x = jitter(x, self.jitter * _torso(x, detected) * JITTER[:joints], JITTER_CORRELATION, rng)
        x = drop_joints(x, np.less(rng.random(joints), self.joints))
        kept = detected & (rng.random(count) >= self.frames)
        if has_gap < self.gaps:
            kept = drop_gap(kept, fps, start * count / fps, length * self.gap_seconds)
        return x.astype(np.float32, copy=False), kept if kept.any() else detected


def _torso(keypoints: np.ndarray, detected: np.ndarray) -> float:
    """Median distance of mid-hip and mid-shoulder in detected frames, frame heights."""
    seen = keypoints[detected] if detected.any() else keypoints
    trunk = seen[:, [23, 24], :2].mean(axis=1) - seen[:, [11, 12], :2].mean(axis=1)
    return float(np.median(np.linalg.norm(trunk, axis=1)))
