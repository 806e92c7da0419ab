"""BlazePose keypoints of a dance (mediapipe 0.10; Bazarevsky et al., arXiv 2006.10204).

Landmarks are not filtered. BlazePose's own smoothing is causal: it delays every joint a little and so reveals the
direction of time, which would let a model detect a reversed dance without using the dance.
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

POSE_SIDE = 640  # longer side in pixels; BlazePose uses 256 x 256 around the dancer, more only costs time
MAX_GAP = 0.1  # s: longest gap between frames that `resample_times` interpolates across
_MODELS = {0: "pose_landmark_lite", 1: "pose_landmark_full", 2: "pose_landmark_heavy"}


class PoseSource(Protocol):
    """Finds the joints of the dancer (see `PoseExtractor`).

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
        """Must consume all `frames`."""
        ...


class PoseExtractor:
    """Keypoints of one person in every frame, with the movement of the camera removed.

    Every call of `extract` is independent of earlier calls.

    Args:
        model_complexity: 0 (lite), 1 (full) or 2 (heavy). Only the full model comes with mediapipe; the files of
            the others must be placed beside it.
        dancer: which person to follow: `prominent` (large, central, visible for long), `left`, `right`, `largest`, or
            a number, 1 being the leftmost person (see `dancers`).
        steady: compensate the movement of the camera (see `camera`).

    Raises:
        UserError: mediapipe 0.10 or the model is not installed, or an argument is invalid.
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
                    f"mediapipe's pose model {file.name} is missing:"
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
            frames: T frames (H, W, 3) uint8 RGB.
            fps: frame rate, Hz.
            name: name of the video in error messages.
            times: (T,) times of the frames (s) if they are not i / fps: joints are interpolated.

        Returns:
            keypoints (T, 33, 3) float32: x, y in [0, 1] of the frame (outside for joints out of view; with a moving
            camera: of the first frame of the shot), visibility in [0, 1]; and detected (T,) bool. Where the person
            was not detected, x and y are interpolated in time (held at the ends) and visibility is 0. The first
            frame after a cut counts as not detected, so that no velocity is computed across the cut.

        Raises:
            VideoError: no person was found in any frame, or fewer people than the number given as `dancer`.
        """
        from .camera import CameraMotion, CutDetector, steady

        cutter, camera, cuts, aspect = CutDetector(), CameraMotion(), [], 1.0
        with BlazePose(self.model_complexity) as networks:
            people = People(networks, fps)
            for frame in map(np.ascontiguousarray, frames):
                cuts.append(cutter.push(frame))
                boxes = people.push(frame, cuts[-1])
                if self.steady:
                    camera.push(frame, boxes, cuts[-1])
                aspect = people.aspect
        rows, most = people.choose(self.dancer)
        detected = np.array([row is not None for row in rows], dtype=bool)
        if not detected.any():
            if most:
                raise VideoError(
                    f"at most {most} people were found in a shot of {name}: dancer {self.dancer} does not exist, "
                    f"give 1 to {most}"
                )
            raise VideoError(
                f"no person was found in the {len(rows) / fps:.1f} s of {name}: "
                "give a video in which the whole dancer is visible"
            )
        keypoints = np.stack([np.zeros((JOINTS, 3), np.float32) if row is None else row for row in rows])
        if self.steady:
            keypoints[..., :2] = steady(keypoints[..., :2], camera.steps, np.array(cuts), aspect)
        uncut = detected & ~np.array(cuts)
        detected = uncut if uncut.any() else detected
        if times is not None:
            keypoints, detected = resample_times(keypoints, detected, times, fps)
        return fill_gaps(keypoints, detected), detected


def resample_times(
    keypoints: np.ndarray, detected: np.ndarray, times: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate keypoints to the times i / fps.

    The frames read from a video of 24 or 30 frames per second are up to 17 ms away from the requested times, or
    repeated: without interpolation a steady movement would stutter. A gap between frames longer than `MAX_GAP` is a
    still image, not a slow movement, and is not interpolated.

    Args:
        keypoints: (T, J, 3); detected: (T,) bool.
        times: (T,) times of the keypoints (s), non-decreasing.
        fps: requested rate, Hz.

    Returns:
        arrays of the same shapes; unchanged if the times are i / fps.
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
    share = np.where(span > MAX_GAP, 0.0, share)
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
