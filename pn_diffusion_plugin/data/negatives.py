"""Negative cues: which dance opposes the positive one (`negative.cue`), and which music belongs to it.

reversed    the same seconds played backward (the paper)
shifted     the same dance, about half a beat early or late: right moves at wrong times
mismatched  another song's dance

A new cue is one subclass of `NegativeCue` and one entry of `NEGATIVE_CUES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ..errors import UserError
from .augment import Change
from .condition import DanceCondition, dance_conditions, positive_condition
from .features.feature_file import Features

NEGATIVE_MUSIC = ("same", "reversed")

#: Half a beat at 180 and at 60 beats per minute (s).
SHIFTS = (1 / 6, 1 / 2)
#: Shift when music is generated: half a beat at 104 beats per minute (s).
TYPICAL_SHIFT = float(np.sqrt(SHIFTS[0] * SHIFTS[1]))


@dataclass(frozen=True)
class TrainingSegment:
    """A segment of a training clip.

    Attributes:
        features: of the whole clip.
        start, seconds: of the segment (s).
        backward: the segment's dance played backward.
        path: feature file of the clip.
        change: augmentation of the keypoints, the same for both streams.
        other_song: draws a clip with another song: (features, seconds of the clip, feature file).
    """

    features: Features
    start: float
    seconds: float
    backward: DanceCondition
    path: str | Path | None
    change: Change | None
    other_song: Callable[[np.random.Generator], tuple[Features, float, str | Path]]


class NegativeCue(ABC):
    """Which dance is the negative condition."""

    #: Value of the configuration's `negative.cue`.
    name: ClassVar[str]
    #: The negative dance in plain words, for model cards.
    words: ClassVar[str]
    #: Whether sampling needs a dance stored with the weights, since it cannot be made from the clip's own.
    needs_stored_dance: ClassVar[bool] = False

    @abstractmethod
    def for_training(self, segment: TrainingSegment, rng: np.random.Generator) -> DanceCondition:
        """Return the negative dance (B = 1) of a training segment."""

    @abstractmethod
    def for_sampling(
        self, features: Features, start: float, seconds: float, stored: DanceCondition | None
    ) -> DanceCondition:
        """Return the negative dance (B = 1) of a window, the same in every run.

        Args:
            features: of the whole clip.
            start, seconds: of the window (s).
            stored: the dance stored with the weights.
        """

    @abstractmethod
    def latent(
        self,
        z0: torch.Tensor,
        mask: torch.Tensor | None = None,
        column_seconds: float = 0.1,
        u: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return clean latents (B, C, F, L) of the music that belongs to the negative dance.

        Args:
            z0: clean latents of the clips.
            mask: (B, 1, 1, L), 1 where there is music; padding stays at the end. None: no padding.
            column_seconds: seconds per latent column.
            u: (B,) uniform random numbers in [0, 1), for cues that need one per clip.
        """


