"""AIST++'s published 2D keypoints instead of BlazePose: the 17 joints of COCO as BlazePose's 33.

    keypoints2d/gBR_sBM_cAll_d04_mBR0_ch01.pkl: keypoints2d (9 cameras, N, 17, 3: x, y in pixels, score),
    det_scores (9, N), timestamps (N,), at 60 frames per second

Joints of COCO keep their positions. The others are derived from them (`DERIVED`), with visibility 0. A joint with a low
score (below 0.15, AIST++'s own threshold) is interpolated in time, also with visibility 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....errors import CorpusError, VideoError
from ....utils.array_pickle import read_tree
from ...features.pose import fill_gaps
from ...skeleton import JOINT_NAMES, JOINTS
from .names import FIXED_CAMERAS, AistName, parse_name

if TYPE_CHECKING:
    from ...features.feature_file import FeatureSpec
    from ..clips import Extractor

COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
#: BlazePose joint → (joint, from, to, share): its position is joint + share * (to - from).
DERIVED: dict[str, tuple[str, str, str, float]] = {}
for _side, _other in (("left", "right"), ("right", "left")):
    _eyes = (f"{_side}_eye", f"{_side}_eye", f"{_other}_eye")
    _forearm = (f"{_side}_wrist", f"{_side}_elbow", f"{_side}_wrist")
    _shin = (f"{_side}_ankle", f"{_side}_knee", f"{_side}_ankle")
    DERIVED[f"{_side}_eye_inner"] = (*_eyes, 0.25)
    DERIVED[f"{_side}_eye_outer"] = (*_eyes, -0.25)
    DERIVED[f"mouth_{_side}"] = ("nose", f"{_other}_eye", "nose", 0.6)
    DERIVED[f"{_side}_thumb"] = (*_forearm, 0.2)
    DERIVED[f"{_side}_pinky"] = (*_forearm, 0.3)
    DERIVED[f"{_side}_index"] = (*_forearm, 0.35)
    DERIVED[f"{_side}_heel"] = (*_shin, 0.1)
    DERIVED[f"{_side}_foot_index"] = (*_shin, 0.3)

_MIN_SCORE = 0.15
_MIN_JOINTS = 9  # of 17: with fewer the dancer counts as not detected
_FPS = 60.0
_MAX_DISTANCE = 0.05  # s; a frame further than this from all annotated ones has no annotation
_SIZE = (
    1920,
    1080,
)  # of AIST's original videos; annotations are in these pixels for any size of the video file
_OTHER_SIZES = {"gJB_sBM_c07_d07_mJB3_ch05": (640, 480)}  # the exception documented by AIST++'s authors


def to_blazepose(coco: np.ndarray) -> np.ndarray:
    """Convert joints of COCO to those of BlazePose.

    Args:
        coco: (T, 17, 3) x, y in any unit, visibility.

    Returns:
        (T, 33, 3); joints that COCO does not have are derived, with visibility 0.
    """
    known = {name: coco[:, index] for index, name in enumerate(COCO_NAMES)}
    joints = np.zeros((len(coco), JOINTS, 3), np.float32)
    for index, name in enumerate(JOINT_NAMES):
        if name in known:
            joints[:, index] = known[name]
        else:
            joint, start, end, share = DERIVED[name]
            joints[:, index, :2] = known[joint][:, :2] + share * (known[end][:, :2] - known[start][:, :2])
    return joints


def resample(
    keypoints: np.ndarray, scores: np.ndarray, times: np.ndarray, fps: float, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Resample annotated frames to a constant rate.

    Args:
        keypoints: (N, 17, 3) x, y, score; not finite where a joint was not detected.
        scores: (N,) of the dancer; 0 or not finite where not detected.
        times: (N,) of the frames, seconds, increasing.
        fps: requested rate, Hz; frame k shows the time k / fps.
        count: number of requested frames.

    Returns:
        (count, 17, 3) x, y interpolated between the frames in which the joint was detected, visibility; and (count,)
        bool, whether the dancer was detected.
    """
    wanted = np.arange(count) / fps
    after = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    nearest = np.where(wanted - times[before] <= times[after] - wanted, before, after)
    near = np.abs(times[nearest] - wanted) <= _MAX_DISTANCE
    sure = np.nan_to_num(keypoints[..., 2], nan=0.0)
    seen = np.isfinite(keypoints).all(axis=-1) & (sure >= _MIN_SCORE)
    found = (seen.sum(axis=1) >= _MIN_JOINTS) & (np.nan_to_num(scores, nan=0.0) > 0)
    result = np.zeros((count, keypoints.shape[1], 3), np.float32)
    never = []
    for joint in range(keypoints.shape[1]):
        known = np.flatnonzero(seen[:, joint])
        if not len(known):
            never.append(joint)
            continue
        for axis in (0, 1):
            result[:, joint, axis] = np.interp(wanted, times[known], keypoints[known, joint, axis])
        result[:, joint, 2] = np.where(seen[nearest, joint] & near, sure[nearest, joint].clip(0, 1), 0)
    if never and len(never) < keypoints.shape[1]:  # at the mean of the others, invisible
        result[:, never, :2] = np.delete(result[..., :2], never, axis=1).mean(axis=1, keepdims=True)
    return result, found[nearest] & near


