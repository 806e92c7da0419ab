"""BlazePose keypoints of a dance (mediapipe 0.10; Bazarevsky et al., arXiv 2006.10204).

Landmarks are taken unfiltered. BlazePose's own smoothing is causal: it delays every joint a little and so
leaves a fingerprint of the direction of time, by which a model could tell a reversed dance without looking at
the dance.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import UserError, VideoError
from ..skeleton import JOINTS
from .blazepose import BlazePose
from .dancers import People, parse_dancer

POSE_SIDE = (
    640  # pixels of the longer side; BlazePose looks at 256 x 256 around the dancer, more only costs time
)
HOLD = 0.1  # seconds: see `retime`
_MODELS = {0: "pose_landmark_lite", 1: "pose_landmark_full", 2: "pose_landmark_heavy"}


class PoseSource(Protocol):
    """Tells where the joints of the dancer are (see `PoseExtractor`).

    Attributes:
        name, weights_sha256: stored in feature files.
    """

    @property
    def name(self) -> str: ...

    @property
    def weights_sha256(self) -> str: ...

    def extract(
        self,
        frames: Iterable[np.ndarray],
        fps: float,
        *,
        name: str = "the video",
        times: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """All `frames` are taken, whether they are looked at or not."""
        ...


class PoseExtractor:
    """Keypoints of one person, frame by frame, as if the camera stood still.

    Every call of `extract` starts anew, so a clip's keypoints depend on nothing seen before.

    Args:
        model_complexity: 0 (lite), 1 (full) or 2 (heavy). Only the full model comes with mediapipe; the
            others are used where somebody has put their files beside it.
        dancer: who is followed: `prominent` (large, in the middle, there for long), `left`, `right`, `largest`, or
            the number of a person, 1 being the one farthest to the left (see `dancers`).
        steady: take the camera's own movement off the keypoints (see `camera`).

    Raises:
        UserError: mediapipe 0.10 or the model is not installed, or there is no such choice.
    """

    def __init__(
        self, model_complexity: int = 1, dancer: str | int = "prominent", steady: bool = True
    ) -> None:
        self.dancer, self.steady = parse_dancer(dancer), steady
        if model_complexity not in _MODELS:
            raise UserError(f"pose model complexity must be 0, 1 or 2, not {model_complexity}")
        spec = importlib.util.find_spec("mediapipe")
        if spec is None or spec.origin is None:
            raise UserError("mediapipe is not installed: pip install --no-deps mediapipe==0.10.14")
        modules = Path(spec.origin).parent / "modules"
        landmark = modules / "pose_landmark" / f"{_MODELS[model_complexity]}.tflite"
        detector = modules / "pose_detection" / "pose_detection.tflite"
        for file in (landmark, detector):
            if not file.exists():
                raise UserError(
                    f"mediapipe's pose model {file.name} is not there:"
                    " use complexity 1 with mediapipe 0.10.9 to 0.10.21"
                )
        self.model_complexity = model_complexity
        choice = "" if self.dancer == "prominent" else f", dancer {self.dancer}"
        self.name = f"blazepose/{_MODELS[model_complexity]}{choice}"
        self.weights_sha256 = hashlib.sha256(landmark.read_bytes() + detector.read_bytes()).hexdigest()

    def extract(
        self,
        frames: Iterable[np.ndarray],
        fps: float,
        *,
        name: str = "the video",
        times: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the dancer.

        Args:
            frames: T pictures (H, W, 3) uint8 RGB.
            fps: of the pictures, Hz.
            name: what to call the video in a message.
            times: (T,) seconds at which the pictures were taken, where that is not i / fps: joints are interpolated.

        Returns:
            keypoints (T, 33, 3) float32: x, y in [0, 1] of the picture (beyond it for joints out of view; a moving
            camera: of the shot's first picture), visibility in [0, 1]; and detected (T,) bool. Where nobody was
            detected x and y are interpolated in time (held at the ends) and visibility is 0. The first picture after
            a cut counts as such: no velocity reaches across.

        Raises:
            VideoError: nobody was found in any picture, or not as many people as to have the one wanted.
        """
        from .camera import CameraMotion, CutDetector, steady

        cutter, camera, cuts, aspect = CutDetector(), CameraMotion(), [], 1.0
        with BlazePose(self.model_complexity) as eyes:
            people = People(eyes, fps)
            for frame in frames:
                picture = np.ascontiguousarray(frame)
                cuts.append(cutter.push(picture))
                boxes = people.push(picture, cuts[-1])
                if self.steady:
                    camera.push(picture, boxes, cuts[-1])
                aspect = people.aspect
        rows, most = people.choose(self.dancer)
        detected = np.array([row is not None for row in rows], dtype=bool)
        if not detected.any():
            if most:
                raise VideoError(
                    f"at most {most} were seen in a shot of {name}: dancer {self.dancer} is nobody, give 1 to {most}"
                )
            raise VideoError(
                f"nobody was found in the {len(rows) / fps:.1f} s of {name}:"
                " give a video with one dancer well in view"
            )
        keypoints = np.stack([np.zeros((JOINTS, 3), np.float32) if row is None else row for row in rows])
        if self.steady:
            keypoints[..., :2] = steady(keypoints[..., :2], camera.steps, np.array(cuts), aspect)
        within = detected & ~np.array(cuts)
        detected = within if within.any() else detected  # the first pictures of shots are better than nothing
        if times is not None:
            keypoints, detected = retime(keypoints, detected, times, fps)
        return fill_gaps(keypoints, detected), detected


