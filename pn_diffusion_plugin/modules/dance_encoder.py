"""Dance encoder: visual windows and keypoints of one dance to tokens.

The paper concatenates the means over time of the I3D features and the ST-GCN's output to one token of 2048 + 1024
numbers (`pooled`), which contains no timing. `tokens` and `aligned` keep one token per keypoint frame, with the
features of the visual window around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ..data.condition import length_to_mask
from .motion import MOTION_INPUTS, motion_features
from .normalizer import Normalizer
from .st_gcn import STGCN

Temporal = Literal["pooled", "tokens", "aligned"]
TEMPORAL: tuple[Temporal, ...] = ("pooled", "tokens", "aligned")


class DanceEncoder(nn.Module):
    """Encode a dance.

    Args:
        visual_dim: size of the visual features.
        visual_out: width that they are projected to; 0: without the visual stream; None: without a projection.
        motion_dim: width of the ST-GCN's output (paper: 1024); 0: without the motion stream.
        motion_inputs: inputs of the ST-GCN, see `motion_features` (paper: `("position",)`).
        channels, layers, kernel_size, dropout: of the ST-GCN.
        temporal: `pooled` (the paper) or `tokens` / `aligned`.
        streams: further streams of the feature file: name → numbers per frame.
        stream_out: width that each of them is projected to.

    Shape:
        visual (B, Tv, Dv), keypoints (B, T, J, 3), detected (B, T) → tokens (B, T', D), mask (B, T'):
        T' = 1 for `pooled`, else T. The mask is False at frames without a detected dancer and in padding.
        `visual_length`, `motion_length` (B,): windows and frames without padding. `sizes`: both numbers for each clip's
        segment, where the batch mixes segments of different lengths. `streams`: name → (B, T, D).

    A clip's tokens where the mask is True do not depend on its padding, on the other clips of the batch, or on
    interpolated keypoints (frames without a dancer, joints of visibility 0).
    """

    def __init__(
        self,
        *,
        visual_dim: int,
        visual_out: int | None,
        motion_dim: int,
        motion_inputs: tuple[str, ...] = ("position",),
        channels: int = 32,
        layers: int = 10,
        kernel_size: int = 3,
        dropout: float = 0.0,
        temporal: Temporal = "pooled",
        streams: Mapping[str, int] | None = None,
        stream_out: int = 16,
    ) -> None:
        super().__init__()
        if temporal not in TEMPORAL:
            raise ValueError(f"conditioning.temporal is {temporal!r}: choose from {', '.join(TEMPORAL)}")
        if visual_out == 0 and motion_dim == 0:
            raise ValueError(
                "conditioning.visual_out and conditioning.motion.dim are both 0: give at least one a width"
            )
        self.temporal = temporal
        self.motion_inputs = tuple(motion_inputs)
        self.visual_norm = Normalizer(visual_dim)
        self.visual_out: nn.Module | None = None
        if visual_out is None:
            self.visual_out = nn.Identity()
        elif visual_out > 0:
            self.visual_out = nn.Linear(visual_dim, visual_out)
        in_channels = sum(MOTION_INPUTS[name] for name in self.motion_inputs)
        self.motion_norm = Normalizer(in_channels)
        self.st_gcn = (
            STGCN(
                in_channels,
                channels=channels,
                layers=layers,
                kernel_size=kernel_size,
                out_dim=motion_dim,
                dropout=dropout,
            )
            if motion_dim
            else None
        )
        streams = streams or {}
        self.stream_norms = nn.ModuleDict({name: Normalizer(dim) for name, dim in streams.items()})
        self.stream_outs = nn.ModuleDict({name: nn.Linear(dim, stream_out) for name, dim in streams.items()})
        self.output_dim = motion_dim + (visual_dim if visual_out is None else visual_out)
        self.output_dim += stream_out * len(streams)

    def motion_features(
        self, keypoints: torch.Tensor, fps: float, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Inputs of the ST-GCN before normalisation: (B, T, J, 3) → (B, T, J, C). `seen`: (B, T, J) bool."""
        return motion_features(keypoints, fps, self.motion_inputs, seen)

    def forward(
        self,
        visual: torch.Tensor,
        keypoints: torch.Tensor,
        detected: torch.Tensor,
        fps: float,
        visual_length: torch.Tensor | None = None,
        motion_length: torch.Tensor | None = None,
        sizes: Sequence[tuple[int, int]] | None = None,
        streams: Mapping[str, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        windows, frames = visual.shape[1], keypoints.shape[1]
        detected = detected.bool()
        if motion_length is not None:
            detected = detected & length_to_mask(motion_length, frames)
        if visual_length is None:
            visual_length = torch.full((len(visual),), windows, device=visual.device)
        pooled = self.temporal == "pooled"
        parts = []
        if self.visual_out is not None:
            view = self.visual_out(self.visual_norm(visual))
            if pooled:
                parts.append(_mean(view, length_to_mask(visual_length, windows)))
            else:
                parts.append(_spread(view, sizes or [(windows, frames)] * len(view), frames))
        if self.st_gcn is not None:
            seen = detected[..., None] & (keypoints[..., 2] > 0)
            x = self.motion_norm(self.motion_features(keypoints, fps, seen)) * seen[..., None]
            motion = self.st_gcn(x, detected)
            parts.append(_mean(motion, detected) if pooled else motion)
        for name, project in self.stream_outs.items():
            x = project(self.stream_norms[name]((streams or {})[name]))
            parts.append(_mean(x, detected) if pooled else x)
        tokens = torch.cat(parts, dim=-1)
        if not pooled:
            return tokens, detected
        present = detected.any(dim=1) if self.visual_out is None else visual_length > 0
        return tokens, present[:, None]


def _mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Masked mean over time, 0 where the mask is all False: (B, T, D) → (B, 1, D)."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(min=1)


def _spread(view: torch.Tensor, sizes: Sequence[tuple[int, int]], frames: int) -> torch.Tensor:
    """Repeat visual windows to frames; a segment's windows are adjacent and cover its frames.

    Args:
        view: (B, Tv, D).
        sizes: windows and frames of each clip's segment.
        frames: T of the batch.

    Returns:
        (B, T, D), zeros beyond a clip's segment.
    """
    if len(set(sizes)) > 1:
        own = [_spread(row[None, :w], [(w, f)], f) for row, (w, f) in zip(view, sizes, strict=True)]
        return torch.cat([F.pad(x, (0, 0, 0, frames - x.shape[1])) for x in own])
    return F.interpolate(view.transpose(1, 2), size=frames, mode="nearest-exact").transpose(1, 2)