def frame_times(timestamps: np.ndarray | None, frames: int) -> np.ndarray:
    """Times of the annotated frames, (N,) seconds.

    `timestamps` are in frames, seconds, milliseconds or microseconds; the unit follows from their step at 60 frames per
    second. Without usable timestamps frame k has the time k / 60.
    """
    plain = np.arange(frames) / _FPS
    if timestamps is None or timestamps.shape != (frames,) or frames < 2:
        return plain
    stamps = timestamps.astype(np.float64)
    if not np.isfinite(stamps).all() or (np.diff(stamps) <= 0).any():
        return plain
    step = float(np.median(np.diff(stamps)))
    for unit in (1 / _FPS, 1.0, 1e-3, 1e-6):
        if 0.8 < step * unit * _FPS < 1.25:
            return stamps * unit
    return plain


@dataclass(frozen=True)
class AistPose:
    """The published keypoints as a `PoseSource`.

    Attributes:
        annotations: folder with `keypoints2d` (and optionally `cameras`, for the frame sizes).
    """

    annotations: Path
    name: str = "aist++/keypoints2d"

    @property
    def weights_sha256(self) -> str:
        """Hash of the mapping of joints."""
        return hashlib.sha256(json.dumps([COCO_NAMES, DERIVED, _MIN_SCORE]).encode()).hexdigest()

    def extract(
        self,
        frames: Iterable[np.ndarray],
        fps: float,
        *,
        name: str = "the video",
        times: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `PoseExtractor.extract`; `name` is the path of the video, which contains sequence and camera. `times` are
        ignored, since the annotations have their own.

        Raises:
            VideoError: the name is not one of AIST's, or the dancer was not detected in any frame.
            CorpusError: the annotations are missing or cannot be read.
        """
        video = parse_name(Path(name).stem)
        if video is None or video.camera not in FIXED_CAMERAS:
            raise VideoError(
                f"{name} has no published keypoints: use only AIST++'s videos, cameras c01 to c09"
            )
        count = sum(1 for _ in frames)
        keypoints, scores, times = self._read(video)
        joints, detected = resample(keypoints, scores, times, fps, count)
        if not detected.any():
            raise VideoError(f"no person was found in {name} by AIST++'s annotations: omit it")
        return fill_gaps(to_blazepose(joints), detected), detected

    def _read(self, video: AistName) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, 17, 3) x, y relative to the frame, score; (N,) score of the dancer; (N,) times (s)."""
        path = self.annotations / "keypoints2d" / f"{video.sequence}.pkl"
        arrays = read_tree(path, CorpusError, "give the annotations as AIST++ distributes them")
        arrays = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
        keypoints = arrays.get("keypoints2d")
        cameras = len(FIXED_CAMERAS)
        if (
            keypoints is None
            or keypoints.ndim != 4
            or keypoints.shape[0] != cameras
            or keypoints.shape[2:] != (17, 3)
        ):
            shape = None if keypoints is None else keypoints.shape
            raise CorpusError(
                f"{path} has keypoints2d of shape {shape}, not (9, frames, 17, 3): give AIST++'s own annotations"
            )
        camera = FIXED_CAMERAS.index(video.camera)
        size = np.array([*self._size(video), 1.0])
        frames = keypoints.shape[1]
        scores = arrays.get("det_scores")
        of_camera = np.ones(frames) if scores is None or scores.shape != (cameras, frames) else scores[camera]
        times = frame_times(arrays.get("timestamps"), frames)
        return keypoints[camera].astype(np.float64) / size, of_camera, times

    def _size(self, video: AistName) -> tuple[int, int]:
        """(width, height) of the frame in annotation pixels; from the camera calibration if available."""
        if str(video) in _OTHER_SIZES:
            return _OTHER_SIZES[str(video)]
        folder = self.annotations / "cameras"
        try:
            rows = [
                line.split() for line in (folder / "mapping.txt").read_text(encoding="utf-8").splitlines()
            ]
            setting = {row[0]: row[1] for row in rows if len(row) == 2}[video.sequence]
            for camera in json.loads((folder / f"{setting}.json").read_text(encoding="utf-8")):
                if camera["name"] == video.camera:
                    width, height = camera["size"]
                    return int(width), int(height)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return _SIZE


@dataclass(frozen=True)
class AistExtractor:
    """`ExtractorFactory` for `prepare_folder` that uses the published keypoints."""

    annotations: Path

    def __call__(self, spec: FeatureSpec, visual_weights: Path | None) -> Extractor:
        from ...features.extraction import extract_features
        from ...features.visual import build_visual_encoder

        pose, encoder = AistPose(self.annotations), build_visual_encoder(spec.visual_encoder, visual_weights)
        return lambda video: extract_features(video, spec, pose, encoder)
