"""Training as the published code does, put together from our own parts.

A clip's music is encoded by the autoencoder in every step; dance encoder and U-Net are run for the positive stream and
then again for the negative one; AdamW and the moving average go through the weights one by one. All in float32, weights
and pictures as torch lays them out by itself. The arithmetic is that of the package (the same modules and objective),
so for the same random numbers the product has the same losses, and what is compared is the procedure alone.
"""

from __future__ import annotations

from typing import Any

import torch
from audiocraft.optim.ema import ModuleDictEMA
from audiocraft.solvers.builders import get_lr_scheduler
from omegaconf import DictConfig
from torch import nn
from torch.nn import functional as F
from torch.profiler import record_function

from pn_diffusion_plugin.data.condition import POSITIVE
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.dual import DualDiffusion
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.solvers.pn_diffusion import Draws

from .procedure_sampling import STREAMS


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
        schedule = DictConfig(config["schedule"])
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