def retime(
    keypoints: np.ndarray, detected: np.ndarray, times: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints at the times i / fps out of those of pictures taken at other times.

    Of a video of 24 or 30 pictures a second the nearest ones are looked at, up to 17 ms beside the wanted moment or
    the same one twice: a steady movement would stutter. Pictures farther apart than `HOLD` are a stand-still, not a
    slow movement.

    Args:
        keypoints: (T, J, 3); detected: (T,) bool.
        times: (T,) seconds, not falling.
        fps: wanted, Hz.

    Returns:
        the same shapes; the very same values where the times are i / fps.
    """
    wanted = np.arange(len(times)) / fps
    if np.abs(times - wanted).max(initial=0.0) < 1e-3:
        return keypoints, detected
    new = np.flatnonzero(np.diff(times, prepend=-np.inf) > 1e-6)
    taken, points, found = times[new], keypoints[new], detected[new]
    after = np.searchsorted(taken, wanted + 1e-6, side="right")
    low, high = (after - 1).clip(0), after.clip(max=len(taken) - 1)
    span = taken[high] - taken[low]
    share = np.where(span > 0, (wanted - taken[low]) / np.where(span > 0, span, 1.0), 0.0).clip(0, 1)
    share = np.where(span > HOLD, 0.0, share)
    kept = np.where(share > 1e-3, found[low] & found[high], found[low])
    weight = share[:, None, None].astype(np.float32)
    moved = points[low] * (1 - weight) + points[high] * weight
    if not kept.any():
        return keypoints, detected
    return moved, kept


def fill_gaps(keypoints: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """Interpolate undetected frames linearly in time, hold the ends, and give them visibility 0.

    Args:
        keypoints: (T, J, 3) x, y, visibility.
        detected: (T,) bool, at least one true.

    Returns:
        (T, J, 3) float32.
    """
    filled = keypoints.astype(np.float32, copy=True)
    known = np.flatnonzero(detected)
    missing = np.flatnonzero(~detected)
    after = np.searchsorted(known, missing)
    left = known[np.clip(after - 1, 0, len(known) - 1)]
    right = known[np.clip(after, 0, len(known) - 1)]
    share = np.where(right > left, (missing - left) / np.maximum(right - left, 1), 0.0)[:, None, None]
    filled[missing] = (1 - share) * keypoints[left] + share * keypoints[right]
    filled[missing, :, 2] = 0.0
    return filled
