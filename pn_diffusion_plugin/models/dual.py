"""Provider and denoiser as one trainable module: what the solver optimises, averages and stores."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..data.condition import NEGATIVE, POSITIVE, DanceCondition
from ..modules.dance_streams import DanceStreams
from ..modules.diffusion import DualSample
from .latent_diffusion import LatentDiffusion


class StoredDance(nn.Module):
    """A window's length of somebody's dance, kept with the weights.

    What `negative.cue: mismatched` pushes away from when music is made: a clip's result must not depend on which
    other dances happen to be at hand.

    Args:
        visual_windows, visual_dim, pose_frames, joints: sizes of the two streams.
        visual_rate, motion_rate: visual windows and keypoint frames a second (Hz).
        seconds: length.
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
        self.register_buffer("detected", torch.zeros(1, pose_frames))  # audiocraft's EMA takes floats alone

    def store(self, dance: DanceCondition) -> None:
        """Keep this dance (B = 1)."""
        for name in ("visual", "motion", "detected"):
            getattr(self, name).copy_(getattr(dance, name))

    def condition(self) -> DanceCondition:
        """The dance, B = 1, on the CPU as those of clips are."""
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
    """The dance's encoder and the U-Net it conditions, trained jointly (the paper's motion stream is).

    Args:
        provider: gives the conditions of both streams.
        denoiser: the one shared U-Net f.
        other_dance: the dance that is the negative when music is made; None: made of the clip's own dance.
    """

    def __init__(
        self,
        provider: DanceStreams,
        denoiser: LatentDiffusion,
        other_dance: StoredDance | None = None,
    ) -> None:
        super().__init__()
        self.provider = provider
        self.denoiser = denoiser
        self.other_dance = other_dance

    def forward(
        self, sample: DualSample, tokenized: dict[str, Any], dropped: dict[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Both streams' outputs in one batched pass of encoder and U-Net.

        Args:
            sample: noisy latents of B clips; without a negative stream only the positive one is computed.
            tokenized: of the provider, with the streams that `sample` has.
            dropped: clips whose condition is left out, (B,) of bool a stream.

        Returns:
            f(z⁺, t, c⁺) and f(z⁻, t, c⁻) or None, each (B, C, F, L).
        """
        conditions = self.provider(tokenized)
        for name, clips in (dropped or {}).items():
            conditions[name] = self.denoiser.drop(conditions[name], clips)
        one_length = all(
            len(set(zip(d.seconds, d.motion_rate, strict=True))) == 1 for d in tokenized.values()
        )
        if sample.z_negative is None:
            positive = self.denoiser(sample.z_positive, sample.t, conditions[POSITIVE], one_length=one_length)
            return positive, None
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
        )
        positive, negative = both.chunk(2)
        return positive, negative
