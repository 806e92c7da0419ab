"""The dance as a condition: one encoder, two streams. Torch alone; `conditioners.py` makes audiocraft's classes of it.

Making music needs nothing of audiocraft, whose import takes longer than most other things it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..data.condition import NEGATIVE, POSITIVE, DanceCondition, collate_dance, length_to_mask
from .dance_encoder import DanceEncoder

if TYPE_CHECKING:
    from ..data.dance_attributes import DanceAttributes


class DanceEmbedder(nn.Module):
    """`DanceCondition` (batched) → (embedding (B, T, D), mask (B, T)).

    The mask is False where nobody was found and where a segment reaches past its clip's end. A batch may mix
    segments of different length: beyond a segment's own tokens the embedding is exactly zero, and only there, so that
    a model that attends to "nobody seen here" can tell that nothing is there at all.

    Args:
        encoder: shared by all streams.
        output_dim: width of the embedding; None keeps the encoder's own (the paper: no projection).
    """

    def __init__(
        self, encoder: DanceEncoder, output_dim: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        nn.Module.__init__(self)  # whatever stands between in a class that is audiocraft's too
        self.dim, self.output_dim = encoder.output_dim, output_dim or encoder.output_dim
        # Drawn in any case, as audiocraft's base class does: a seed gives the weights that it always gave.
        self.output_proj: nn.Module = nn.Linear(self.dim, self.output_dim)
        if output_dim is None:
            self.output_proj = nn.Identity()
        self.encoder = encoder
        self.device = device

    def tokenize(self, conditions: list[DanceCondition]) -> DanceCondition:
        """Collate a list of conditions of one clip each and move them to the device."""
        return collate_dance(conditions).to(self.device)

    def forward(self, inputs: DanceCondition) -> tuple[torch.Tensor, torch.Tensor]:
        rates = set(inputs.motion_rate)
        if len(rates) > 1:
            raise ValueError(
                f"a batch mixes keypoints of {sorted(rates)} frames a second: prepare all clips alike"
            )
        sizes = [
            (max(1, round(seconds * visual_rate)), max(1, round(seconds * motion_rate)))
            for seconds, visual_rate, motion_rate in zip(
                inputs.seconds, inputs.visual_rate, inputs.motion_rate, strict=True
            )
        ]
        tokens, mask = self.encoder(
            inputs.visual,
            inputs.motion,
            inputs.detected,
            rates.pop(),
            inputs.visual_length,
            inputs.motion_length,
            sizes,
            inputs.streams,
        )
        embedding = self.output_proj(tokens)
        if self.encoder.temporal != "pooled" and len(set(sizes)) > 1:
            frames = torch.tensor([frames for _, frames in sizes], device=embedding.device)
            there = length_to_mask(frames, embedding.shape[1])
            embedding = embedding * there[..., None].to(embedding.dtype)
        return embedding, mask


class DanceStreams(nn.Module):
    """Conditions of a dance, keys `dance` (played forward: positive) and `dance_reverse` (backward: negative).

    Both keys go through the *same* conditioner: a reversed dance is a dance, and the objective compares the two.
    """

    def __init__(self, conditioner: DanceEmbedder, device: torch.device | str = "cpu") -> None:
        nn.Module.__init__(self)
        self.device = device
        self.conditioners = nn.ModuleDict({POSITIVE: conditioner})

    @property
    def dance(self) -> DanceEmbedder:
        """The shared conditioner."""
        conditioner = self.conditioners[POSITIVE]
        assert isinstance(conditioner, DanceEmbedder)
        return conditioner

    def tokenize(
        self, inputs: list[DanceAttributes], streams: tuple[str, ...] = (POSITIVE, NEGATIVE)
    ) -> dict[str, Any]:
        """`collate` of the attributes' dances."""
        return self.collate([x.dance for x in inputs], streams)

    def collate(
        self,
        dances: Sequence[Mapping[str, DanceCondition]],
        streams: tuple[str, ...] = (POSITIVE, NEGATIVE),
    ) -> dict[str, Any]:
        """The wanted streams of some clips: {name: DanceCondition (B, …)}.

        Raises:
            ValueError: when a clip lacks a stream.
        """
        for dance in dances:
            missing = [name for name in streams if name not in dance]
            if missing:
                raise ValueError(
                    f"a clip has no stream {missing[0]!r} (it has: {', '.join(dance) or 'none'})"
                )
        return {name: self.dance.tokenize([dance[name] for dance in dances]) for name in streams}

    def forward(self, tokenized: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Embed every stream in one batched pass of the encoder."""
        if not tokenized:
            return {}
        names = list(tokenized)
        first = tokenized[names[0]]
        joined = first if len(names) == 1 else collate_dance([tokenized[name] for name in names])
        embedding, mask = self.dance(joined)
        return {
            name: (e, m)
            for name, e, m in zip(names, embedding.chunk(len(names)), mask.chunk(len(names)), strict=True)
        }
