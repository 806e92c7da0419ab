"""Dance → tokens: visual windows and body keypoints of one stream, forward or reversed.

The paper joins the clip's mean I3D vector and the ST-GCN's mean over time into one token of 2048 + 1024 numbers
(`pooled`). One token tells the U-Net what the dance is like, but never *when* a move lands; `tokens` and `aligned`
keep one token a motion frame, with the visual window that shows it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from .motion import MOTION_INPUTS, motion_features
from .normalizer import Normalizer
from .st_gcn import STGCN

Temporal = Literal["pooled", "tokens", "aligned"]
TEMPORAL: tuple[Temporal, ...] = ("pooled", "tokens", "aligned")


class DanceEncoder(nn.Module):
    """Encode one stream of a dance.

    Args:
        visual_dim: size of the visual encoder's vectors.
        visual_out: width the visual part is projected to; 0 leaves the visual stream out, None keeps it as it is.
        motion_dim: width of the ST-GCN's output (paper: 1024); 0 leaves the motion stream out.
        motion_inputs: what the ST-GCN sees of a joint (paper: `("position",)`).
        channels, layers, kernel_size, dropout: of the ST-GCN.
        temporal: `pooled` (the paper) or `tokens` / `aligned`.

    Shape:
        visual (B, Tv, Dv), keypoints (B, T, J, 3), detected (B, T) → tokens (B, T', D), mask (B, T'):
        T' = 1 for `pooled`, else T. The mask is False at frames where nobody was found.
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
    ) -> None:
        super().__init__()
        if temporal not in TEMPORAL:
            raise ValueError(f"conditioning.temporal is {temporal!r}: choose from {', '.join(TEMPORAL)}")
        if visual_out == 0 and motion_dim == 0:
            raise ValueError(
                "both the visual and the motion stream are switched off: nothing is left of the dance"
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
        self.output_dim = motion_dim + (visual_dim if visual_out is None else visual_out)

    def motion_features(self, keypoints: torch.Tensor, fps: float) -> torch.Tensor:
        """What the ST-GCN sees, before normalisation: (B, T, J, 3) → (B, T, J, C)."""
        return motion_features(keypoints, fps, self.motion_inputs)

    def forward(
        self, visual: torch.Tensor, keypoints: torch.Tensor, detected: torch.Tensor, fps: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        frames = keypoints.shape[1]
        parts = []
        if self.visual_out is not None:
            seen = self.visual_out(self.visual_norm(visual))
            if self.temporal == "pooled":
                parts.append(seen.mean(dim=1, keepdim=True))
            else:  # the window that shows a frame: windows lie edge to edge over the segment
                parts.append(
                    F.interpolate(seen.transpose(1, 2), size=frames, mode="nearest-exact").transpose(1, 2)
                )
        if self.st_gcn is not None:
            moved = self.st_gcn(self.motion_norm(self.motion_features(keypoints, fps)))
            if self.temporal == "pooled":
                weight = detected.to(moved.dtype)[..., None]
                moved = (moved * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(
                    min=1
                )
            parts.append(moved)
        tokens = torch.cat(parts, dim=-1)
        if self.temporal == "pooled":
            return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return tokens, detected.bool()
