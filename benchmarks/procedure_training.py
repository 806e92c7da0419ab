"""Training as in the published code, built from the package's own modules.

In every step the autoencoder encodes the clips' music; dance encoder and U-Net run for the positive stream and then
again for the negative one; AdamW and the moving average update the weights one tensor at a time. Everything is float32
in torch's default memory format. Modules and objective are the package's, so for the same random numbers the losses
equal those of the solver: only the procedure differs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import record_function

from pn_diffusion_plugin.data.condition import POSITIVE
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.dual import DualDiffusion
from pn_diffusion_plugin.models.mel_vae import MelVAE

from .procedure_sampling import STREAMS


class Draws(NamedTuple):
    """Random numbers of a step."""

    t: torch.Tensor  # timesteps (B,)
    eps: torch.Tensor  # noise (B, C, F, L)
    posterior: torch.Tensor  # noise of the autoencoder's posterior (B, C, F, L)
    dropped: torch.Tensor  # clips trained without their dance, (B,) of bool


def adamw(config: builders.Config, module: nn.Module, fused: bool) -> torch.optim.AdamW:
    """The configured optimiser, with one kernel for all weights or one step a tensor."""
    optim, adam = config["optim"], config["optim"]["adam"]
    arguments = {"betas": tuple(adam["betas"]), "eps": adam["eps"], "weight_decay": adam["weight_decay"]}
    return torch.optim.AdamW(module.parameters(), optim["lr"], **arguments, foreach=False, fused=fused)


class ReferenceTraining:
    """The published training step.

    Args:
        config: configuration of the experiment, as plain containers, with a negative stream.
        dual, vae: the model to train and the frozen autoencoder, on one device.

    Attributes:
        lr_scheduler: stepped after every update; None: the learning rate is constant.
    """

    def __init__(self, config: builders.Config, dual: DualDiffusion, vae: MelVAE) -> None:
        self.config, self.dual, self.vae = config, dual, vae
        self.device = next(dual.parameters()).device
        self.mel, self.sequence = builders.build_mel(config).to(self.device), builders.build_sequence(config)
        self.objective = builders.build_objective(config, builders.build_schedule(config))
        self.optimizer = adamw(config, dual, fused=False)
        self.lr_scheduler: Any = None
        self.decay: float = config["optim"]["ema"]["decay"]
        self.average = {name: value.detach().clone() for name, value in dual.named_parameters()}

    def draw(self, clips: int, generator: torch.Generator | None = None) -> Draws:
        """Random numbers of a step; the timesteps are independent, as published."""
        denoiser = self.dual.denoiser
        shape = (clips, denoiser.latent_channels, denoiser.latent_rows, self.sequence.latent_columns)
        schedule = self.objective.schedule
        draws = Draws(
            t=schedule.sample_timesteps(clips, generator=generator, stratified=False),
            eps=torch.randn(shape, generator=generator),
            posterior=torch.randn(shape, generator=generator),
            dropped=torch.rand(clips, generator=generator) < self.config["conditioning"]["dropout"],
        )
        return Draws(*(values.to(self.device) for values in draws))

    def loss(
        self, wav: torch.Tensor, tokenized: dict[str, Any], draws: Any, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Loss of a batch (B, 1, N), a scalar.

        Args:
            tokenized: both streams, from the provider.
            draws: `Draws`, or the solver's tuple with the same fields.
            mask: (B, 1, 1, L), 1 where there is music; None: no padding.
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
        """f(z, t, c) of one stream; encodes its dance."""
        denoiser = self.dual.denoiser
        condition = self.dual.provider({name: tokenized[name]})[name]
        if name == POSITIVE or self.objective.name == "mirrored":
            condition = denoiser.drop(condition, dropped)
        return denoiser(z, t, condition, branch=STREAMS.index(name))

    def step(
        self,
        wav: torch.Tensor,
        tokenized: dict[str, Any],
        draws: Any = None,
        mask: torch.Tensor | None = None,
    ) -> float:
        """One update; returns the loss."""
        loss = self.loss(wav, tokenized, self.draw(len(wav)) if draws is None else draws, mask)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.dual.parameters(), self.config["optim"]["max_norm"], foreach=False)
        self.optimizer.step()
        if self.lr_scheduler is not None:
            self.lr_scheduler.step()
        with record_function("moving average"):
            self._update_average()
        return loss.item()

    @torch.no_grad()
    def _update_average(self) -> None:
        for name, value in self.dual.named_parameters():
            self.average[name].mul_(self.decay).add_(value, alpha=1 - self.decay)
