"""Keypoint errors: true joints with the errors that BlazePose makes on the frames of the generated corpus.

The error of a joint, in body heights, is the sum of three parts: an offset, constant over the clip (the model places a
hip elsewhere than the drawing); a part that depends on the pose and so changes only as the joint moves; and jitter,
independent in every frame. The second is a Gaussian process g(s) of the distance s that the joint has covered, of
covariance σ² exp(−(s − s')² / 2ℓ²), so that E[Δg²] = σ² Δs² / ℓ² from frame to frame. The joints of face, hands and
feet share a part of theirs. Visibility is below 1 by a log-normal amount that depends on the pose in the same way.
`python benchmarks/generated_corpus.py --only keypoints` measures the sizes in `keypoint_errors.json`.

Not modelled: exchanged left and right limbs, and frames without a detection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...skeleton import JOINT_NAMES, JOINTS

ESTIMATOR = "generated/blazepose-errors-1"  # changes with keypoint_errors.json
SIZES = Path(__file__).with_name("keypoint_errors.json")
TORSO = 0.295  # hips to shoulders, body heights
_ENDS = (("wrist", "pinky", "index", "thumb"), ("ankle", "heel", "foot_index"))  # of arms and of legs
GROUPS = (
    tuple(range(11)),  # the face
    *(
        tuple(JOINT_NAMES.index(f"{side}_{part}") for part in parts)
        for parts in _ENDS
        for side in ("left", "right")
    ),
)


def body_height(keypoints: np.ndarray, aspect: float) -> float:
    """Height of a body in frame heights, from the length of its trunk.

    Args:
        keypoints: (T, 33, ≥ 2) x and y in [0, 1] of the frame.
        aspect: width / height of the frame.
    """
    at = {
        name: keypoints[:, JOINT_NAMES.index(name), :2]
        for name in JOINT_NAMES
        if "shoulder" in name or "hip" in name
    }
    trunk = 0.5 * (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"])
    return float(np.percentile(np.hypot(trunk[:, 0] * aspect, trunk[:, 1]), 90)) / TORSO


@dataclass(frozen=True)
class KeypointErrors:
    """Sizes of BlazePose's errors.

    Args:
        offset, pose, jitter: (33) standard deviations of the three parts in x (and in y), body heights.
        reach: (33) ℓ, body heights: correlation length of the second part.
        shared: share of the second part that the joints of face, hands and feet have in common.
        unseen: (33) mean of 1 − visibility.
    """

    offset: tuple[float, ...]
    pose: tuple[float, ...]
    jitter: tuple[float, ...]
    reach: tuple[float, ...]
    shared: float
    unseen: tuple[float, ...]

    @classmethod
    def measured(cls) -> KeypointErrors:
        """The sizes in `keypoint_errors.json`."""
        values: dict[str, Any] = json.loads(SIZES.read_text(encoding="utf-8"))
        for name in ("offset", "pose", "jitter", "reach", "unseen"):
            values[name] = tuple(values[name])
        return cls(**values)

    @classmethod
    def fit(cls, clips: Sequence[tuple[np.ndarray, np.ndarray, float]]) -> KeypointErrors:
        """Estimate the sizes from clips of (true (T, 33, ≥ 2), found (T, 33, 3), aspect), detected frames only.

        With e a clip's error about its mean and Δe its change from frame to frame: jitter² is half the median of Δe²
        (over 0.693, as of the mean of two axes) in the fifth of the frames in which the joint moves least;
        pose² = E[e²] − jitter²; reach² = pose² E[Δs²] / (E[Δe²] − 2 jitter²) in the half in which it moves most.
        Medians over clips, because exchanged limbs are outliers.
        """
        rows: dict[str, list[np.ndarray]] = {"mean": [], "square": [], "jitter": [], "unseen": []}
        moved, changed, common = [], [], []
        for true, found, aspect in clips:
            scale = np.array([aspect, 1.0]) / body_height(true, aspect)
            error = (found[..., :2] - true[..., :2]) * scale
            about = error - error.mean(axis=0)
            change = (np.diff(about, axis=0) ** 2).mean(axis=2)
            way = np.linalg.norm(np.diff(true[..., :2], axis=0) * scale, axis=2)
            order = np.argsort(way, axis=0)
            slow = np.take_along_axis(change, order[: len(order) // 5], axis=0)
            fast = order[len(order) // 2 :]
            moved.append((np.take_along_axis(way, fast, axis=0) ** 2).mean(axis=0))
            changed.append(np.take_along_axis(change, fast, axis=0).mean(axis=0))
            rows["mean"].append(error.mean(axis=0))
            rows["square"].append((about**2).mean(axis=(0, 2)))
            rows["jitter"].append(
                np.median(slow, axis=0) / 0.693 / 2
            )  # the mean of two axes: χ² of 2, over 2
            rows["unseen"].append(1.0 - found[..., 2].mean(axis=0))
            common += [_mean_correlation(about[:, list(group)]) for group in GROUPS]
        square, jitter, unseen = (np.median(rows[name], axis=0) for name in ("square", "jitter", "unseen"))
        jitter = np.minimum(jitter, 0.9 * square)
        pose = square - jitter
        rest = np.maximum(np.median(changed, axis=0) - 2 * jitter, 1e-9)
        offset = np.median(np.abs(rows["mean"]), axis=(0, 2)) / 0.6745  # of a Gaussian of mean 0
        return cls(
            offset=_rounded(offset),
            pose=_rounded(np.sqrt(pose)),
            jitter=_rounded(np.sqrt(jitter)),
            reach=_rounded(np.sqrt(pose * np.median(moved, axis=0) / rest)),
            shared=round(float(np.clip(np.median(common), 0.0, 1.0)), 4),
            unseen=_rounded(unseen),
        )

    def apply(self, true: np.ndarray, aspect: float, rng: np.random.Generator) -> np.ndarray:
        """Add errors to true joints: keypoints (T, 33, 3) float32, x, y and visibility as BlazePose returns them.

        Args:
            true: (T, 33, ≥ 2) x and y in [0, 1] of the frame.
            aspect: width / height of the frame.
            rng: source of the errors.
        """
        scale = np.array([aspect, 1.0]) / body_height(true, aspect)
        steps = np.linalg.norm(np.diff(true[..., :2], axis=0) * scale, axis=2)
        way = np.concatenate([np.zeros((1, JOINTS)), np.cumsum(steps, axis=0)]) / np.array(self.reach)
        own, seen = _process(rng, way, 2), _process(rng, way, 1)[..., 0]
        for group in map(list, GROUPS):
            together = _process(rng, way[:, group].mean(axis=1, keepdims=True), 2)
            own[:, group] = np.sqrt(1 - self.shared) * own[:, group] + np.sqrt(self.shared) * together
        offset, pose, jitter = (np.array(part)[:, None] for part in (self.offset, self.pose, self.jitter))
        error = offset * rng.normal(size=(1, JOINTS, 2)) + pose * own + jitter * rng.normal(size=own.shape)
        unseen = np.array(self.unseen) * np.exp(seen - 0.5)  # of mean 1
        places = true[..., :2] + error / scale
        visibility = np.clip(1.0 - unseen, 0.0, 1.0)
        return np.concatenate([places, visibility[..., None]], axis=-1).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the sizes as JSON, one line per list."""
        lines = (f" {json.dumps(name)}: {json.dumps(value)}" for name, value in asdict(self).items())
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _rounded(sizes: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(size), 5) for size in sizes)


def _mean_correlation(error: np.ndarray) -> float:
    """Mean correlation between the joints of a group: error (T, n, 2) → number."""
    flat = error.transpose(0, 2, 1).reshape(-1, error.shape[1])
    pairs = np.corrcoef(flat.T)
    return float(pairs[~np.eye(len(pairs), dtype=bool)].mean())


def _process(rng: np.random.Generator, way: np.ndarray, axes: int) -> np.ndarray:
    """Sample a Gaussian process of unit variance and correlation length along each path: (T, n) → (T, n, axes).

    By 24 random Fourier features: √(2/K) Σ cos(ω s + φ), ω ~ N(0, 1) (Rahimi & Recht 2007).
    """
    features = 24
    rates = rng.normal(size=(way.shape[1], axes, features))
    phases = rng.uniform(0, 2 * np.pi, size=rates.shape)
    waves = np.cos(way[:, :, None, None] * rates + phases)
    return np.asarray(np.sqrt(2 / features) * waves.sum(axis=-1))
