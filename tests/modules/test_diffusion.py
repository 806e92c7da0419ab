"""The noise schedule and the two readings of the bi-directional objective."""

from __future__ import annotations

import itertools
import json
import warnings

import pytest
import torch

from pn_diffusion_plugin.modules.diffusion import (
    BiDirectionalObjective,
    DualSample,
    NoiseSchedule,
    negative_as_estimate,
    reverse_music,
)

SCHEDULES = {
    "epsilon": NoiseSchedule(),
    "v": NoiseSchedule(prediction="v"),
    "zero-snr": NoiseSchedule(beta_schedule="cosine", zero_terminal_snr=True, prediction="v"),
}
READINGS = ("mirrored", "shared")
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


# ---- the objective


@pytest.mark.parametrize("reading", READINGS)
def test_targets_of_both_streams(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps = draw(0, 1)
    t = timesteps(schedule)
    signal, noise = schedule.signal_and_noise(t, z0)
    sample = BiDirectionalObjective(schedule, 0.6, reading).corrupt(z0, eps, t)
    assert torch.allclose(sample.z_positive, signal * z0 + noise * eps)
    v = schedule.prediction == "v"
    assert torch.allclose(sample.target_positive, signal * eps - noise * z0 if v else eps)
    assert sample.z_negative is not None and sample.target_negative is not None
    if reading == "mirrored":
        assert torch.allclose(sample.z_negative, signal * z0 - noise * eps)
        assert torch.allclose(sample.target_negative, -signal * eps - noise * z0 if v else -eps)
    else:
        assert torch.equal(sample.z_negative, sample.z_positive)
        assert torch.equal(sample.target_negative, -sample.target_positive)


@pytest.mark.parametrize("reading", READINGS)
def test_the_right_answers_cost_nothing_and_agree(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps = draw(0, 1)
    objective = BiDirectionalObjective(schedule, 0.6, reading)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    losses = objective.loss(sample.target_positive, sample.target_negative, sample)
    means = losses.means()
    assert means["loss"] == means["loss_positive"] == means["loss_negative"] == 0
    assert means["cosine_pn"].item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("reading", READINGS)
def test_the_negative_answer_is_an_estimate_of_its_own_latent(schedule: NoiseSchedule, reading: str) -> None:
    """N' leads back to z0 in both readings; the other sign does not."""
    z0, eps = draw(0, 1)
    objective = BiDirectionalObjective(schedule, 0.6, reading)
    t = timesteps(schedule).clamp(max=900)
    sample = objective.corrupt(z0, eps, t)
    assert sample.z_negative is not None and sample.target_negative is not None
    estimate = objective.negative_as_estimate(sample.target_negative)
    assert torch.allclose(schedule.to_z0(estimate, sample.z_negative, t), z0, atol=1e-3)
    assert not torch.allclose(schedule.to_z0(-estimate, sample.z_negative, t), z0, atol=0.1)
    assert torch.equal(estimate, negative_as_estimate(sample.target_negative, reading))


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("alpha", [0.6, 0.9])
def test_gradients_of_both_branches(schedule: NoiseSchedule, reading: str, alpha: float) -> None:
    """dL/dP = alpha 2 (P - target+) / numel and dL/dN = (1 - alpha) 2 (N - target-) / numel."""
    z0, eps, p, n = draw(0, 1, 2, 3)
    p.requires_grad_(), n.requires_grad_()
    objective = BiDirectionalObjective(schedule, alpha, reading)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    objective.loss(p, n, sample).total.backward()
    assert p.grad is not None and n.grad is not None and sample.target_negative is not None
    assert torch.allclose(p.grad, alpha * 2 * (p - sample.target_positive) / p.numel(), atol=1e-8)
    assert torch.allclose(n.grad, (1 - alpha) * 2 * (n - sample.target_negative) / n.numel(), atol=1e-8)


@pytest.mark.parametrize("reading", READINGS)
def test_gradient_of_a_shared_network_by_finite_differences(reading: str) -> None:
    """One weight serves both streams: f(z, c) = weight * c * z, with c = 1 and c = -0.5."""
    z0, eps = (x.double() for x in draw(0, 1))
    objective = BiDirectionalObjective(SCHEDULES["v"], 0.7, reading)
    sample = objective.corrupt(z0, eps, timesteps(SCHEDULES["v"]))
    assert sample.z_negative is not None

    def loss(weight: torch.Tensor) -> torch.Tensor:
        assert sample.z_negative is not None
        return objective.loss(weight * sample.z_positive, -0.5 * weight * sample.z_negative, sample).total

    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    loss(weight).backward()
    with torch.no_grad():
        slope = (loss(weight + 0.01) - loss(weight - 0.01)) / 0.02
    assert weight.grad is not None and weight.grad.item() == pytest.approx(slope.item(), rel=1e-3)


def test_alpha_one_is_plain_latent_diffusion(schedule: NoiseSchedule) -> None:
    z0, eps, p = draw(0, 1, 2)
    t = timesteps(schedule)
    for reading in READINGS:
        objective = BiDirectionalObjective(schedule, 1.0, reading)
        assert not objective.uses_negative
        sample = objective.corrupt(z0, eps, t)
        assert sample.z_negative is None and sample.target_negative is None
        losses = objective.loss(p, None, sample)
        assert torch.allclose(losses.total, losses.positive.mean())
        assert torch.allclose(losses.total, torch.nn.functional.mse_loss(p, schedule.target(z0, eps, t)))
        assert set(losses.means()) == {"loss", "loss_positive"}
        with pytest.raises(ValueError, match="alpha = 1"):
            objective.loss(p, p, sample)


def test_shared_collapses_where_the_conditions_cannot_be_told_apart() -> None:
    """f(z, c+) = f(z, c-) is best at (2 alpha - 1) E[target]: 0 at alpha = 0.5; the cosine says so."""
    z0, eps = draw(0, 1)
    schedule = SCHEDULES["epsilon"]
    for alpha in (0.5, 0.6, 0.8):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            objective = BiDirectionalObjective(schedule, alpha, "shared")
        assert bool(caught) == (alpha <= 0.5)
        sample = objective.corrupt(z0, eps, timesteps(schedule))
        scale = torch.tensor(0.9, requires_grad=True)
        (gradient,) = torch.autograd.grad(objective.loss(scale * eps, scale * eps, sample).total, scale)
        curvature = 2 * eps.square().mean()
        assert (scale - gradient / curvature).item() == pytest.approx(2 * alpha - 1, abs=1e-5)
        assert objective.loss(eps, eps, sample).means()["cosine_pn"].item() == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("reading", READINGS)
def test_padding_does_not_count(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps, p, n = draw(0, 1, 2, 3)
    mask = torch.ones(8, 1, 1, 6)
    mask[..., 4:] = 0
    objective = BiDirectionalObjective(schedule, 0.6, reading)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    masked = objective.loss(p, n, sample, mask).means()
    p2, n2 = p.clone(), n.clone()
    p2[..., 4:], n2[..., 4:] = 99, -99
    assert sample.z_negative is not None and sample.target_negative is not None
    latents = sample.z_positive, sample.target_positive, sample.z_negative, sample.target_negative
    cut = DualSample(sample.t, *(x[..., :4] for x in latents))
    expected = objective.loss(p[..., :4], n[..., :4], cut).means()
    for name in ("loss", "loss_positive", "loss_negative"):
        assert torch.allclose(objective.loss(p2, n2, sample, mask).means()[name], masked[name])
        assert torch.allclose(masked[name], expected[name])


def test_losses_of_clips_make_the_loss(schedule: NoiseSchedule) -> None:
    z0, eps, p, n = draw(0, 1, 2, 3)
    objective = BiDirectionalObjective(schedule, 0.6)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    losses = objective.loss(p.requires_grad_(), n, sample)
    assert sample.target_negative is not None and losses.negative is not None
    assert torch.allclose(losses.positive[3], (p - sample.target_positive)[3].square().mean())
    assert torch.allclose(losses.negative[5], (n - sample.target_negative)[5].square().mean())
    assert torch.allclose(losses.total, (0.6 * losses.positive + 0.4 * losses.negative).mean())
    assert losses.total.requires_grad and not any(x.requires_grad for x in losses.means().values())


def test_reversed_music_begins_with_the_last_moment_that_is_music() -> None:
    z = torch.arange(6.0).expand(2, 3, 4, 6)
    assert torch.equal(reverse_music(z)[0, 0, 0], torch.tensor([5.0, 4, 3, 2, 1, 0]))
    mask = torch.ones(2, 1, 1, 6)
    mask[1, ..., 4:] = 0
    turned = reverse_music(z, mask)
    assert torch.equal(turned[0], z[0].flip(-1))
    assert torch.equal(turned[1, 2, 3], torch.tensor([3.0, 2, 1, 0, 4, 5]))
    assert torch.equal(reverse_music(turned, mask), z)


def test_another_latent_for_the_negative_stream() -> None:
    z0, eps = draw(0, 1)
    schedule, t = SCHEDULES["v"], timesteps(SCHEDULES["v"])
    reversed_music = z0.flip(-1)
    sample = BiDirectionalObjective(schedule, 0.6).corrupt(z0, eps, t, z0_negative=reversed_music)
    assert sample.z_negative is not None and sample.target_negative is not None
    answer = schedule.to_z0(sample.target_negative, sample.z_negative, t)
    assert torch.allclose(answer, reversed_music, atol=1e-4)
    with pytest.raises(ValueError, match="mirrored"):
        BiDirectionalObjective(schedule, 0.6, "shared").corrupt(z0, eps, t, z0_negative=reversed_music)


@pytest.mark.parametrize("alpha, reading", list(itertools.product([0.0, 1.1, -0.5], READINGS)))
def test_weights_outside_their_range_are_refused(alpha: float, reading: str) -> None:
    with pytest.raises(ValueError, match=f"alpha={alpha}"):
        BiDirectionalObjective(NoiseSchedule(), alpha, reading)
    with pytest.raises(ValueError, match="other"):
        BiDirectionalObjective(NoiseSchedule(), 0.6, "other")
