"""What BlazePose would have found: true joints with the errors it was measured to make on this corpus' pictures.

The error of a joint, in body heights, is a sum of three Gaussian parts: an offset that lasts the whole clip (the model
puts a hip elsewhere than the drawing does), one that wanders (first-order autoregression, coefficient `rho` a frame)
and one that is new in every frame (jitter). Face, hands and feet share a part of theirs. Visibility falls short of 1 by
a log-normal amount that wanders as well. Measured by `python benchmarks/keypoint_errors.py`, whose answer is
`errors.json`.

What is not in it: errors that depend on the pose (limbs that hide each other, left and right taken for each other in
turns, blur of fast hands) and frames in which nobody is found.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from ...pose import JOINT_NAMES, JOINTS

ESTIMATOR = "generated/blazepose-errors-1"  # changes with the numbers in errors.json
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
    """Height of a body in picture heights: of its trunk where that is seen from the front.

    Args:
        keypoints: (T, 33, ≥ 2) x and y in shares of the picture.
        aspect: width / height of the picture.
    """
    at = {
        name: keypoints[:, JOINT_NAMES.index(name), :2]
        for name in JOINT_NAMES
        if "shoulder" in name or "hip" in name
    }
    trunk = 0.5 * (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"])
    return float(np.percentile(np.hypot(trunk[:, 0] * aspect, trunk[:, 1]), 90)) / TORSO


@dataclass(frozen=True)
class Errors:
    """Sizes of BlazePose's errors.

    Args:
        offset, slow, fast: (33) standard deviations of the three parts in x (and in y), body heights.
        rho: coefficient of the slow part from one frame to the next, at 25 frames a second.
        shared: share of the variance that face, hands and feet have in common.
        unseen: (33) mean of 1 − visibility.
    """

    offset: tuple[float, ...]
    slow: tuple[float, ...]
    fast: tuple[float, ...]
    rho: float
    shared: float
    unseen: tuple[float, ...]

    @classmethod
    def measured(cls) -> Errors:
        """Those in `errors.json`."""
        values: dict[str, Any] = json.loads(
            Path(__file__).with_name("errors.json").read_text(encoding="utf-8")
        )
        for name in ("offset", "slow", "fast", "unseen"):
            values[name] = tuple(values[name])
        return cls(**values)

    @classmethod
    def fit(cls, clips: Sequence[tuple[np.ndarray, np.ndarray, float]]) -> Errors:
        """From clips of (true (T, 33, ≥ 2), found (T, 33, 3), aspect), frames with nobody left out before.

        With γ_k the autocovariance of a clip's error about its mean at lag k: rho = γ_2 / γ_1, slow² = γ_1 / rho,
        fast² = γ_0 − slow². Medians over clips: a limb taken for another for a second is no jitter.
        """
        means, covariances, unseen, common = [], [], [], []
        for true, found, aspect in clips:
            error = (found[..., :2] - true[..., :2]) * (aspect, 1.0) / body_height(true, aspect)
            means.append(error.mean(axis=0))
            about = error - means[-1]
            covariances.append([(about[k:] * about[: len(about) - k]).mean(axis=(0, 2)) for k in range(3)])
            unseen.append(1.0 - found[..., 2].mean(axis=0))
            for group in GROUPS:
                part = about[:, list(group)]
                own = (part**2).mean(axis=(0, 2))
                both = np.einsum("tig,tjg->ij", part, part) / (2 * len(part))
                pairs = both / np.sqrt(np.outer(own, own) + 1e-18)
                common.append(pairs[~np.eye(len(group), dtype=bool)].mean())
        lags = np.median(np.array(covariances), axis=0)  # (3, 33)
        rho = float(np.clip(np.median(lags[2] / np.maximum(lags[1], 1e-12)), 0.0, 0.99))
        slow = np.clip(lags[1] / max(rho, 1e-6), 0.0, lags[0])
        centred = np.array(means)
        offset = np.median(np.abs(centred), axis=(0, 2)) / 0.6745  # of a Gaussian of mean 0
        return cls(
            offset=tuple(offset.round(5).tolist()),
            slow=tuple(np.sqrt(slow).round(5).tolist()),
            fast=tuple(np.sqrt(lags[0] - slow).round(5).tolist()),
            rho=round(rho, 4),
            shared=round(float(np.clip(np.median(common), 0.0, 1.0)), 4),
            unseen=tuple(np.median(unseen, axis=0).round(5).tolist()),
        )

    def apply(self, true: np.ndarray, aspect: float, rng: np.random.Generator) -> np.ndarray:
        """Keypoints (T, 33, 3) float32 as BlazePose gives them: x, y, visibility.

        Args:
            true: (T, 33, ≥ 2) x and y in shares of the picture, at 25 frames a second.
            aspect: width / height of the picture.
            rng: source of the errors.
        """
        frames = len(true)
        offset, slow, fast = (np.array(part)[:, None] for part in (self.offset, self.slow, self.fast))
        error = offset * self._normal(rng, 1)
        error = error + slow * self._wandering(self._normal(rng, frames)) + fast * self._normal(rng, frames)
        places = true[..., :2] + error * body_height(true, aspect) / (aspect, 1.0)
        unrest = self._wandering(rng.normal(size=(frames, JOINTS)))
        unseen = np.array(self.unseen) * np.exp(unrest - 0.5)  # of mean 1
        visibility = np.clip(1.0 - unseen, 0.0, 1.0)
        return np.concatenate([places, visibility[..., None]], axis=-1).astype(np.float32)

    def _normal(self, rng: np.random.Generator, frames: int) -> np.ndarray:
        """(frames, 33, 2) standard normal numbers, those of a group alike as far as `shared` says."""
        numbers = rng.normal(size=(frames, JOINTS, 2))
        for group in GROUPS:
            together = rng.normal(size=(frames, 1, 2))
            own = numbers[:, list(group)]
            numbers[:, list(group)] = np.sqrt(1 - self.shared) * own + np.sqrt(self.shared) * together
        return numbers

    def _wandering(self, white: np.ndarray) -> np.ndarray:
        """White noise (T, …) of variance 1 made slow, of the same variance from the first frame on."""
        driven = np.sqrt(1 - self.rho**2) * white
        driven[0] = white[0]
        return np.asarray(lfilter([1.0], [1.0, -self.rho], driven, axis=0))

    def save(self, path: Path) -> None:
        """Write them as `errors.json` has them."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
