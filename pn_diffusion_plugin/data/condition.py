"""The dance as a condition: the streams of a video over the same seconds as the music.

Does not import audiocraft, whose conditioners take seconds to import; `dance_attributes.py` adds the dance to
audiocraft's `ConditioningAttributes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ..errors import UserError

if TYPE_CHECKING:
    from .augment import Change
    from .features.feature_file import Features

#: Names of the two conditions in `DanceAttributes.dance`: the video played forward and backward.
#: (A key named `forward` cannot be used: it clashes with `nn.ModuleDict`.)
POSITIVE, NEGATIVE = "dance", "dance_reverse"


class DanceCondition(NamedTuple):
    """A batch of dance segments, like audiocraft's `WavCondition`.

    The streams of a batch are padded at the end; the lengths say how much of each is valid.
    Frame `k` of a stream shows the time `k / rate` seconds after the beginning of the segment.

    Shape:
        visual: (B, Tv, D) float32; windows of the visual encoder.
        motion: (B, T, 33, 3) float32; x and y relative to the frame's height (so that a portrait video is not
            distorted), visibility.
        detected: (B, T) bool; False where the keypoints are interpolated, and in the padding.
        visual_length: (B,) int64, at most Tv. 0: no dance (see `nullify_dance`).
        motion_length: (B,) int64, at most T.
        visual_rate, motion_rate: B numbers each, visual windows and keypoint frames per second (Hz).
        seconds: B numbers: length of the segment with its padding.
        path: B names of the feature file or video, or None.
        seek_time: B numbers: time in the clip at which the segment begins (s), or None.
        streams: name → (B, T, D) float32; further streams of the feature file.
    """

    visual: torch.Tensor
    motion: torch.Tensor
    detected: torch.Tensor
    visual_length: torch.Tensor
    motion_length: torch.Tensor
    visual_rate: list[float]
    motion_rate: list[float]
    seconds: list[float]
    path: list[str | None]
    seek_time: list[float | None]
    streams: dict[str, torch.Tensor] = {}  # never modified in place

    @property
    def batch_size(self) -> int:
        """Number of segments B."""
        return self.visual.shape[0]

    def to(self, device: torch.device | str) -> DanceCondition:
        """Copy all tensors to `device`, asynchronously to a GPU."""
        non_blocking = torch.device(device).type != "cpu"
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def rolled(self, by: int) -> DanceCondition:
        """Replace the dance of clip i + `by` by that of clip i (cyclic)."""
        lists = {name: getattr(self, name) for name in _LISTS}
        rolled = {name: values[-by:] + values[:-by] for name, values in lists.items()}
        return self._map(lambda tensor: tensor.roll(by, 0))._replace(**rolled)

    def _map(self, function: Any) -> DanceCondition:
        """Apply a function to every tensor."""
        tensors = {name: function(getattr(self, name)) for name in _TENSORS}
        return self._replace(**tensors, streams={name: function(x) for name, x in self.streams.items()})


_TENSORS = ("visual", "motion", "detected", "visual_length", "motion_length")
_LISTS = ("visual_rate", "motion_rate", "seconds", "path", "seek_time")


def length_to_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """(B,) lengths → (B, size) bool, True at the first `lengths` positions."""
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def dance_conditions(
    features: Features,
    start: float = 0.0,
    seconds: float | None = None,
    path: str | Path | None = None,
    change: Change | None = None,
) -> tuple[DanceCondition, DanceCondition]:
    """Cut the same seconds out of the video played forward and backward: (positive, negative), each with B = 1.

    The negative is the reversed video over these same seconds: its first frame shows the end of the segment.
    Where the segment reaches past the end of the clip, both are padded with their last values, which the lengths
    do not count.

    Args:
        features: features of a clip.
        start: beginning of the segment, in seconds of the clip.
        seconds: length of the segment; None: to the end of the clip.
        path: stored in the conditions.
        change: augmentation of the keypoints, applied before the negative is derived from them.

    Raises:
        UserError: the segment begins outside the clip.
        FeatureFileError: the video was read forward only.
    """
    condition = _segment(features, start, seconds, path, change)
    return condition(1), condition(-1)


def positive_condition(
    features: Features,
    start: float = 0.0,
    seconds: float | None = None,
    path: str | Path | None = None,
    change: Change | None = None,
) -> DanceCondition:
    """The positive one of `dance_conditions`; needs no windows of the video played backward."""
    return _segment(features, start, seconds, path, change)(1)


def _segment(
    features: Features, start: float, seconds: float | None, path: str | Path | None, change: Change | None
) -> Callable[[int], DanceCondition]:
    """A segment, as a function from its direction (1 forward, -1 backward) to a condition."""
    header = features.header
    if not 0 <= start < header.seconds:
        raise UserError(
            f"{path or 'the clip'} is {header.seconds:g} s long and has no segment at {start:g} s: "
            "choose a start inside the clip"
        )
    remaining = header.seconds - start
    length = remaining if seconds is None else seconds
    visual_rate = header.visual_fps / header.visual_hop
    motion_size = max(1, round(length * header.pose_fps))
    visual_size = max(1, round(length * visual_rate))

    segment = features.segment(start, min(length, remaining))
    keypoints = segment.keypoints * np.array([header.aspect, 1, 1], dtype=np.float32)
    detected = segment.detected
    if change is not None:
        keypoints, detected = change(keypoints, detected, header.pose_fps, header.aspect)
    further = {name: segment.streams[name] for name in header.streams}

    def condition(step: int) -> DanceCondition:
        visual = segment.visual if step > 0 else segment.visual_reverse
        return DanceCondition(
            visual=_fit(visual, visual_size),
            motion=_fit(keypoints[::step], motion_size),
            detected=_fit(detected[::step], motion_size, fill=False),
            visual_length=torch.tensor([min(len(visual), visual_size)]),
            motion_length=torch.tensor([min(len(keypoints), motion_size)]),
            visual_rate=[visual_rate],
            motion_rate=[header.pose_fps],
            seconds=[length],
            path=[None if path is None else str(path)],
            seek_time=[start],
            streams={name: _fit(rows[::step], motion_size) for name, rows in further.items()},
        )

    return condition


def _fit(values: np.ndarray, size: int, fill: bool | None = None) -> torch.Tensor:
    """(t, ...) → (1, size, ...): cut, or padded at the end with `fill` (None: the last row)."""
    values = values[:size]
    if len(values) < size:
        last = values[-1:] if fill is None else np.full_like(values[-1:], fill)
        values = np.concatenate([values, np.repeat(last, size - len(values), axis=0)])
    return torch.from_numpy(np.array(values))[None]


def collate_dance(conditions: Sequence[DanceCondition]) -> DanceCondition:
    """Concatenate segments of any lengths into one batch, zero-padded at the end.

    Raises:
        UserError: the visual features have different sizes, or a segment lacks a stream.
    """
    if not conditions:
        raise ValueError("a batch of dances needs at least one")
    sizes = sorted({condition.visual.shape[-1] for condition in conditions})
    names = ", ".join(str(condition.path[0]) for condition in conditions)
    if len(sizes) > 1:
        raise UserError(
            f"{names} have visual features of sizes {sizes}: prepare all clips with the same visual encoder"
        )
    if any(condition.streams.keys() != conditions[0].streams.keys() for condition in conditions):
        raise UserError(f"{names} have different feature streams: prepare all clips with the same streams")

    def pad(tensors: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(
            [row for tensor in tensors for row in tensor], batch_first=True
        )

    values: dict[str, Any] = {
        name: pad([getattr(condition, name) for condition in conditions])
        for name in ("visual", "motion", "detected")
    }
    for name in ("visual_length", "motion_length"):
        values[name] = torch.cat([getattr(condition, name) for condition in conditions])
    for name in _LISTS:
        values[name] = [item for condition in conditions for item in getattr(condition, name)]
    streams = {name: pad([c.streams[name] for c in conditions]) for name in conditions[0].streams}
    return DanceCondition(**values, streams=streams)


def nullify_dance(condition: DanceCondition) -> DanceCondition:
    """Zeros of length 0 in the same shape: no dance, as audiocraft's `nullify_wav` does for a `WavCondition`."""
    nothing: list[Any] = [None] * condition.batch_size
    return condition._map(torch.zeros_like)._replace(path=nothing, seek_time=list(nothing))
