"""The feature file of a clip: what BlazePose and I3D see in a dance, played forward and backward.

One safetensors file a clip: four arrays, and in its metadata a header that says how they were made, with a checksum
of all. A file that does not match what is asked for is refused with the reason, never resampled in silence.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...errors import FeatureFileError, UserError
from ...utils.files import atomic_path
from ..skeleton import JOINTS
from .visual import window_count

SCHEMA = 1
UNITS = "keypoints: x, y in shares of the picture's width and height, visibility 0 to 1; time in seconds"


@dataclass(frozen=True)
class FeatureSpec:
    """What features are wanted.

    Attributes:
        pose_fps: keypoint frames a second.
        visual_fps: pictures a second the visual encoder sees.
        visual_window, visual_hop: in those pictures.
        visual_encoder: name, as in `build_visual_encoder`.
    """

    pose_fps: float = 25.0
    visual_fps: float = 12.5
    visual_window: int = 16
    visual_hop: int = 16
    visual_encoder: str = "inception_i3d"

    def __post_init__(self) -> None:
        for name in ("pose_fps", "visual_fps", "visual_window", "visual_hop"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be greater than 0, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class FeatureHeader:
    """How the features of a clip were made (see `FeatureSpec`).

    Attributes:
        seconds: length of the picture.
        aspect: width / height of the picture as shown: keypoints are in shares of both.
    """

    schema: int = SCHEMA
    seconds: float
    aspect: float = 1.0
    pose_fps: float
    visual_fps: float
    visual_window: int
    visual_hop: int
    joints: int = JOINTS
    units: str = UNITS
    pose_extractor: str
    pose_weights_sha256: str
    visual_encoder: str
    visual_dim: int
    visual_weights_sha256: str
    video_sha256: str
    detected_share: float


@dataclass(eq=False)
class FeatureSegment:
    """Some seconds of a clip: keypoints (t, 33, 3), detected (t,), visual and visual_reverse (tv, D)."""

    keypoints: np.ndarray
    detected: np.ndarray
    visual: np.ndarray
    visual_reverse: np.ndarray


@dataclass(eq=False)
class Features:
    """Features of a clip.

    Attributes:
        header: how they were made.
        keypoints: (T, 33, 3) float32, x, y, visibility; T = round(seconds * pose_fps).
        detected: (T,) bool; where false the keypoints are interpolated.
        visual: (Tv, D) float32, windows of the video played forward.
        visual_reverse: (Tv, D) float32, windows of the video played backward, in that order.
    """

    header: FeatureHeader
    keypoints: np.ndarray
    detected: np.ndarray
    visual: np.ndarray
    visual_reverse: np.ndarray

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Features) or self.header != other.header:
            return False
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return all(np.array_equal(mine, theirs) for mine, theirs in pairs)

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return self.keypoints, self.detected, self.visual, self.visual_reverse

    def segment(self, start: float, seconds: float) -> FeatureSegment:
        """The features of `seconds` from `start` on.

        Frame k stands at time start + k / pose_fps, which need not be a frame of the clip (linear
        interpolation; the first and last frames are held beyond the ends). The visual windows are the
        max(1, round(seconds * visual_fps / visual_hop)) successive ones nearest to the segment; those of
        `visual_reverse` show the same seconds, of the video played backward, in that order.

        Raises:
            ValueError: no length.
        """
        if not seconds > 0:
            raise ValueError(f"a segment needs more than 0 seconds, not {seconds}")
        head = self.header
        count = max(1, round(seconds * head.pose_fps))
        # Rounded so that a start on a frame gives exactly that frame, whatever the floating point says.
        place = np.round(start * head.pose_fps + np.arange(count), 6).clip(0, len(self.keypoints) - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(self.keypoints) - 1)
        share = (place - low).astype(np.float32)[:, None, None]
        keypoints = self.keypoints[low] * (1 - share) + self.keypoints[high] * share
        windows = max(1, round(seconds * head.visual_fps / head.visual_hop))
        return FeatureSegment(
            keypoints=keypoints,
            detected=self.detected[np.floor(place + 0.5).astype(np.int64).clip(0, len(self.detected) - 1)],
            visual=self.visual[self._windows(start, windows)],
            visual_reverse=self.visual_reverse[self._windows(head.seconds - start - seconds, windows)],
        )

    def _windows(self, start: float, count: int) -> np.ndarray:
        """(count,) numbers of the windows from `start` on; the ends are repeated where there are too few."""
        total = len(self.visual)
        nearest = round(start * self.header.visual_fps / self.header.visual_hop)
        first = min(max(nearest, 0), max(total - count, 0))
        return np.minimum(np.arange(first, first + count), total - 1)

    def reversed(self) -> Features:
        """The features of the video played backward; twice reversed is the original."""
        return Features(
            header=self.header,
            keypoints=np.ascontiguousarray(self.keypoints[::-1]),
            detected=np.ascontiguousarray(self.detected[::-1]),
            visual=self.visual_reverse,
            visual_reverse=self.visual,
        )


def save_features(path: str | Path, features: Features) -> None:
    """Write a feature file, atomically."""
    arrays = {
        "keypoints": np.ascontiguousarray(features.keypoints, dtype=np.float32),
        "detected": np.ascontiguousarray(features.detected, dtype=bool),
        "visual": np.ascontiguousarray(features.visual, dtype=np.float32),
        "visual_reverse": np.ascontiguousarray(features.visual_reverse, dtype=np.float32),
    }
    header = asdict(features.header)
    header["sha256"] = _checksum(header, arrays)
    with atomic_path(path) as temporary:
        # One entry: safetensors writes several in any order, and the same features are to give the same file.
        save_file(arrays, str(temporary), metadata={"header": json.dumps(header)})


def load_features(path: str | Path, expect: FeatureSpec | None = None) -> Features:
    """Read a feature file: its arrays are memory-mapped, so that processes share them and none need keep them.

    Args:
        path: the file.
        expect: refuse a file made otherwise; None: take it as it is.

    Raises:
        FeatureFileError: missing, damaged, of another schema, or not what `expect` asks for. Files of earlier
            versions carry no checksum; all else is checked in them too.
    """
    path = Path(path)
    if not path.exists():
        raise FeatureFileError(f"{path} does not exist: prepare the corpus first")
    try:
        # torch's tensors lie in the file, numpy's are copies
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {})["header"]
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}
        values = json.loads(text)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise FeatureFileError(f"{path} is no whole feature file: delete it and prepare again") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        schema = values.get("schema") if isinstance(values, dict) else None
        raise FeatureFileError(
            f"{path} is of schema {_short(schema)}, this version reads {SCHEMA}: prepare the corpus again"
        )
    try:
        told = values.pop("sha256", None)
        if told is not None and told != _checksum(values, arrays):
            raise ValueError("its contents are not those of its checksum")
        header = FeatureHeader(**values)
        _check_header(header)
        features = Features(header, **arrays)
        _check_arrays(features)
    except (TypeError, ValueError, OverflowError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" …")
        raise FeatureFileError(f"{path} is damaged ({reason}): delete it and prepare again") from error
    if expect is not None:
        wrong = [
            f"{name} is {values[name]}, not {wanted}"
            for name, wanted in asdict(expect).items()
            if values[name] != wanted
        ]
        if wrong:
            raise FeatureFileError(f"{path} was made otherwise ({'; '.join(wrong)}): prepare it again")
    return features


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the header and of every array's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _short(value: object) -> str:
    return textwrap.shorten(repr(value), 40, placeholder="…")


def _check_header(head: FeatureHeader) -> None:
    """Raise ValueError where a value is of the wrong kind or makes no sense."""
    kinds: dict[Any, Any] = {"int": int, "float": (int, float), "str": str}
    for field in fields(head):
        value = getattr(head, field.name)
        if isinstance(value, bool) or not isinstance(value, kinds[field.type]):
            raise ValueError(f"{field.name} is {_short(value)}")
    for name in ("seconds", "aspect", "pose_fps", "visual_fps", "visual_window", "visual_hop"):
        if not 0 < getattr(head, name) < 1e9:  # more than any clip has
            raise ValueError(f"{name} is {getattr(head, name)}")


def _check_arrays(features: Features) -> None:
    """Raise ValueError where arrays and header do not agree."""
    head = features.header
    frames, count = (_frames(head.seconds, fps) for fps in (head.pose_fps, head.visual_fps))
    windows = window_count(count, head.visual_window, head.visual_hop)
    wanted = {
        "keypoints": (np.float32, (frames, head.joints, 3)),
        "detected": (np.bool_, (frames,)),
        "visual": (np.float32, (windows, head.visual_dim)),
        "visual_reverse": (np.float32, (windows, head.visual_dim)),
    }
    for name, (kind, shape) in wanted.items():
        array = getattr(features, name)
        if array.shape != shape:
            raise ValueError(f"{name} is {array.shape}, its header says {shape}")
        if array.dtype != kind:
            raise ValueError(f"{name} is of {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds numbers that are not finite")


def _frames(seconds: float, fps: float) -> int:
    if not seconds * fps < 1e9:
        raise ValueError(f"{seconds} seconds of {fps} pictures each")
    return max(1, round(seconds * fps))
