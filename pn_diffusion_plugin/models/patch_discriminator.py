"""Patch discriminator for mel spectrograms (pix2pix, arXiv 1611.07004), as in latent diffusion."""

from __future__ import annotations

import torch
from torch import nn


class PatchDiscriminator(nn.Module):
    """Logits per patch and feature maps, in the format of audiocraft's `AdversarialLoss`.

    Args:
        channels: width of the first layer, doubled in each layer up to 8 times.
        layers: number of downsampling layers.

    Shape: (B, 1, F, L) → ([logits (B, 1, F', L')], [[feature maps]]).
    """

    def __init__(self, channels: int = 32, layers: int = 3) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        width = 1
        for index in range(layers):
            out = channels * min(2**index, 8)
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(width, out, 4, stride=2, padding=1),
                    nn.GroupNorm(1, out) if index else nn.Identity(),
                    nn.LeakyReLU(0.2),
                )
            )
            width = out
        self.head = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, mel: torch.Tensor) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
        features = []
        for stage in self.stages:
            mel = stage(mel)
            features.append(mel)
        return [self.head(mel)], [features]
