"""Condition provider and denoiser as one trainable module, which the solver optimises, averages and stores."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..data.condition import NEGATIVE, POSITIVE, DanceCondition
from ..modules.conditioners import DanceConditioningProvider
from ..modules.objective import DualSample
from ..modules.style import STYLE
from .latent_diffusion import LatentDiffusion


class FixedNegative(nn.Module):
    """One dance of a window's length, stored with the weights: the negative condition of sampling with
    `negative.cue: mismatched`.

    Args:
        visual_windows, visual_dim, pose_frames, joints: sizes of the two streams.
        visual_rate, motion_rate: visual windows and keypoint frames per second (Hz).
        seconds: length (s).
    """

    visual: torch.Tensor
    motion: torch.Tensor
    detected: torch.Tensor

    def __init__(
        self,
        *,
        visual_windows: int,
        visual_dim: int,
        pose_frames: int,
        visual_rate: float,
        motion_rate: float,
        seconds: float,
        joints: int = 33,
    ) -> None:
        super().__init__()
        self.rates, self.seconds = (visual_rate, motion_rate), seconds
        self.register_buffer("visual", torch.zeros(1, visual_windows, visual_dim))
        self.register_buffer("motion", torch.zeros(1, pose_frames, joints, 3))
        self.register_buffer("detected", torch.zeros(1, pose_frames))  # float: audiocraft's EMA needs it

    def store(self, dance: DanceCondition) -> None:
        """Store a dance (B = 1)."""
        for name in ("visual", "motion", "detected"):
            getattr(self, name).copy_(getattr(dance, name))

    def condition(self) -> DanceCondition:
        """The dance as a condition (B = 1) on the CPU."""
        return DanceCondition(
            visual=self.visual.cpu(),
            motion=self.motion.cpu(),
            detected=self.detected.cpu().bool(),
            visual_length=torch.tensor([self.visual.shape[1]]),
            motion_length=torch.tensor([self.motion.shape[1]]),
            visual_rate=[self.rates[0]],
            motion_rate=[self.rates[1]],
            seconds=[self.seconds],
            path=[None],
            seek_time=[None],
        )


class DualDiffusion(nn.Module):
    """Dance encoder and U-Net, trained jointly as in the paper.

    Args:
        provider: encodes the dances of both streams.
        denoiser: the U-Net f, shared by both streams.
        other_dance: negative dance of sampling; None: the cue derives it from the clip's own dance.
    """

    def __init__(
        self,
        provider: DanceConditioningProvider,
        denoiser: LatentDiffusion,
        other_dance: FixedNegative | None = None,
    ) -> None:
        super().__init__()
        self.provider = provider
        self.denoiser = denoiser
        self.other_dance = other_dance

    def forward(
        self, sample: DualSample, tokenized: dict[str, Any], dropped: dict[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute both streams' outputs in one batched pass of encoder and U-Net.

        Args:
            sample: noisy latents of B clips.
            tokenized: dances from the provider, of the streams that `sample` uses, and the styles of the clips, which
                hold for both streams.
            dropped: clips whose condition is left out, (B,) bool by stream, and under `style`.

        Returns:
            f(z⁺, t, c⁺), and f(z⁻, t, c⁻) or None where the negative has no row of its own, (B, C, F, L) each. Where
            `sample.negative_rows` is given, the first holds the one row of each clip.
        """
        conditions = self.provider(tokenized)
        for name, clips in (dropped or {}).items():
            conditions[name] = self.denoiser.drop(conditions[name], clips)
        style = conditions.pop(STYLE, None)
        one_length = all(
            len(set(zip(tokenized[name].seconds, tokenized[name].motion_rate, strict=True))) == 1
            for name in conditions
        )
        if sample.z_negative is None:
            positive = self.denoiser(
                sample.z_positive, sample.t, conditions[POSITIVE], one_length=one_length, style=style
            )
            return positive, None
        if sample.negative_rows is not None:
            rows = sample.negative_rows
            z = torch.where(rows[:, None, None, None], sample.z_negative, sample.z_positive)
            embedding, mask = (
                torch.where(rows.reshape(-1, *[1] * (negative.dim() - 1)), negative, positive)
                for positive, negative in zip(conditions[POSITIVE], conditions[NEGATIVE], strict=True)
            )
            return self.denoiser(z, sample.t, (embedding, mask), rows.long(), one_length, style), None
        embedding, mask = (
            torch.cat(pair) for pair in zip(conditions[POSITIVE], conditions[NEGATIVE], strict=True)
        )
        branch = torch.arange(2, device=embedding.device).repeat_interleave(len(sample.z_positive))
        both = self.denoiser(
            torch.cat([sample.z_positive, sample.z_negative]),
            torch.cat([sample.t, sample.t]),
            (embedding, mask),
            branch,
            one_length,
            None if style is None else (torch.cat([style[0]] * 2), torch.cat([style[1]] * 2)),
        )
        positive, negative = both.chunk(2)
        return positive, negative
