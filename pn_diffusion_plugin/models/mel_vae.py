"""The KL autoencoder that turns a mel picture into a small latent one (latent diffusion, arXiv 2112.10752).

A thin frame around diffusers' `AutoencoderKL`: it owns the latent's scale, which is measured on the training set
(1 / standard deviation) rather than copied from pictures (the published code's 0.18215).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn


class MelVAE(nn.Module):
    """Mel (B, 1, F, L) in [-1, 1] ↔ latent (B, C, F / f, L / f) of zero mean and unit variance, f = 2^(levels − 1).

    Args:
        channels: widths of the levels; their number fixes f.
        latent_channels: C.
        layers_per_block: residual layers a level.
        norm_num_groups: groups of the group normalisation.
        mid_attention: global attention at the smallest level (paper: yes; its cost grows with length squared).
    """

    latent_mean: torch.Tensor
    latent_std: torch.Tensor

    def __init__(
        self,
        channels: tuple[int, ...] = (128, 256, 512, 512),
        latent_channels: int = 4,
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        mid_attention: bool = True,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = dict(
            channels=list(channels),
            latent_channels=latent_channels,
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            mid_attention=mid_attention,
        )
        self.factor = 2 ** (len(channels) - 1)
        self.latent_channels = latent_channels
        self.autoencoder: Any = AutoencoderKL(
            in_channels=1,
            out_channels=1,
            block_out_channels=tuple(channels),
            latent_channels=latent_channels,
            down_block_types=("DownEncoderBlock2D",) * len(channels),
            up_block_types=("UpDecoderBlock2D",) * len(channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            mid_block_add_attention=mid_attention,
        )
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_std", torch.ones(latent_channels))

    def posterior(self, mel: torch.Tensor) -> DiagonalGaussianDistribution:
        """q(z | mel), before scaling.

        Raises:
            ValueError: when F or L is not a multiple of f.
        """
        if mel.shape[-1] % self.factor or mel.shape[-2] % self.factor:
            raise ValueError(
                f"a mel picture of {mel.shape[-2]} x {mel.shape[-1]} cannot be compressed "
                f"{self.factor} times: pad both sides to multiples of {self.factor}"
            )
        posterior = self.autoencoder.encode(mel).latent_dist
        assert isinstance(posterior, DiagonalGaussianDistribution)
        return posterior

    def decode_unscaled(self, latent: torch.Tensor) -> torch.Tensor:
        """Mel of a latent as the posterior gives it: what training needs."""
        return self.autoencoder.decode(latent).sample

    @torch.no_grad()
    def fit_scale(self, latents: torch.Tensor) -> None:
        """Measure mean and standard deviation a channel on posterior samples (N, C, F', L') of the training set."""
        self.latent_mean.copy_(latents.mean(dim=(0, 2, 3)))
        self.latent_std.copy_(latents.std(dim=(0, 2, 3)).clamp(min=1e-4))

    def scale(self, latent: torch.Tensor) -> torch.Tensor:
        """Posterior units → zero mean, unit variance."""
        return (latent - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def encode(
        self, mel: torch.Tensor, generator: torch.Generator | None = None, sample: bool = True
    ) -> torch.Tensor:
        """Scaled latent z0 of a mel: a sample of the posterior, or its mode."""
        posterior = self.posterior(mel)
        if not sample:
            return self.scale(posterior.mode())
        noise = torch.randn(
            posterior.mean.shape,
            generator=generator,
            dtype=posterior.mean.dtype,
            device=generator.device if generator is not None else posterior.mean.device,
        )
        return self.scale(posterior.mean + posterior.std * noise.to(posterior.mean.device))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Mel (B, 1, F, L) in [-1, 1] of a scaled latent."""
        latent = z * self.latent_std[:, None, None] + self.latent_mean[:, None, None]
        return self.decode_unscaled(latent).clamp(-1, 1)
