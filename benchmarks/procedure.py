"""The reference procedure: what the published code does, put together from our own parts.

Training: a clip's music is encoded by the autoencoder in every step; encoder and U-Net are run for the positive
stream and then again for the negative one; AdamW and the moving average go through the weights one by one.

Sampling: at every one of 1000 DDPM steps the dance is encoded again, forward and reversed, and the U-Net is run for
both, though only the positive answer is used; librosa turns the mel into sound (non-negative least squares, then 32
iterations of Griffin-Lim).

All in float32, weights and pictures as torch lays them out by itself. The arithmetic is that of the package (the same
modules, objective and samplers), so for the same random numbers both give the same losses and the same latents
(`tests/benchmarks/test_procedure.py`), and what is compared is the procedure alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import librosa
import numpy as np
import torch
from audiocraft.optim.ema import ModuleDictEMA
from audiocraft.solvers.builders import get_lr_scheduler
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional as F
from torch.profiler import record_function

from pn_diffusion_plugin.data.dance_condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.dual import DualDiffusion
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.modules.sampling import clip_generators, sample
from pn_diffusion_plugin.solvers.pn_diffusion import Draws

STREAMS = (POSITIVE, NEGATIVE)


class ReferenceTraining:
    """Training step by step as published.

    Args:
        config: of the experiment, as plain containers, with a negative stream.
        dual, vae: to be trained, and frozen.
        updates: of the whole training, for the learning rate's schedule.
    """

    def __init__(self, config: builders.Config, dual: DualDiffusion, vae: MelVAE, updates: int) -> None:
        self.config, self.dual, self.vae = config, dual, vae
        self.mel, self.sequence = builders.build_mel(config), builders.build_sequence(config)
        self.objective = builders.build_objective(config, builders.build_schedule(config))
        optim, adam = config["optim"], config["optim"]["adam"]
        self.optimizer = torch.optim.AdamW(
            dual.parameters(),
            optim["lr"],
            betas=tuple(adam["betas"]),
            eps=adam["eps"],
            weight_decay=adam["weight_decay"],
            foreach=False,
            fused=False,
        )
        schedule = OmegaConf.create(config["schedule"])
        self.lr_scheduler = get_lr_scheduler(self.optimizer, schedule, updates)
        # audiocraft's average, one weight after the other, as published.
        self.ema = ModuleDictEMA(nn.ModuleDict({"model": dual}), decay=optim["ema"]["decay"])

    def draw(self, clips: int, generator: torch.Generator | None = None) -> Draws:
        """Random numbers of a step; timesteps each for itself, as published."""
        denoiser = self.dual.denoiser
        shape = (clips, denoiser.latent_channels, denoiser.latent_rows, self.sequence.latent_columns)
        schedule = self.objective.schedule
        return Draws(
            t=schedule.sample_timesteps(clips, generator=generator, stratified=False),
            eps=torch.randn(shape, generator=generator),
            posterior=torch.randn(shape, generator=generator),
            dropped=torch.rand(clips, generator=generator) < self.config["conditioning"]["dropout"],
        )

    def loss(
        self, wav: torch.Tensor, tokenized: dict[str, Any], draws: Draws, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Loss of a batch (B, 1, N), a scalar.

        Args:
            tokenized: both streams, of the provider.
            mask: (B, 1, 1, L), 1 where there is music; None: everything counts.
        """
        with torch.no_grad():
            padded = F.pad(wav, (0, self.sequence.padded_samples - wav.shape[-1]))
            posterior = self.vae.posterior(self.mel(padded))
            z0 = self.vae.scale(posterior.mean + posterior.std * draws.posterior)
        noisy = self.objective.corrupt(z0, draws.eps, draws.t)
        assert noisy.z_negative is not None
        outputs = [
            self._stream(name, z, noisy.t, tokenized, draws.dropped)
            for name, z in zip(STREAMS, (noisy.z_positive, noisy.z_negative), strict=True)
        ]
        return self.objective.loss(outputs[0], outputs[1], noisy, mask).total

    def _stream(
        self, name: str, z: torch.Tensor, t: torch.Tensor, tokenized: dict[str, Any], dropped: torch.Tensor
    ) -> torch.Tensor:
        """f(z, t, c) of one stream, its dance encoded for it."""
        denoiser = self.dual.denoiser
        condition = self.dual.provider({name: tokenized[name]})[name]
        if name == POSITIVE or self.objective.negative_latent == "mirrored":
            condition = denoiser.drop(condition, dropped)
        return denoiser(z, t, condition, branch=STREAMS.index(name))

    def step(
        self,
        wav: torch.Tensor,
        tokenized: dict[str, Any],
        draws: Draws | None = None,
        mask: torch.Tensor | None = None,
    ) -> float:
        """One update; gives the loss."""
        loss = self.loss(wav, tokenized, self.draw(len(wav)) if draws is None else draws, mask)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.dual.parameters(), self.config["optim"]["max_norm"], foreach=False)
        self.optimizer.step()
        if self.lr_scheduler is not None:
            self.lr_scheduler.step()
        with record_function("moving average"):
            self.ema.step()
        return loss.item()


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
