"""The feature file of a clip: named streams of arrays extracted from its video.

One safetensors file per clip. Its metadata hold a JSON header that says how the streams were extracted, and a checksum
of header and arrays. A file that does not match the requested `FeatureSpec` is rejected with the reason.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
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
    """Which features to extract.

    Attributes:
        pose_fps: keypoint frames per second.
        visual_fps: video frames per second that the visual encoder gets.
        visual_window, visual_hop: length of a visual window and distance between windows, in those frames.
        visual_encoder: name of the encoder, see `build_visual_encoder`.
        streams: names of further streams, see `features.streams`.
    """

    pose_fps: float = 25.0
    visual_fps: float = 12.5
    visual_window: int = 16
    visual_hop: int = 16
    visual_encoder: str = "inception_i3d"
    streams: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "streams", tuple(self.streams))  # a list in YAML and JSON
        for name in ("pose_fps", "visual_fps", "visual_window", "visual_hop"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be greater than 0, not {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `streams` is left out when empty, as in files of earlier versions."""
        return _without_empty_streams(asdict(self))

    def mismatches(self, header: FeatureHeader) -> list[str]:
        """Differences between these settings and those of a file; further streams in the file are no difference."""
        found = [
            f"{name} is {getattr(header, name)}, not {wanted}"
            for name, wanted in asdict(self).items()
            if name != "streams" and getattr(header, name) != wanted
        ]
        return found + [f"stream {name} is missing" for name in self.streams if name not in header.streams]


