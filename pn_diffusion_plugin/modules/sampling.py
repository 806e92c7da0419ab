"""From noise to a clean latent, through diffusers' schedulers.

A denoiser is a function of the noisy latent and the timestep; conditions, guidance (`guidance.guided`) and windows
(`windows.windowed`) are wrapped around it. Every clip has its own random generator, so that its latent does not depend
on the other clips of the batch. Latents are not clipped: a third of the values of a unit-variance latent lie outside
[-1, 1].
"""

from __future__ import annotations

import typing as tp
from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from diffusers.utils.torch_utils import randn_tensor

from .schedule import NoiseSchedule
from .windows import Denoiser

SAMPLERS = ("ddpm", "ddim", "dpm++", "unipc")
SPACINGS = ("trailing", "leading")
# Largest sqrt(abar) used for pure noise by solvers that need its logarithm: 4096 times more noise than latent.
_LEAST_SIGNAL = 2.0**-12


@dataclass(frozen=True)
class SamplingStep:
    """State passed to the callback after each evaluation of the denoiser."""

    index: int
    steps: int
    t: int
    z: torch.Tensor  # noisy latent, the denoiser's input (B, C, F, L)
    z0: torch.Tensor  # clean latent computed from the denoiser's output (B, C, F, L)


def clip_generators(seeds: tp.Iterable[int]) -> list[torch.Generator]:
    """One generator per clip, on the CPU, so that the noise is the same on every device."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def sampling_timesteps(num_train_timesteps: int, steps: int, spacing: str = "trailing") -> list[int]:
    """Timesteps at which a sampler evaluates the denoiser, noisiest first (arXiv 2305.08891, table 2).

    ``trailing`` begins at the last timestep, i.e. pure noise; ``leading`` ends at timestep 0.

    >>> sampling_timesteps(1000, 4)
    [999, 749, 499, 249]
    >>> sampling_timesteps(1000, 4, "leading")
    [750, 500, 250, 0]
    """
    if not 1 <= steps <= num_train_timesteps:
        raise ValueError(f"steps={steps}: give 1 to {num_train_timesteps}, the number of training timesteps")
    if spacing not in SPACINGS:
        raise ValueError(f"spacing={spacing!r}: give one of {', '.join(SPACINGS)}")
    if spacing == "leading":
        return [i * (num_train_timesteps // steps) for i in reversed(range(steps))]
    # In integers: a floating-point range can return one step too many.
    return [(2 * num_train_timesteps * i + steps) // (2 * steps) - 1 for i in range(steps, 0, -1)]


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    shape: tp.Sequence[int],
    *,
    sampler: str = "ddim",
    steps: int = 50,
    generators: tp.Sequence[torch.Generator],
    device: torch.device | str = "cpu",
    callback: tp.Callable[[SamplingStep], None] | None = None,
    eta: float = 0.0,
    spacing: str = "trailing",
) -> torch.Tensor:
    """Denoise pure noise to clean latents.

    Args:
        denoiser: (z (B, C, F, L), t (B,)) -> output of the schedule's prediction type.
        schedule: the one the denoiser was trained with.
        shape: (B, C, F, L).
        sampler: ``"ddpm"`` (arXiv 2006.11239), ``"ddim"`` (arXiv 2010.02502), ``"dpm++"`` (DPM-Solver++ of
            order 2, arXiv 2211.01095) or ``"unipc"`` (UniPC of order 2, arXiv 2302.04867).
        steps: evaluations of the denoiser, at most T.
        generators: one per clip (``clip_generators``).
        device: of the latents.
        callback: called after every evaluation.
        eta: noise of the DDIM sampler, from 0 (none) to 1 (as much as DDPM).
        spacing: ``"trailing"`` or ``"leading"``, see ``sampling_timesteps``.

    Returns:
        z0 (B, C, F, L), float32.

    >>> schedule = NoiseSchedule(prediction="v", beta_schedule="cosine", zero_terminal_snr=True)
    >>> def silence(z, t):  # z0 = 0, so z is noise alone and v = signal * eps
    ...     signal, noise = schedule.signal_and_noise(t, z)
    ...     return signal / noise * z
    >>> z0 = sample(silence, schedule, (2, 4, 16, 56), steps=4, generators=clip_generators([1, 2]))
    >>> bool(z0.abs().max() < 1e-4)
    True
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler={sampler!r}: give one of {', '.join(SAMPLERS)}")
    if len(generators) != shape[0]:
        raise ValueError(f"{len(generators)} generators for {shape[0]} clips: give one per clip")
    if spacing == "leading" and schedule.zero_terminal_snr:
        raise ValueError(
            "spacing='leading' with zero_terminal_snr does not begin at pure noise: give 'trailing'"
        )
    timesteps = sampling_timesteps(schedule.num_train_timesteps, steps, spacing)
    device, noise = torch.device(device), list(generators)
    step = _stepper(schedule, timesteps, sampler, eta, noise)
    z = randn_tensor(tuple(shape), generator=noise, device=device, dtype=torch.float32)
    for index, timestep in enumerate(timesteps):
        t = torch.full((shape[0],), timestep, device=device)
        out = denoiser(z, t).to(z)
        if callback is not None:
            callback(SamplingStep(index, steps, timestep, z, schedule.to_z0(out, z, t)))
        z = step(index, out, z)
    return z


