"""What a dance gives the model: its visual and motion streams over the same seconds as the music.

Imports nothing of audiocraft: its conditioners take seconds to import. `dance_attributes.py` adds the dance to
audiocraft's `ConditioningAttributes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ..errors import UserError

if TYPE_CHECKING:
    from .augment import Change
    from .features.feature_file import Features

#: Names of the two streams in `DanceAttributes.dance`: the video played forward and backward.
#: (A key named `forward` cannot be used: it clashes with `nn.ModuleDict`.)
POSITIVE, NEGATIVE = "dance", "dance_reverse"


class DanceCondition(NamedTuple):
    """A batch of dance segments, in the manner of audiocraft's `WavCondition`.

    The streams of a batch are padded at their ends; the lengths say how much of each is real.
    Frame `k` of a stream shows the moment `k / rate` seconds after the segment's beginning.

    Shape:
        visual: (B, Tv, D) float32; windows of the visual encoder.
        motion: (B, T, 33, 3) float32; x and y in heights of the picture, so that a portrait video is not
            stretched; visibility.
        detected: (B, T) bool; where a person was found rather than interpolated; False in the padding.
        visual_length: (B,) int64, at most Tv. 0: no dance (see `nullify_dance`).
        motion_length: (B,) int64, at most T.
        visual_rate, motion_rate: B numbers each, Hz: visual windows and pose frames a second.
        seconds: B numbers: how long the segment is, its padding included.
        path: B names of the feature file or video it came from, or None.
        seek_time: B numbers: second of the clip at which the segment begins, or None.
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

    @property
    def batch_size(self) -> int:
        """Number of segments B."""
        return self.visual.shape[0]

    def to(self, device: torch.device | str) -> DanceCondition:
        """The same with all tensors on `device`; a GPU's is not waited for."""
        soon = torch.device(device).type != "cpu"
        tensors = {name: getattr(self, name).to(device, non_blocking=soon) for name in _TENSORS}
        return self._replace(**tensors)

    def rolled(self, by: int) -> DanceCondition:
        """Clip i's dance in the place of clip i + `by` (cyclic): everybody gets somebody else's."""
        tensors = {name: getattr(self, name).roll(by, 0) for name in _TENSORS}
        lists = {name: getattr(self, name) for name in self._fields if name not in _TENSORS}
        return self._replace(
            **tensors, **{name: values[-by:] + values[:-by] for name, values in lists.items()}
        )

    def visual_mask(self) -> torch.Tensor:
        """(B, Tv) bool, True where the visual stream is real."""
        return _mask(self.visual_length, self.visual.shape[1])

    def motion_mask(self) -> torch.Tensor:
        """(B, T) bool, True where the motion stream is real."""
        return _mask(self.motion_length, self.motion.shape[1])


_TENSORS = ("visual", "motion", "detected", "visual_length", "motion_length")


def _mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def dance_conditions(
    features: Features,
    start: float = 0.0,
    seconds: float | None = None,
    path: str | Path | None = None,
    change: Change | None = None,
) -> tuple[DanceCondition, DanceCondition]:
    """Cut the same seconds out of the dance played forward and backward: (positive, negative), each with B =
    1.

    The negative is the reversed video over these very seconds: its first frame shows the segment's last
    moment. Where the clip ends before the segment, both are padded at their ends with what stands last,
    which the lengths leave out.

    Args:
        features: A clip's features.
        start: Where the segment begins, in seconds of the clip.
        seconds: How long it is; None for the rest of the clip.
        path: Where it comes from, carried along.
        change: Of the keypoints, before anything is made of them; both streams show the changed dance.

    Raises:
        UserError: the segment begins outside the clip.
    """
    header = features.header
    if not 0 <= start < header.seconds:
        raise UserError(
            f"{path or 'the clip'} is {header.seconds:g} s long and has no segment at {start:g} s: "
            "take one that begins inside the clip"
        )
    remaining = header.seconds - start
    seconds = remaining if seconds is None else seconds
    available = min(seconds, remaining)
    visual_rate = header.visual_fps / header.visual_hop
    motion_size = max(1, round(seconds * header.pose_fps))
    visual_size = max(1, round(seconds * visual_rate))

    segment = features.segment(start, available)
    keypoints, found = segment.keypoints * np.array([header.aspect, 1, 1], dtype=np.float32), segment.detected
    if change is not None:
        keypoints, found = change(keypoints, found, header.pose_fps, header.aspect)

    def condition(motion: np.ndarray, detected: np.ndarray, visual: np.ndarray) -> DanceCondition:
        return DanceCondition(
            visual=_fit(visual, visual_size),
            motion=_fit(motion, motion_size),
            detected=_fit(detected, motion_size, fill=False),
            visual_length=torch.tensor([min(len(visual), visual_size)]),
            motion_length=torch.tensor([min(len(motion), motion_size)]),
            visual_rate=[visual_rate],
            motion_rate=[header.pose_fps],
            seconds=[seconds],
            path=[None if path is None else str(path)],
            seek_time=[start],
        )

    positive = condition(keypoints, found, segment.visual)
    negative = condition(keypoints[::-1], found[::-1], segment.visual_reverse)
    return positive, negative


def _fit(values: np.ndarray, size: int, fill: bool | None = None) -> torch.Tensor:
    """(t, ...) array to a (1, size, ...) tensor: cut, or padded at its end with `fill` (None: its last
    row)."""
    values = values[:size]
    if len(values) < size:
        last = values[-1:] if fill is None else np.full_like(values[-1:], fill)
        values = np.concatenate([values, np.repeat(last, size - len(values), axis=0)])
    return torch.from_numpy(np.array(values))[None]


def collate_dance(conditions: Sequence[DanceCondition]) -> DanceCondition:
    """Put segments, of any lengths, into one batch: streams are padded at their ends with zeros.

    Raises:
        UserError: the visual streams come from encoders of different size.
    """
    if not conditions:
        raise ValueError("a batch of dances needs at least one")
    sizes = sorted({condition.visual.shape[-1] for condition in conditions})
    if len(sizes) > 1:
        names = ", ".join(str(condition.path[0]) for condition in conditions)
        raise UserError(
            f"{names} hold visual features of sizes {sizes}: prepare all clips with the same visual encoder"
        )

    def pad(name: str) -> torch.Tensor:
        rows = [row for condition in conditions for row in getattr(condition, name)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def chain(name: str) -> list[Any]:
        return [item for condition in conditions for item in getattr(condition, name)]

    return DanceCondition(
        visual=pad("visual"),
        motion=pad("motion"),
        detected=pad("detected"),
        visual_length=torch.cat([condition.visual_length for condition in conditions]),
        motion_length=torch.cat([condition.motion_length for condition in conditions]),
        visual_rate=chain("visual_rate"),
        motion_rate=chain("motion_rate"),
        seconds=chain("seconds"),
        path=chain("path"),
        seek_time=chain("seek_time"),
    )


def nullify_dance(condition: DanceCondition) -> DanceCondition:
    """No dance, in the same shape: zeros of length 0 (what `nullify_wav` is to a `WavCondition`)."""
    zeros: dict[str, Any] = {name: torch.zeros_like(getattr(condition, name)) for name in _TENSORS}
    nothing: list[Any] = [None] * condition.batch_size
    return condition._replace(**zeros, path=nothing, seek_time=list(nothing))
