"""Latents of scores: patches of their image, without a network and without loss.

An image of a score is sparse: an autoencoder with an L1 loss learns to decode silence, and the notes that it does find
are late by several frames. Its rows, on the other hand, are few. A patch of one group of rows (drums, bass, chords,
lead) and f frames is as long a vector as a U-Net has channels anyway, and holds every note exactly.
"""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from einops import rearrange
from torch import nn

from ..data.score.image import GROUP, ROWS

_SCALES = (
    0.36,
    0.36,
    0.3,
    0.2,
)  # of drums, bass, chords, lead: an onset's value is then 2 to 5, and silence 0
_LOG_VARIANCE = -30.0  # of the posterior: none


class ScorePatches(nn.Module):
    """Image (B, 1, F, L) in [-1, 1] ↔ latent (B, GROUP · f, F / GROUP, L / f), with the interface of `MelVAE`.

    Silence is 0; the scale of each group is fixed.

    Args:
        factor: f, frames of a patch.
    """

    scales: torch.Tensor

    def __init__(self, factor: int = 4) -> None:
        super().__init__()
        self.factor, self.latent_channels = factor, GROUP * factor
        self.latent_rows = ROWS // GROUP
        self.register_buffer("scales", torch.tensor(_SCALES)[:, None], persistent=False)

    def posterior(self, image: torch.Tensor) -> DiagonalGaussianDistribution:
        """The latent as a distribution without variance.

        Raises:
            ValueError: the image has other rows, or L is not a multiple of f.
        """
        if image.shape[-2] != ROWS or image.shape[-1] % self.factor:
            raise ValueError(
                f"an image of {image.shape[-2]} x {image.shape[-1]}: a score has {ROWS} rows, and a multiple of "
                f"{self.factor} frames"
            )
        mean = rearrange(image + 1, "b 1 (h p) (l q) -> b (p q) h l", p=GROUP, q=self.factor) / self.scales
        return DiagonalGaussianDistribution(torch.cat([mean, torch.full_like(mean, _LOG_VARIANCE)], dim=1))

    def scale(self, latent: torch.Tensor) -> torch.Tensor:
        """The latent itself."""
        return latent

    def encode(
        self, image: torch.Tensor, generator: torch.Generator | None = None, sample: bool = True
    ) -> torch.Tensor:
        """Encode an image to a latent z0."""
        return self.posterior(image).mode()

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Decode a latent to an image (B, 1, F, L) in [-1, 1]."""
        image = rearrange(
            z * self.scales.to(z.dtype), "b (p q) h l -> b 1 (h p) (l q)", p=GROUP, q=self.factor
        )
        return (image - 1).clamp(-1, 1)
