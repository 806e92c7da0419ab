"""KL autoencoder of mel spectrograms (latent diffusion, arXiv 2112.10752).

Wraps diffusers' `AutoencoderKL` with the latent's scale, which is measured on the training set (1 / standard deviation)
and not that of natural images (the published code's 0.18215).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Decoder, DiagonalGaussianDistribution
from torch import nn

from ..modules.chunks import in_chunks, in_crossfaded_chunks


class MelVAE(nn.Module):
    """Mel (B, 1, F, L) in [-1, 1] ↔ latent (B, C, F / f, L / f) of zero mean and unit variance, f = 2^(levels − 1).

    Args:
        channels: widths of the levels; their number determines f. latent_channels: C. layers_per_block: residual layers
        per level. norm_num_groups: groups of the group normalisations. mid_attention: global attention at the lowest
        level (paper: yes); its cost is quadratic in the length. decoder_channels: widths of the decoder's levels; None:
        `channels` (the paper). The decoder costs about as much as
            the U-Net in sampling, quadratic in its widths.

    Without gradients, spectrograms longer than `chunk_frames` are encoded and decoded in chunks, so that memory does
    not grow with the length. The result is that of one pass up to rounding; with `mid_attention`, which is then limited
    to a chunk, chunks are cross-faded.
    """

    #: Mel frames per chunk, a multiple of f.
    chunk_frames = 1024

    latent_mean: torch.Tensor
    latent_std: torch.Tensor

    def __init__(
        self,
        channels: tuple[int, ...] = (128, 256, 512, 512),
        latent_channels: int = 4,
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        mid_attention: bool = True,
        decoder_channels: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if decoder_channels is not None and len(decoder_channels) != len(channels):
            raise ValueError(
                f"the decoder has {len(decoder_channels)} widths and the encoder {len(channels)}: give one per level"
            )
        if not 1 <= layers_per_block <= 16:
            raise ValueError(f"layers_per_block={layers_per_block}: give 1 to 16")
        self.config: dict[str, Any] = dict(
            channels=list(channels),
            latent_channels=latent_channels,
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            mid_attention=mid_attention,
            decoder_channels=None if decoder_channels is None else list(decoder_channels),
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
        if decoder_channels is not None:
            self.autoencoder.decoder = Decoder(
                in_channels=latent_channels,
                out_channels=1,
                up_block_types=("UpDecoderBlock2D",) * len(channels),
                block_out_channels=tuple(decoder_channels),
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
                f"a mel spectrogram of {mel.shape[-2]} x {mel.shape[-1]} cannot be downsampled by {self.factor}: pad "
                f"both sides to multiples of {self.factor}"
            )
        return DiagonalGaussianDistribution(
            self._any_length(
                lambda x: self.autoencoder.encode(x).latent_dist.parameters,
                self.autoencoder.encoder,
                mel,
                self.chunk_frames,
                self.encoder_reach,
            )
        )

    def decode_unscaled(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode a latent in the posterior's units, as in training."""
        return self._any_length(
            lambda x: self.autoencoder.decode(x.to(self.autoencoder.dtype)).sample,
            self.autoencoder.decoder,
            latent,
            self.chunk_frames // self.factor,
            self.decoder_reach,
        )

    @property
    def encoder_reach(self) -> int:
        """Mel frames to each side that a latent column depends on, at most, without attention; a multiple of f."""
        levels, layers = len(self.config["channels"]), self.config["layers_per_block"]
        at_level = [2 * layers + (2 if i < levels - 1 else 4 + 1) for i in range(levels)]
        frames = 1 + sum(count * 2**i for i, count in enumerate(at_level))
        return math.ceil(frames / self.factor) * self.factor

    @property
    def decoder_reach(self) -> int:
        """Latent columns to each side that a mel frame depends on, at most, without attention."""
        levels, layers = len(self.config["channels"]), self.config["layers_per_block"]
        # Two convolutions per residual layer; before them, at each level, that of the upsampling or the first one.
        at_level = [2 * (layers + 1) + 1 + (4 if i == 0 else 0) for i in range(levels)]
        at_level[-1] += 1
        return math.ceil(sum(count / 2**i for i, count in enumerate(at_level))) + 1

    def _any_length(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        part: nn.Module,
        x: torch.Tensor,
        size: int,
        reach: int,
    ) -> torch.Tensor:
        """Compute `network(x)`, in chunks of `size` columns where x is longer and gradients are disabled."""
        if x.shape[-1] <= size or torch.is_grad_enabled():
            return network(x)
        if self.config["mid_attention"]:
            return in_crossfaded_chunks(network, x, size=size, overlap=min(2 * reach, size // 2))
        norms = [module for module in part.modules() if isinstance(module, nn.GroupNorm)]
        return in_chunks(network, norms, x, size=size, reach=reach)

    @torch.no_grad()
    def fit_scale(self, latents: torch.Tensor) -> None:
        """Measure mean and standard deviation per channel on posterior samples (N, C, F', L') of the training set."""
        self.latent_mean.copy_(latents.mean(dim=(0, 2, 3)))
        self.latent_std.copy_(latents.std(dim=(0, 2, 3)).clamp(min=1e-4))

    def scale(self, latent: torch.Tensor) -> torch.Tensor:
        """Scale a latent from the posterior's units to zero mean and unit variance."""
        return (latent - self.latent_mean[:, None, None]) / self.latent_std[:, None, None]

    def encode(
        self, mel: torch.Tensor, generator: torch.Generator | None = None, sample: bool = True
    ) -> torch.Tensor:
        """Encode a mel spectrogram to a scaled latent z0: a sample of the posterior, or its mode."""
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
        """Decode a scaled latent to mel (B, 1, F, L) in [-1, 1], in the precision of the latent."""
        latent = z * self.latent_std[:, None, None] + self.latent_mean[:, None, None]
        return self.decode_unscaled(latent).to(z.dtype).clamp(-1, 1)
