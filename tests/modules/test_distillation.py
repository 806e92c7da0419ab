"""Distillation with teachers whose answers are known."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.modules.distillation import (
    CLEAN,
    ProgressiveDistillation,
    ddim_step,
    one_step_target,
)
from pn_diffusion_plugin.modules.sampling import clip_generators, sample, sampling_timesteps
from pn_diffusion_plugin.modules.schedule import NoiseSchedule
from pn_diffusion_plugin.modules.windows import Denoiser

SCHEDULES = {
    "cosine-zero-v": NoiseSchedule(beta_schedule="cosine", zero_terminal_snr=True, prediction="v"),
    "linear-epsilon": NoiseSchedule(),
}
SHAPE = (6, 2, 4, 5)


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return SCHEDULES[request.param]


def noise(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def gaussian(schedule: NoiseSchedule, spread: float) -> Denoiser:
    """The best network for z0 ~ N(0, spread^2): linear in z."""

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, sigma = schedule.signal_and_noise(t, z)
        variance = signal**2 * spread**2 + sigma**2
        return schedule.target(signal * spread**2 / variance * z, sigma / variance * z, t)

    return denoise


def test_the_target_of_an_all_knowing_teacher_is_the_truth(schedule: NoiseSchedule) -> None:
    """It goes straight to z0, so what a student of any steps should say is what training would ask for."""
    z0, eps = noise(0), noise(1)

    def knows(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, sigma = schedule.signal_and_noise(t, z)
        return schedule.target(z0, (z - signal * z0) / sigma, t)

    task = ProgressiveDistillation(schedule, 3, 12)
    path = task.teacher_timesteps(torch.tensor([0, 200, 400, 600, 800, 999]))
    z = schedule.add_noise(z0, eps, path[:, 0])
    expected = schedule.target(z0, eps, path[:, 0])
    assert torch.allclose(task.target(knows, z, path), expected, atol=1e-3)


@pytest.mark.parametrize("steps, teacher_steps", [(4, 16), (4, 8), (1, 5), (7, 21)])
def test_a_student_that_says_the_target_goes_where_its_teacher_goes(
    schedule: NoiseSchedule, steps: int, teacher_steps: int
) -> None:
    teacher, task = gaussian(schedule, 0.5), ProgressiveDistillation(schedule, steps, teacher_steps)
    paths = {int(path[0]): path for path in task.timesteps}
    assert list(paths) == sampling_timesteps(1000, steps)  # as the student will be asked

    def student(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return task.target(teacher, z, paths[int(t[0])].repeat(len(z), 1))

    few, many = (
        sample(denoiser, schedule, SHAPE, steps=n, generators=clip_generators(range(SHAPE[0])))
        for denoiser, n in ((student, steps), (teacher, teacher_steps))
    )
    plain = sample(teacher, schedule, SHAPE, steps=steps, generators=clip_generators(range(SHAPE[0])))
    assert torch.allclose(few, many, atol=2e-4)
    assert (plain - many).abs().max() > 20 * (few - many).abs().max()


def test_a_linear_student_learns_a_linear_teacher_exactly() -> None:
    """One weight a step, by least squares on random latents: the composition of the teacher's steps."""
    schedule = SCHEDULES["cosine-zero-v"]
    teacher, task = gaussian(schedule, 0.5), ProgressiveDistillation(schedule, 2, 8)
    for index, path in enumerate(task.timesteps):
        z = noise(index)
        target = task.target(teacher, z, path.repeat(len(z), 1))
        weight = (target * z).sum() / z.square().sum()
        assert torch.allclose(weight * z, target, atol=1e-5)
        end = z
        for t, s in zip(path[:-1], path[1:], strict=True):
            end = ddim_step(schedule, teacher(end, t.repeat(6)), end, t.repeat(6), s.repeat(6))
        made = ddim_step(schedule, weight * z, z, path[0].repeat(6), path[-1].repeat(6))
        assert torch.allclose(made, end, atol=1e-5)


def test_one_step_target_undoes_ddim_step(schedule: NoiseSchedule) -> None:
    t = torch.tensor([900, 800, 500, 300, 100, 20])
    s = torch.tensor([850, 300, 400, CLEAN, 10, CLEAN])
    z, out = noise(0), noise(1)
    assert torch.allclose(
        one_step_target(schedule, z, t, ddim_step(schedule, out, z, t, s), s), out, atol=2e-3
    )


def test_every_timestep_belongs_to_the_step_that_begins_above_it() -> None:
    task = ProgressiveDistillation(SCHEDULES["cosine-zero-v"], 4, 8)
    assert task.timesteps.tolist() == [[999, 874, 749], [749, 624, 499], [499, 374, 249], [249, 124, CLEAN]]
    assert task.teacher_timesteps(torch.tensor([999, 750, 749, 500, 0]))[:, 0].tolist() == [
        999,
        999,
        749,
        749,
        249,
    ]


@pytest.mark.parametrize("steps, teacher_steps", [(0, 4), (4, 4), (3, 8), (8, 4), (2, 2000)])
def test_impossible_numbers_of_steps_are_refused(steps: int, teacher_steps: int) -> None:
    with pytest.raises(ValueError, match=f"student steps {steps}, teacher steps {teacher_steps}"):
        ProgressiveDistillation(NoiseSchedule(), steps, teacher_steps)
