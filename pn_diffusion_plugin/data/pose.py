"""BlazePose keypoints of a dance (mediapipe 0.10; Bazarevsky et al., arXiv 2006.10204).

Landmarks are taken unfiltered. BlazePose's own smoothing is causal: it delays every joint a little and so
leaves a fingerprint of the direction of time, by which a model could tell a reversed dance without looking at
the dance.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from pn_diffusion_plugin.errors import UserError, VideoError

JOINT_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
JOINTS = len(JOINT_NAMES)
POSE_SIDE = (
    640  # pixels of the longer side; BlazePose looks at 256 x 256 around the dancer, more only costs time
)
_MODELS = {0: "pose_landmark_lite", 1: "pose_landmark_full", 2: "pose_landmark_heavy"}
_NOISE = re.compile(rb"XNNPACK|inference_feedback_manager|InitializeLog|landmark_projection_calculator")
_stderr_lock = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what mediapipe's C++ side writes to stderr when a graph starts; pass on anything else."""
    with _stderr_lock, tempfile.TemporaryFile() as held:
        try:
            saved = os.dup(2)
        except OSError:  # there is no stderr to keep quiet
            yield
            return
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _NOISE.search(line):
                    os.write(2, line)


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
        self, frames: Iterable[np.ndarray], fps: float, *, name: str = "the video"
    ) -> tuple[np.ndarray, np.ndarray]:
        """All `frames` are taken, whether they are looked at or not."""
        ...


class PoseExtractor:
    """Keypoints of the most prominent person, frame by frame.

    Every call of `extract` starts a new tracker, so a clip's keypoints depend on nothing seen before.

    Args:
        model_complexity: 0 (lite), 1 (full) or 2 (heavy). Only the full model comes with mediapipe; the
            others are used where somebody has put their files beside it.

    Raises:
        UserError: mediapipe 0.10 or the model is not installed.
    """

    def __init__(self, model_complexity: int = 1) -> None:
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
        self.name = f"blazepose/{_MODELS[model_complexity]}"
        self.weights_sha256 = hashlib.sha256(landmark.read_bytes() + detector.read_bytes()).hexdigest()

    def extract(
        self, frames: Iterable[np.ndarray], fps: float, *, name: str = "the video"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the dancer.

        Args:
            frames: T pictures (H, W, 3) uint8 RGB.
            fps: of the pictures, Hz.
            name: what to call the video in a message.

        Returns:
            keypoints (T, 33, 3) float32: x, y in [0, 1] of the picture (beyond it for joints out of view),
            visibility in [0, 1]; and detected (T,) bool. Where nobody was detected x and y are interpolated
            in time (held at the ends) and visibility is 0.

        Raises:
            VideoError: nobody was found in any picture.
        """
        from mediapipe.python.solutions.pose import Pose

        rows: list[np.ndarray | None] = []
        with contextlib.ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message=r".*GetPrototype\(\) is deprecated")
            tracker: Pose | None = None
            for frame in frames:
                if tracker is None:
                    with _quiet():  # the models are loaded by the constructor and by the first picture
                        tracker = Pose(model_complexity=self.model_complexity, smooth_landmarks=False)
                        stack.enter_context(tracker)
                        found = tracker.process(np.ascontiguousarray(frame)).pose_landmarks
                else:
                    found = tracker.process(np.ascontiguousarray(frame)).pose_landmarks
                points = [(p.x, p.y, p.visibility) for p in found.landmark] if found else None
                rows.append(None if points is None else np.array(points, dtype=np.float32))
        detected = np.array([row is not None for row in rows], dtype=bool)
        if not detected.any():
            raise VideoError(
                f"nobody was found in the {len(rows) / fps:.1f} s of {name}:"
                " give a video with one dancer well in view"
            )
        keypoints = np.stack([np.zeros((JOINTS, 3), np.float32) if row is None else row for row in rows])
        return fill_gaps(keypoints, detected), detected


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
