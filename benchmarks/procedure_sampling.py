"""Sampling as in the published code, built from the package's own modules.

Each of the 1000 DDPM steps encodes the dance again, forward and reversed, and runs the U-Net for both, although only
the positive output is used; librosa turns the mel spectrogram into audio (non-negative least squares, then 32
iterations of Griffin-Lim). Everything is float32. From the same noise the product makes the same latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.dual import DualDiffusion
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.modules.sampling import clip_generators, sample

STREAMS = (POSITIVE, NEGATIVE)


class ReferenceSampling:
    """The published stages for clips of one window's length.

    Args:
        config: configuration of the experiment, as plain containers.
        dual, vae: the trained modules, on one device.
    """

    def __init__(self, config: builders.Config, dual: DualDiffusion, vae: MelVAE) -> None:
        self.dual, self.vae = dual, vae
        self.mel, self.sequence = builders.build_mel(config), builders.build_sequence(config)
        self.schedule = builders.build_schedule(config)
        self.device = next(dual.parameters()).device

    def denoise(self, z: torch.Tensor, t: torch.Tensor, tokenized: dict[str, Any]) -> torch.Tensor:
        """Output of one step: encode both dances, run both passes, discard the negative output."""
        conditions = {name: self.dual.provider({name: tokenized[name]})[name] for name in STREAMS}
        positive, _ = (self.dual.denoiser(z, t, conditions[name], branch=i) for i, name in enumerate(STREAMS))
        return positive

    @torch.no_grad()
    def latents(
        self, tokenized: dict[str, Any], seeds: Sequence[int], sampler: str = "ddpm", steps: int = 1000
    ) -> torch.Tensor:
        """Latents (B, C, F, L) for the dances of B clips."""
        denoiser = self.dual.denoiser
        return sample(
            lambda z, t: self.denoise(z, t, tokenized),
            self.schedule,
            (len(seeds), denoiser.latent_channels, denoiser.latent_rows, self.sequence.latent_columns),
            sampler=sampler,
            steps=steps,
            generators=clip_generators(seeds),
            device=self.device,
        )

    @torch.no_grad()
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Mel spectrograms (B, 1, F, L) of latents."""
        return self.vae.decode(z)

    def invert(self, mel: torch.Tensor) -> np.ndarray:
        """Audio (N,) of one mel spectrogram (F, L): librosa's least squares and Griffin-Lim."""
        import librosa

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