@dataclass(frozen=True, kw_only=True)
class FeatureHeader:
    """How the features of a clip were extracted (see `FeatureSpec`).

    Attributes:
        seconds: length of the video.
        aspect: width / height of the frames as displayed; keypoints are relative to both.
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
    streams: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "streams", tuple(self.streams))


def _without_empty_streams(values: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if k == "streams" else v for k, v in values.items() if k != "streams" or v}


class Features:
    """Features of a clip: a dictionary of named streams.

    Attributes:
        header: how they were extracted.
        streams: name → array, the first axis is time. Always there:

            * `keypoints` (T, 33, 3) float32: x, y, visibility; T = round(seconds * pose_fps);
            * `detected` (T,) bool: False where the keypoints are interpolated;
            * `visual` (Tv, D) float32: windows of the video played forward;
            * `visual_reverse` (Tv, D) float32: windows of the video played backward, in that order.

            Any further stream has one row per keypoint frame: (T, D) float32.
    """

    def __init__(
        self,
        header: FeatureHeader,
        keypoints: np.ndarray,
        detected: np.ndarray,
        visual: np.ndarray,
        visual_reverse: np.ndarray,
        **further: np.ndarray,
    ) -> None:
        self.header = header
        self.streams: dict[str, np.ndarray] = {
            "keypoints": keypoints,
            "detected": detected,
            "visual": visual,
            "visual_reverse": visual_reverse,
            **further,
        }

    @property
    def keypoints(self) -> np.ndarray:
        """The stream of this name."""
        return self.streams["keypoints"]

    @property
    def detected(self) -> np.ndarray:
        """The stream of this name."""
        return self.streams["detected"]

    @property
    def visual(self) -> np.ndarray:
        """The stream of this name."""
        return self.streams["visual"]

    @property
    def visual_reverse(self) -> np.ndarray:
        """The stream of this name."""
        return self.streams["visual_reverse"]

    @property
    def nbytes(self) -> int:
        """Size of all streams in bytes."""
        return sum(array.nbytes for array in self.streams.values())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Features)
            and self.header == other.header
            and self.streams.keys() == other.streams.keys()
            and all(np.array_equal(array, other.streams[name]) for name, array in self.streams.items())
        )

    def segment(self, start: float, seconds: float) -> Features:
        """The features of `seconds` from `start` on.

        Frame k shows the time start + k / pose_fps, which need not be a frame of the clip: streams are interpolated
        linearly, and the first and last frames are repeated beyond the ends. The visual windows are the
        max(1, round(seconds * visual_fps / visual_hop)) successive ones nearest to the segment; those of
        `visual_reverse` show the same seconds of the video played backward, in that order.

        Raises:
            ValueError: `seconds` is not greater than 0.
        """
        if not seconds > 0:
            raise ValueError(f"a segment must be longer than 0 seconds, not {seconds}")
        head = self.header
        count = max(1, round(seconds * head.pose_fps))
        # Rounded, so that a start on a frame gives exactly that frame despite floating-point errors.
        position = np.round(start * head.pose_fps + np.arange(count), 6).clip(0, len(self.keypoints) - 1)
        low = np.floor(position).astype(np.int64)
        high = np.minimum(low + 1, len(self.keypoints) - 1)
        fraction = (position - low).astype(np.float32)

        def interpolate(rows: np.ndarray) -> np.ndarray:
            weight = fraction.reshape(-1, *[1] * (rows.ndim - 1))
            between: np.ndarray = rows[low] * (1 - weight) + rows[high] * weight
            return between

        nearest = np.floor(position + 0.5).astype(np.int64).clip(0, len(self.detected) - 1)
        windows = max(1, round(seconds * head.visual_fps / head.visual_hop))
        selected = {
            "detected": self.detected[nearest],
            "visual": self.visual[self._windows(start, windows)],
            "visual_reverse": self.visual_reverse[self._windows(head.seconds - start - seconds, windows)],
        }
        streams = {
            name: selected[name] if name in selected else interpolate(rows)
            for name, rows in self.streams.items()
        }
        share = float(selected["detected"].mean())
        return Features(replace(head, seconds=seconds, detected_share=share), **streams)

    def _windows(self, start: float, count: int) -> np.ndarray:
        """(count,) indices of the windows from `start` on; the last one is repeated if there are too few."""
        total = len(self.visual)
        nearest = round(start * self.header.visual_fps / self.header.visual_hop)
        first = min(max(nearest, 0), max(total - count, 0))
        return np.minimum(np.arange(first, first + count), total - 1)

    def reversed(self) -> Features:
        """The features of the video played backward; reversing twice restores the original."""
        streams = {name: np.ascontiguousarray(rows[::-1]) for name, rows in self.streams.items()}
        streams |= {"visual": self.visual_reverse, "visual_reverse": self.visual}
        return Features(self.header, **streams)


def save_features(path: str | Path, features: Features) -> None:
    """Write a feature file atomically."""
    arrays = {
        name: np.ascontiguousarray(rows, dtype=bool if name == "detected" else np.float32)
        for name, rows in features.streams.items()
    }
    header = _without_empty_streams(asdict(features.header))
    header["sha256"] = _checksum(header, arrays)
    with atomic_path(path) as temporary:
        # One metadata entry: safetensors writes several in random order, and equal features should give equal files.
        save_file(arrays, str(temporary), metadata={"header": json.dumps(header)})


def load_features(path: str | Path, expect: FeatureSpec | None = None) -> Features:
    """Read a feature file. The arrays are memory-mapped, so that processes share them.

    Args:
        path: the file.
        expect: settings that the file must have; None accepts any.

    Raises:
        FeatureFileError: the file is missing, damaged, of another schema, or differs from `expect`. Files of earlier
            versions have no checksum; everything else is checked in them too.
    """
    path = Path(path)
    if not path.exists():
        raise FeatureFileError(f"{path} does not exist: prepare the corpus first")
    try:
        # Tensors of torch stay in the file, arrays of NumPy would be copies.
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {})["header"]
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}
        values = json.loads(text)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise FeatureFileError(
            f"{path} is not a complete feature file: delete it and prepare again"
        ) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        schema = values.get("schema") if isinstance(values, dict) else None
        raise FeatureFileError(
            f"{path} has schema {_short(schema)}, this version reads {SCHEMA}: prepare the corpus again"
        )
    try:
        checksum = values.pop("sha256", None)
        if checksum is not None and checksum != _checksum(values, arrays):
            raise ValueError("the checksum does not match")
        header = FeatureHeader(**values)
        _check_header(header)
        features = Features(header, **arrays)
        _check_arrays(features)
    except (TypeError, ValueError, OverflowError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" …")
        raise FeatureFileError(f"{path} is damaged ({reason}): delete it and prepare again") from error
    wrong = expect.mismatches(header) if expect is not None else []
    if wrong:
        raise FeatureFileError(f"{path} was made with other settings ({'; '.join(wrong)}): prepare it again")
    return features


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the header and of the name, dtype, shape and bytes of every array."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _short(value: object) -> str:
    return textwrap.shorten(repr(value), 40, placeholder="…")


def _check_header(head: FeatureHeader) -> None:
    """Raise ValueError if a value has the wrong type or is out of range."""
    types: dict[Any, Any] = {"int": int, "float": (int, float), "str": str}
    for field in fields(head):
        value = getattr(head, field.name)
        if field.name == "streams":
            valid = all(isinstance(name, str) for name in value)
        else:
            valid = isinstance(value, types[field.type]) and not isinstance(value, bool)
        if not valid:
            raise ValueError(f"{field.name} is {_short(value)}")
    for name in ("seconds", "aspect", "pose_fps", "visual_fps", "visual_window", "visual_hop"):
        if not 0 < getattr(head, name) < 1e9:  # more than any clip has
            raise ValueError(f"{name} is {getattr(head, name)}")


def _check_arrays(features: Features) -> None:
    """Raise ValueError if the arrays do not match the header."""
    head = features.header
    frames, count = (_frames(head.seconds, fps) for fps in (head.pose_fps, head.visual_fps))
    windows = window_count(count, head.visual_window, head.visual_hop)
    shapes = {
        "keypoints": (frames, head.joints, 3),
        "detected": (frames,),
        "visual": (windows, head.visual_dim),
        "visual_reverse": (windows, head.visual_dim),
    }
    if features.streams.keys() != {*shapes, *head.streams}:
        raise ValueError(f"its streams are {_short(sorted(features.streams))}")
    for name, array in features.streams.items():
        shape = shapes.get(name, (frames, array.shape[1] if array.ndim == 2 else 1))
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, its header says {shape}")
        if array.dtype != (np.bool_ if name == "detected" else np.float32):
            raise ValueError(f"{name} has dtype {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} contains NaN or infinity")


def _frames(seconds: float, fps: float) -> int:
    if not seconds * fps < 1e9:
        raise ValueError(f"{seconds} seconds of {fps} frames per second")
    return max(1, round(seconds * fps))
