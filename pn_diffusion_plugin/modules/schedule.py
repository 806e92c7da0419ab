"""Noise schedule and prediction type of the diffusion process.

Symbols: z0 clean latent, eps ~ N(0, I), abar_t cumulative product of the schedule's alphas, t in 0 ... T-1,

    z_t = sqrt(abar_t) * z0 + sqrt(1 - abar_t) * eps

and the network's output is eps ("epsilon"), v = sqrt(abar_t) * eps - sqrt(1 - abar_t) * z0 ("v",
arXiv 2202.00512) or z0 ("sample": for latents with as many channels as the network, which cannot carry their noise
through, arXiv 2511.13720). Latents are (B, C, F, L); t is (B,) of integers.
"""

from __future__ import annotations

import typing as tp

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

PREDICTIONS = ("epsilon", "v", "sample")
BETA_SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}


class NoiseSchedule:
    """Cumulative alphas of every timestep, and the target that the network predicts.

    Args:
        num_train_timesteps: T.
        beta_schedule: ``"linear"`` (the paper), ``"scaled_linear"`` or ``"cosine"`` (arXiv 2102.09672).
        beta_start, beta_end: ends of the linear schedules.
        zero_terminal_snr: make the last timestep pure noise (arXiv 2305.08891, algorithm 1).
        prediction: ``"epsilon"`` (the paper), ``"v"`` or ``"sample"``.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_schedule: str = "linear",
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        zero_terminal_snr: bool = False,
        prediction: str = "epsilon",
    ) -> None:
        if beta_schedule not in BETA_SCHEDULES:
            raise ValueError(f"beta_schedule={beta_schedule!r}: give one of {', '.join(BETA_SCHEDULES)}")
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction={prediction!r}: give one of {', '.join(PREDICTIONS)}")
        if zero_terminal_snr and prediction == "epsilon":
            raise ValueError(
                "zero_terminal_snr with prediction='epsilon': z_t is pure noise at the last timestep, so z0 cannot "
                "be computed from it and eps; give prediction='v' or 'sample'"
            )
        self.num_train_timesteps = num_train_timesteps
        self.beta_schedule = beta_schedule
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.zero_terminal_snr = zero_terminal_snr
        self.prediction = prediction
        self.alphas_cumprod: torch.Tensor = DDPMScheduler(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=BETA_SCHEDULES[beta_schedule],
            rescale_betas_zero_snr=zero_terminal_snr,
        ).alphas_cumprod
        # Cached per device and dtype: a training step then needs no transfer from the host.
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def config(self) -> dict[str, tp.Any]:
        """Constructor arguments as plain types, as stored in checkpoints."""
        return {
            "num_train_timesteps": self.num_train_timesteps,
            "beta_schedule": self.beta_schedule,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "zero_terminal_snr": self.zero_terminal_snr,
            "prediction": self.prediction,
        }

    def signal_and_noise(self, t: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return sqrt(abar_t) and sqrt(1 - abar_t), each (B, 1, 1, ...), in the dtype of ``like`` (B, ...)."""
        key = (like.device, like.dtype)
        if key not in self._tables:
            signal, noise = self.alphas_cumprod.sqrt(), (1 - self.alphas_cumprod).sqrt()
            self._tables[key] = (signal.to(*key), noise.to(*key))
        shape = (-1,) + (1,) * (like.dim() - 1)
        signal, noise = self._tables[key]
        t = t.to(like.device)
        return signal[t].reshape(shape), noise[t].reshape(shape)

    def sample_timesteps(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        stratified: bool = True,
    ) -> torch.Tensor:
        """Draw timesteps (B,), each uniform over 0 ... T-1.

        Stratified sampling (arXiv 2107.00630, appendix I.1) shifts one even grid over the batch by a random
        amount. It lowers the variance of the loss, and every batch covers the noisiest timesteps.
        """
        draw_device = generator.device if generator is not None else torch.device(device)
        if stratified:
            shift = torch.rand(1, generator=generator, device=draw_device)
            grid = torch.arange(batch_size, device=draw_device) / batch_size
            u = ((shift + grid) % 1.0)[torch.randperm(batch_size, generator=generator, device=draw_device)]
        else:
            u = torch.rand(batch_size, generator=generator, device=draw_device)
        return (u * self.num_train_timesteps).long().clamp(max=self.num_train_timesteps - 1).to(device)

    def add_noise(self, z0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return z_t of z0 and eps, all (B, ...)."""
        signal, noise = self.signal_and_noise(t, z0)
        return signal * z0 + noise * eps

    def target(self, z0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return the target for ``add_noise(z0, eps, t)``: eps, v or z0."""
        if self.prediction == "epsilon":
            return eps
        if self.prediction == "sample":
            return z0
        signal, noise = self.signal_and_noise(t, z0)
        return signal * eps - noise * z0

    def to_eps(self, out: torch.Tensor, z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Convert a network output at z_t to eps."""
        if self.prediction == "epsilon":
            return out
        signal, noise = self.signal_and_noise(t, z_t)
        if self.prediction == "sample":
            return (z_t - signal * out) / noise
        return signal * out + noise * z_t

    def to_z0(self, out: torch.Tensor, z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Convert a network output at z_t to z0."""
        if self.prediction == "sample":
            return out
        signal, noise = self.signal_and_noise(t, z_t)
        if self.prediction == "epsilon":
            return (z_t - noise * out) / signal
        return signal * z_t - noise * out
