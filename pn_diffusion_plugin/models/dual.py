"""Provider and denoiser as one trainable module: what the solver optimises, averages and stores."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..data.dance_condition import NEGATIVE, POSITIVE
from ..modules.conditioners import DanceConditioningProvider
from ..modules.diffusion import DualSample
from .latent_diffusion import LatentDiffusion


class DualDiffusion(nn.Module):
    """The dance's encoder and the U-Net it conditions, trained jointly (the paper's motion stream is).

    Args:
        provider: gives the conditions of both streams.
        denoiser: the one shared U-Net f.
    """

    def __init__(self, provider: DanceConditioningProvider, denoiser: LatentDiffusion) -> None:
        super().__init__()
        self.provider = provider
        self.denoiser = denoiser

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
        if sample.z_negative is None:
            return self.denoiser(sample.z_positive, sample.t, conditions[POSITIVE]), None
        embedding, mask = (
            torch.cat(pair) for pair in zip(conditions[POSITIVE], conditions[NEGATIVE], strict=True)
        )
        both = self.denoiser(
            torch.cat([sample.z_positive, sample.z_negative]),
            torch.cat([sample.t, sample.t]),
            (embedding, mask),
        )
        positive, negative = both.chunk(2)
        return positive, negative
