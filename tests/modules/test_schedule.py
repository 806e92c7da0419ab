"""Noise schedule and prediction types."""

from __future__ import annotations

import json

import pytest
import torch

from pn_diffusion_plugin.modules.schedule import NoiseSchedule

SCHEDULES = {
    "epsilon": NoiseSchedule(),
    "v": NoiseSchedule(prediction="v"),
    "sample": NoiseSchedule(prediction="sample"),
    "zero-snr": NoiseSchedule(beta_schedule="cosine", zero_terminal_snr=True, prediction="v"),
}
SHAPE = (8, 3, 4, 6)


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return SCHEDULES[request.param]


def draw(*seeds: int) -> list[torch.Tensor]:
    return [torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in seeds]


def timesteps(schedule: NoiseSchedule, seed: int = 0) -> torch.Tensor:
    return schedule.sample_timesteps(SHAPE[0], generator=torch.Generator().manual_seed(seed))


def test_linear_schedule_is_the_papers() -> None:
    abar = NoiseSchedule().alphas_cumprod
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    assert torch.allclose(abar.double(), torch.cumprod(1 - betas, 0), rtol=1e-3)
    assert abar[0].item() == pytest.approx(0.9999) and 3e-5 < abar[-1].item() < 5e-5


def test_zero_terminal_snr_ends_in_pure_noise_and_begins_alike() -> None:
    for beta_schedule in ("linear", "cosine"):
        plain = NoiseSchedule(beta_schedule=beta_schedule, prediction="v")
        zero = NoiseSchedule(beta_schedule=beta_schedule, zero_terminal_snr=True, prediction="v")
        assert zero.alphas_cumprod[-1] == 0 and (zero.alphas_cumprod.diff() < 0).all()
        assert torch.allclose(zero.alphas_cumprod[0], plain.alphas_cumprod[0])


def test_output_and_target_are_inverse(schedule: NoiseSchedule) -> None:
    z0, eps = draw(0, 1)
    for t in (torch.zeros(8, dtype=torch.long), timesteps(schedule)):
        z_t, target = schedule.add_noise(z0, eps, t), schedule.target(z0, eps, t)
        assert torch.allclose(schedule.to_eps(target, z_t, t), eps, atol=1e-4)
        assert torch.allclose(schedule.to_z0(target, z_t, t), z0, atol=1e-3)


def test_v_is_the_derivative_of_z_over_the_angle() -> None:
    """v = dz/dphi with cos(phi) = sqrt(abar): the definition in arXiv 2202.00512, appendix D."""
    schedule, t = SCHEDULES["v"], torch.full((8,), 400)
    z0, eps = (x.double() for x in draw(0, 1))
    phi = torch.acos(schedule.alphas_cumprod[400].double().sqrt())
    step = 1e-5
    ahead, behind = (torch.cos(p) * z0 + torch.sin(p) * eps for p in (phi + step, phi - step))
    assert torch.allclose(schedule.target(z0, eps, t), (ahead - behind) / (2 * step), atol=1e-5)


def test_config_makes_the_same_schedule_again(schedule: NoiseSchedule) -> None:
    again = NoiseSchedule(**json.loads(json.dumps(schedule.config())))
    assert torch.equal(again.alphas_cumprod, schedule.alphas_cumprod) and again.config() == schedule.config()


@pytest.mark.parametrize(
    "kwargs",
    [{"beta_schedule": "square"}, {"prediction": "x"}, {"zero_terminal_snr": True, "prediction": "epsilon"}],
)
def test_schedules_that_cannot_be_are_refused(kwargs: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(kwargs)))):
        NoiseSchedule(**kwargs)


def test_timesteps_are_uniform_and_stratified() -> None:
    schedule, generator = NoiseSchedule(), torch.Generator().manual_seed(0)
    draws = torch.stack([schedule.sample_timesteps(16, generator=generator) for _ in range(500)])
    assert draws.min() >= 0 and draws.max() <= 999
    # Each batch has as many in every quarter, in random places; each place sees every quarter as often.
    assert ((draws >= 750).sum(1) - 4).abs().max() <= 1
    assert ((draws >= 750).float().mean(0) - 0.25).abs().max() < 0.1
    free = schedule.sample_timesteps(4000, generator=generator, stratified=False)
    assert abs(free.float().mean().item() - 499.5) < 20