def _stepper(
    schedule: NoiseSchedule, timesteps: list[int], sampler: str, eta: float, generators: list[torch.Generator]
) -> tp.Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the sampler's update: (index of the step, output, z) -> next z."""
    if sampler in ("dpm++", "unipc"):
        return _multistep(schedule, timesteps, sampler)

    # A schedule of the visited timesteps only. diffusers' DDIM computes the next timestep as t - T // steps, which
    # is not the next visited one (nor, at the end, z0) where steps does not divide T. Set as abar and not as betas:
    # 1 - beta has no digits left where abar falls from 1e-2 to 1e-9 in one step.
    prediction_type = "v_prediction" if schedule.prediction == "v" else schedule.prediction
    kind = DDIMScheduler if sampler == "ddim" else DDPMScheduler
    solver: tp.Any = kind(
        num_train_timesteps=len(timesteps), prediction_type=prediction_type, clip_sample=False
    )
    solver.alphas_cumprod = schedule.alphas_cumprod[timesteps[::-1]]
    solver.set_timesteps(len(timesteps))
    arguments: dict[str, tp.Any] = {"generator": generators}
    if sampler == "ddim":
        arguments = {"generator": generators if eta else None, "eta": eta}
    last = len(timesteps) - 1
    return lambda index, out, z: solver.step(out, last - index, z, **arguments).prev_sample


def _multistep(
    schedule: NoiseSchedule, timesteps: list[int], sampler: str
) -> tp.Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor]:
    """Second-order update in lambda = log(sqrt(abar) / sqrt(1 - abar)), from the clean latents of two steps.

    Pure noise has lambda = -inf, where difference quotients are undefined, so the solver gets a small signal level
    instead. The network's output is converted to z0 here and not by the solver, which would use that signal level for
    the first output too. The first step, from one clean latent, equals DDIM's to 4 digits.
    """
    kind = DPMSolverMultistepScheduler if sampler == "dpm++" else UniPCMultistepScheduler
    solver: tp.Any = kind(
        num_train_timesteps=schedule.num_train_timesteps, prediction_type="sample", final_sigmas_type="zero"
    )
    solver.set_timesteps(len(timesteps))
    abar = schedule.alphas_cumprod[timesteps].double()
    if abar[0] == 0:  # keep it below the next timestep's, or the solver divides by 0
        abar[0] = min([_LEAST_SIGNAL**2, *(abar[1:2] / 4).tolist()])
    sigmas = ((1 - abar) / abar).sqrt()
    solver.timesteps = torch.tensor(timesteps)
    solver.sigmas = torch.cat([sigmas, sigmas.new_zeros(1)]).float()

    def step(index: int, out: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        t = torch.full((len(z),), timesteps[index], device=z.device)
        z_next: torch.Tensor = solver.step(schedule.to_z0(out, z, t), timesteps[index], z).prev_sample
        return z_next

    return step