class Reversed(NegativeCue):
    """The same seconds played backward.

    >>> z, mask = torch.tensor([[[[1.0, 2.0, 3.0, 0.0]]]]), torch.tensor([[[[1, 1, 1, 0]]]])
    >>> Reversed().latent(z, mask).flatten().tolist()
    [3.0, 2.0, 1.0, 0.0]
    """

    name = "reversed"
    words = "the dance played backward"

    def for_training(self, segment: TrainingSegment, rng: np.random.Generator) -> DanceCondition:
        return segment.backward

    def for_sampling(
        self, features: Features, start: float, seconds: float, stored: DanceCondition | None
    ) -> DanceCondition:
        return dance_conditions(features, start, seconds)[1]

    def latent(
        self,
        z0: torch.Tensor,
        mask: torch.Tensor | None = None,
        column_seconds: float = 0.1,
        u: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Latent columns in reverse order: the first is, as in the reversed dance, the segment's last moment."""
        if mask is None:
            return z0.flip(-1)
        columns, length = _columns(z0, mask)
        return _take(z0, torch.where(columns < length, length - 1 - columns, columns))


class Shifted(NegativeCue):
    """The same dance, half a beat of some tempo early or late."""

    name = "shifted"
    words = "the dance half a beat early or late"

    def for_training(self, segment: TrainingSegment, rng: np.random.Generator) -> DanceCondition:
        return shifted_dance(
            segment.features, segment.start, segment.seconds, random_shift(rng), segment.path, segment.change
        )

    def for_sampling(
        self, features: Features, start: float, seconds: float, stored: DanceCondition | None
    ) -> DanceCondition:
        return shifted_dance(features, start, seconds)

    def latent(
        self,
        z0: torch.Tensor,
        mask: torch.Tensor | None = None,
        column_seconds: float = 0.1,
        u: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Music columns rolled by half a beat (cyclic), at least one column, in either direction."""
        if u is None:
            u = torch.rand(len(z0), device=z0.device)
        seconds = SHIFTS[0] + (2 * u % 1) * (SHIFTS[1] - SHIFTS[0])
        shift = (seconds / column_seconds).round().clamp(min=1) * torch.where(u < 0.5, 1, -1)
        columns, length = _columns(z0, mask)
        rolled = (columns + shift.long().reshape(-1, 1, 1, 1)) % length.clamp(min=1)
        return _take(z0, torch.where(columns < length, rolled, columns))


class Mismatched(NegativeCue):
    """Another song's dance."""

    name = "mismatched"
    words = "another song's dance"
    needs_stored_dance = True

    def for_training(self, segment: TrainingSegment, rng: np.random.Generator) -> DanceCondition:
        features, clip_seconds, path = segment.other_song(rng)
        start = rng.uniform(0, max(clip_seconds - segment.seconds, 0))
        return positive_condition(features, start, segment.seconds, path, segment.change)

    def for_sampling(
        self, features: Features, start: float, seconds: float, stored: DanceCondition | None
    ) -> DanceCondition:
        assert stored is not None
        return stored

    def latent(
        self,
        z0: torch.Tensor,
        mask: torch.Tensor | None = None,
        column_seconds: float = 0.1,
        u: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Latents of the next clip of the batch; shorter music is repeated to the own length."""
        columns, length = _columns(z0, mask)
        return _take(z0.roll(1, 0), columns % length.roll(1, 0).clamp(min=1))


def _columns(z0: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Column numbers (1, 1, 1, L) and numbers of music columns (B, 1, 1, 1)."""
    columns = torch.arange(z0.shape[-1], device=z0.device)[None, None, None]
    if mask is None:
        return columns, torch.full((len(z0), 1, 1, 1), z0.shape[-1], device=z0.device)
    return columns, (mask > 0).sum(-1, keepdim=True)


def _take(z0: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Columns of latents (B, C, F, L) by index (B, 1, 1, L)."""
    return z0.gather(-1, index.expand_as(z0))


#: By the names of `negative.cue`.
NEGATIVE_CUES: dict[str, NegativeCue] = {cue.name: cue for cue in (Reversed(), Shifted(), Mismatched())}


def get_cue(name: str) -> NegativeCue:
    """Return a negative cue by its name.

    Raises:
        UserError: for an unknown name.
    """
    if name not in NEGATIVE_CUES:
        raise UserError(f"negative.cue={name!r}: give one of {', '.join(NEGATIVE_CUES)}")
    return NEGATIVE_CUES[name]


def random_shift(rng: np.random.Generator) -> float:
    """Draw half a beat of some tempo, early (positive) or late (s)."""
    return float(rng.uniform(*SHIFTS) * rng.choice([-1, 1]))


def shifted_dance(
    features: Features,
    start: float,
    seconds: float,
    shift: float = TYPICAL_SHIFT,
    path: str | Path | None = None,
    change: Change | None = None,
) -> DanceCondition:
    """Return the dance `shift` seconds early, i.e. the segment that begins at `start + shift`.

    Where that lies before the clip's beginning, or less than half a segment before its end, the shift has the opposite
    sign. What still lies outside the clip is padding.
    """
    duration = features.header.seconds
    latest = max(duration - seconds / 2, 0.0)
    begin = next((b for b in (start + shift, start - shift) if 0 <= b <= latest), min(start, latest))
    return positive_condition(features, begin, seconds, path, change)
