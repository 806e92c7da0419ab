"""Progressive distillation (Salimans and Ho, arXiv 2202.00512): one student step replaces several teacher steps.

From a noisy latent z_t the teacher computes z_s in several DDIM steps t > ... > s. The student's target is the output
with which a single DDIM step from z_t gives the same z_s. It corresponds to the clean latent

    x = (z_s - (sigma_s / sigma_t) z_t) / (alpha_s - (sigma_s / sigma_t) alpha_t)

(their appendix G), with alpha = sqrt(abar), sigma = sqrt(1 - abar), and alpha = 1, sigma = 0 after the last step. The
teacher's output may be guided: the student then learns guidance with a fixed weight and needs one branch (Meng et al.,
arXiv 2210.03142).
"""

from __future__ import annotations

import torch

from .sampling import sampling_timesteps
from .schedule import NoiseSchedule
from .windows import Denoiser

CLEAN = -1
"""Timestep after the last one: no noise."""


def rates(schedule: NoiseSchedule, t: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return alpha_t and sigma_t, each (B, 1, ...), of timesteps t (B,) or `CLEAN`, in the dtype of `like`."""
    alpha, sigma = schedule.signal_and_noise(t.clamp(min=0), like)
    clean = (t == CLEAN).reshape(alpha.shape).to(like.device)
    return torch.where(clean, 1.0, alpha), torch.where(clean, 0.0, sigma)


def ddim_step(
    schedule: NoiseSchedule, out: torch.Tensor, z_t: torch.Tensor, t: torch.Tensor, s: torch.Tensor
) -> torch.Tensor:
    """DDIM step (arXiv 2010.02502, without noise) from z_t to z_s with the output at z_t; t and s (B,)."""
    alpha, sigma = rates(schedule, s, z_t)
    return alpha * schedule.to_z0(out, z_t, t) + sigma * schedule.to_eps(out, z_t, t)


def one_step_target(
    schedule: NoiseSchedule, z_t: torch.Tensor, t: torch.Tensor, z_s: torch.Tensor, s: torch.Tensor
) -> torch.Tensor:
    """Return the output with which `ddim_step` maps z_t to z_s."""
    alpha_t, sigma_t = rates(schedule, t, z_t)
    alpha_s, sigma_s = rates(schedule, s, z_t)
    ratio = sigma_s / sigma_t
    z0 = (z_s - ratio * z_t) / (alpha_s - ratio * alpha_t)
    return schedule.target(z0, (z_t - alpha_t * z0) / sigma_t, t)


class ProgressiveDistillation:
    """Training targets of a student with few steps.

    Args:
        schedule: of teacher and student.
        steps: DDIM steps of the student, with trailing timesteps.
        teacher_steps: steps of the teacher, a multiple of `steps`.

    Raises:
        ValueError: for impossible numbers of steps.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int, teacher_steps: int) -> None:
        if steps < 1 or teacher_steps % steps or not steps < teacher_steps <= schedule.num_train_timesteps:
            raise ValueError(
                f"student steps {steps}, teacher steps {teacher_steps}: give teacher steps that are a multiple of the "
                f"student's, and at most {schedule.num_train_timesteps}"
            )
        self.schedule = schedule
        self.steps, self.substeps = steps, teacher_steps // steps
        grid = [*sampling_timesteps(schedule.num_train_timesteps, teacher_steps, "trailing"), CLEAN]
        # Row i: the teacher's timesteps during the student's step i, first and last included.
        self.timesteps = torch.tensor(
            [grid[i * self.substeps : (i + 1) * self.substeps + 1] for i in range(steps)]
        )

    def teacher_timesteps(self, t: torch.Tensor) -> torch.Tensor:
        """Teacher timesteps (B, substeps + 1) of the student steps that contain the timesteps t (B,) of 0 ... T-1."""
        step = self.steps - 1 - t * self.steps // self.schedule.num_train_timesteps
        return self.timesteps.to(t.device)[step]

    @torch.no_grad()
    def target(self, teacher: Denoiser, z: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Target of the student for z (B, C, F, L) at the timesteps timesteps[:, 0]."""
        end = z
        for t, s in zip(timesteps.T[:-1], timesteps.T[1:], strict=True):
            end = ddim_step(self.schedule, teacher(end, t).to(end), end, t, s)
        return one_step_target(self.schedule, z, timesteps[:, 0], end, timesteps[:, -1])
