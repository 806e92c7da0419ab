"""Making music as the published code does, put together from our own parts.

At every one of 1000 DDPM steps the dance is encoded again, forward and reversed, and the U-Net is run for both, though
only the positive answer is used; librosa turns the mel into sound (non-negative least squares, then 32 iterations of
Griffin-Lim). All in float32, one thing after the other. From the same noise the product makes the same latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import librosa
import numpy as np
import torch

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.dual import DualDiffusion
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.modules.sampling import clip_generators, sample

STREAMS = (POSITIVE, NEGATIVE)


class ReferenceSampling:
    """Music for clips of one window's length as published, stage by stage.

    Args:
        config: of the experiment, as plain containers.
        dual, vae: trained.
    """

    def __init__(self, config: builders.Config, dual: DualDiffusion, vae: MelVAE) -> None:
        self.dual, self.vae = dual, vae
        self.mel, self.sequence = builders.build_mel(config), builders.build_sequence(config)
        self.schedule = builders.build_schedule(config)

    def denoise(self, z: torch.Tensor, t: torch.Tensor, tokenized: dict[str, Any]) -> torch.Tensor:
        """One step's estimate: both dances encoded, both passes made, the negative one thrown away."""
        conditions = {name: self.dual.provider({name: tokenized[name]})[name] for name in STREAMS}
        positive, _ = (self.dual.denoiser(z, t, conditions[name], branch=i) for i, name in enumerate(STREAMS))
        return positive

    @torch.no_grad()
    def latents(
        self, tokenized: dict[str, Any], seeds: Sequence[int], sampler: str = "ddpm", steps: int = 1000
    ) -> torch.Tensor:
        """Latents (B, C, F, L) of B clips' dances."""
        denoiser = self.dual.denoiser
        return sample(
            lambda z, t: self.denoise(z, t, tokenized),
            self.schedule,
            (len(seeds), denoiser.latent_channels, denoiser.latent_rows, self.sequence.latent_columns),
            sampler=sampler,
            steps=steps,
            generators=clip_generators(seeds),
        )

    @torch.no_grad()
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Mel (B, 1, F, L) of latents."""
        return self.vae.decode(z)

    def invert(self, mel: torch.Tensor) -> np.ndarray:
        """Sound (N,) of one mel picture (F, L), by librosa: least squares in powers of at most 1, Griffin-Lim."""
        front = self.mel
        return librosa.feature.inverse.mel_to_audio(
            front.to_power(mel).numpy(),
            sr=front.sample_rate,
            n_fft=front.n_fft,
            hop_length=front.hop_length,
            fmin=front.f_min,
            fmax=front.f_max,
            n_iter=32,
        )
