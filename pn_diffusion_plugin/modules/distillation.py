"""Progressive distillation (Salimans and Ho, arXiv 2202.00512): one step of the student does several of the teacher.

Of a noisy latent z_t the teacher makes z_s in some DDIM steps t > ... > s. The student is asked for the output with
which a single DDIM step from z_t comes to the same z_s: the one that means the clean latent

    x = (z_s - (sigma_s / sigma_t) z_t) / (alpha_s - (sigma_s / sigma_t) alpha_t)

(their appendix G), with alpha = sqrt(abar), sigma = sqrt(1 - abar), and alpha = 1, sigma = 0 where the way ends. The
teacher's output may be a guided one: then guidance is folded into the student, which needs one branch only (Meng et
al., arXiv 2210.03142, with a fixed weight).
"""

from __future__ import annotations

import torch

from .sampling import sampling_timesteps
from .schedule import NoiseSchedule
from .windows import Denoiser

CLEAN = -1
"""The timestep after the last one: no noise."""


def rates(schedule: NoiseSchedule, t: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(alpha_t, sigma_t), each (B, 1, ...) to multiply `like` (B, ...) with, for timesteps t (B,) or `CLEAN`."""
    alpha, sigma = schedule.signal_and_noise(t.clamp(min=0), like)
    clean = (t == CLEAN).reshape(alpha.shape).to(like.device)
    return torch.where(clean, 1.0, alpha), torch.where(clean, 0.0, sigma)


def ddim_step(
    schedule: NoiseSchedule, out: torch.Tensor, z_t: torch.Tensor, t: torch.Tensor, s: torch.Tensor
) -> torch.Tensor:
    """From z_t to z_s (arXiv 2010.02502, without noise), t and s (B,), with the network's output at z_t."""
    alpha, sigma = rates(schedule, s, z_t)
    return alpha * schedule.to_z0(out, z_t, t) + sigma * schedule.to_eps(out, z_t, t)


def one_step_target(
    schedule: NoiseSchedule, z_t: torch.Tensor, t: torch.Tensor, z_s: torch.Tensor, s: torch.Tensor
) -> torch.Tensor:
    """The output with which `ddim_step` comes from z_t to z_s."""
    alpha_t, sigma_t = rates(schedule, t, z_t)
    alpha_s, sigma_s = rates(schedule, s, z_t)
    ratio = sigma_s / sigma_t
    z0 = (z_s - ratio * z_t) / (alpha_s - ratio * alpha_t)
    return schedule.target(z0, (z_t - alpha_t * z0) / sigma_t, t)


class ProgressiveDistillation:
    """What a student of few steps is asked for.

    Args:
        schedule: the teacher's, and the student's.
        steps: DDIM steps of the student, with trailing timesteps.
        teacher_steps: of the teacher, a multiple.

    Raises:
        ValueError: for numbers of steps that cannot be.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int, teacher_steps: int) -> None:
        if steps < 1 or teacher_steps % steps or not steps < teacher_steps <= schedule.num_train_timesteps:
            raise ValueError(
                f"{steps} steps of a student for {teacher_steps} of its teacher: give a whole part of them, and no "
                f"more than {schedule.num_train_timesteps}"
            )
        self.schedule = schedule
        self.steps, self.substeps = steps, teacher_steps // steps
        grid = [*sampling_timesteps(schedule.num_train_timesteps, teacher_steps, "trailing"), CLEAN]
        # Row i: where the teacher goes during the student's step i, from the timestep at which it begins.
        self.ways = torch.tensor(
            [grid[i * self.substeps : (i + 1) * self.substeps + 1] for i in range(steps)]
        )

    def way(self, t: torch.Tensor) -> torch.Tensor:
        """Timesteps (B, substeps + 1) of the step that uniform timesteps t (B,) of 0 ... T-1 fall into."""
        step = self.steps - 1 - t * self.steps // self.schedule.num_train_timesteps
        return self.ways.to(t.device)[step]

    @torch.no_grad()
    def target(self, teacher: Denoiser, z: torch.Tensor, way: torch.Tensor) -> torch.Tensor:
        """What the student should say of z (B, C, F, L) at the timesteps way[:, 0]."""
        end = z
        for t, s in zip(way.T[:-1], way.T[1:], strict=True):
            end = ddim_step(self.schedule, teacher(end, t).to(end), end, t, s)
        return one_step_target(self.schedule, z, way[:, 0], end, way[:, -1])
