"""Readings of the negative stream: targets, gradients, optima, padding, and their common baseline."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import pytest
import torch

from pn_diffusion_plugin.modules.objective import DualSample, Objective
from pn_diffusion_plugin.modules.readings import READINGS, Comparison, Contrast, Drawn, Mirrored, Shared
from pn_diffusion_plugin.modules.schedule import NoiseSchedule

SCHEDULES = {
    "epsilon": NoiseSchedule(),
    "v": NoiseSchedule(prediction="v"),
    "sample": NoiseSchedule(prediction="sample"),
    "zero-snr": NoiseSchedule(beta_schedule="cosine", zero_terminal_snr=True, prediction="v"),
}
TWO_STREAMS = ("mirrored", "shared")
SHAPE = (8, 3, 4, 6)


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return SCHEDULES[request.param]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*seeds: int) -> list[torch.Tensor]:
    return [torch.randn(SHAPE, generator=generator(seed)) for seed in seeds]


def timesteps(schedule: NoiseSchedule, seed: int = 0) -> torch.Tensor:
    return schedule.sample_timesteps(SHAPE[0], generator=generator(seed))


def corrupt(objective: Objective, *seeds: int) -> DualSample:
    """A sample with everything that the reading needs."""
    z0, eps, other = draw(*(seeds or (0, 1, 5)))
    negative = other if objective.needs_negative_latent else None
    t = timesteps(objective.schedule)
    return objective.corrupt(z0, eps, t, negative, **objective.draw(SHAPE, generator(9)))


@pytest.mark.parametrize("reading", TWO_STREAMS)
def test_targets_of_both_streams(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps = draw(0, 1)
    t = timesteps(schedule)
    signal, noise = schedule.signal_and_noise(t, z0)
    sample = READINGS[reading](schedule, 0.6).corrupt(z0, eps, t)
    assert torch.allclose(sample.z_positive, signal * z0 + noise * eps)
    targets = {  # under the noise eps and under -eps
        "epsilon": (eps, -eps),
        "v": (signal * eps - noise * z0, -signal * eps - noise * z0),
        "sample": (z0, z0),
    }
    positive, mirrored = targets[schedule.prediction]
    assert torch.allclose(sample.target_positive, positive)
    assert sample.z_negative is not None and sample.target_negative is not None
    if reading == "mirrored":
        assert torch.allclose(sample.z_negative, signal * z0 - noise * eps)
        assert torch.allclose(sample.target_negative, mirrored)
    else:
        assert torch.equal(sample.z_negative, sample.z_positive)
        assert torch.equal(sample.target_negative, -sample.target_positive)


@pytest.mark.parametrize("reading", TWO_STREAMS)
def test_the_right_answers_cost_nothing_and_agree(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps = draw(0, 1)
    objective = READINGS[reading](schedule, 0.6)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    losses = objective.loss(sample.target_positive, sample.target_negative, sample)
    means = losses.means()
    assert means["loss"] == means["loss_positive"] == means["loss_negative"] == 0
    assert means["cosine_pn"].item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("reading", TWO_STREAMS)
def test_the_negative_answer_is_an_estimate_of_its_own_latent(schedule: NoiseSchedule, reading: str) -> None:
    """N' leads back to z0 in both readings; the other sign does not."""
    z0, eps = draw(0, 1)
    objective = READINGS[reading](schedule, 0.6)
    t = timesteps(schedule).clamp(max=900)
    sample = objective.corrupt(z0, eps, t)
    assert sample.z_negative is not None and sample.target_negative is not None
    estimate = objective.as_estimate(sample.target_negative)
    assert torch.allclose(schedule.to_z0(estimate, sample.z_negative, t), z0, atol=1e-3)
    assert not torch.allclose(schedule.to_z0(-estimate, sample.z_negative, t), z0, atol=0.1)


@pytest.mark.parametrize("reading", TWO_STREAMS)
@pytest.mark.parametrize("alpha", [0.6, 0.9])
def test_gradients_of_both_branches(schedule: NoiseSchedule, reading: str, alpha: float) -> None:
    """dL/dP = alpha 2 (P - target+) / numel and dL/dN = (1 - alpha) 2 (N - target-) / numel."""
    z0, eps, p, n = draw(0, 1, 2, 3)
    p.requires_grad_(), n.requires_grad_()
    objective = READINGS[reading](schedule, alpha)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    objective.loss(p, n, sample).total.backward()
    assert p.grad is not None and n.grad is not None and sample.target_negative is not None
    assert torch.allclose(p.grad, alpha * 2 * (p - sample.target_positive) / p.numel(), atol=1e-8)
    assert torch.allclose(n.grad, (1 - alpha) * 2 * (n - sample.target_negative) / n.numel(), atol=1e-8)


@pytest.mark.parametrize("reading", TWO_STREAMS)
def test_gradient_of_a_shared_network_by_finite_differences(reading: str) -> None:
    """One weight serves both streams: f(z, c) = weight * c * z, with c = 1 and c = -0.5."""
    z0, eps = (x.double() for x in draw(0, 1))
    objective = READINGS[reading](SCHEDULES["v"], 0.7)
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


def test_shared_collapses_where_the_conditions_cannot_be_told_apart() -> None:
    """f(z, c+) = f(z, c-) is best at (2 alpha - 1) E[target]: 0 at alpha = 0.5; the cosine says so."""
    z0, eps = draw(0, 1)
    schedule = SCHEDULES["epsilon"]
    for alpha in (0.5, 0.6, 0.8):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            objective = Shared(schedule, alpha)
        assert bool(caught) == (alpha <= 0.5)
        sample = objective.corrupt(z0, eps, timesteps(schedule))
        scale = torch.tensor(0.9, requires_grad=True)
        (gradient,) = torch.autograd.grad(objective.loss(scale * eps, scale * eps, sample).total, scale)
        curvature = 2 * eps.square().mean()
        assert (scale - gradient / curvature).item() == pytest.approx(2 * alpha - 1, abs=1e-5)
        assert objective.loss(eps, eps, sample).means()["cosine_pn"].item() == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("reading", TWO_STREAMS)
def test_padding_does_not_count(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps, p, n = draw(0, 1, 2, 3)
    mask = torch.ones(8, 1, 1, 6)
    mask[..., 4:] = 0
    objective = READINGS[reading](schedule, 0.6)
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
    objective = Mirrored(schedule, 0.6)
    sample = objective.corrupt(z0, eps, timesteps(schedule))
    losses = objective.loss(p.requires_grad_(), n, sample)
    assert sample.target_negative is not None and losses.negative is not None
    assert torch.allclose(losses.positive[3], (p - sample.target_positive)[3].square().mean())
    assert torch.allclose(losses.negative[5], (n - sample.target_negative)[5].square().mean())
    assert torch.allclose(losses.total, (0.6 * losses.positive + 0.4 * losses.negative).mean())
    assert losses.total.requires_grad and not any(x.requires_grad for x in losses.means().values())


def test_another_latent_for_the_negative_stream() -> None:
    z0, eps = draw(0, 1)
    schedule, t = SCHEDULES["v"], timesteps(SCHEDULES["v"])
    reversed_music = z0.flip(-1)
    sample = Mirrored(schedule, 0.6).corrupt(z0, eps, t, z0_negative=reversed_music)
    assert sample.z_negative is not None and sample.target_negative is not None
    answer = schedule.to_z0(sample.target_negative, sample.z_negative, t)
    assert torch.allclose(answer, reversed_music, atol=1e-4)
    with pytest.raises(ValueError, match="does not use it"):
        Shared(schedule, 0.6).corrupt(z0, eps, t, z0_negative=reversed_music)


@pytest.mark.parametrize("reading", READINGS)
def test_alpha_one_is_the_baseline_bit_by_bit(schedule: NoiseSchedule, reading: str) -> None:
    z0, eps, out = draw(0, 1, 2)
    t, objective = timesteps(schedule), READINGS[reading](schedule, 1.0)
    assert not objective.uses_negative and objective.streams == ("dance",)
    assert objective.draw(SHAPE, generator()) == {}
    sample = objective.corrupt(z0, eps, t)
    assert sample.z_negative is None and sample.target_negative is None and sample.negative_rows is None
    losses = objective.loss(out.requires_grad_(), None, sample)
    baseline = (out - schedule.target(z0, eps, t)).square().flatten(1).mean(1).mean()
    assert torch.equal(losses.total, baseline) and set(losses.means()) == {"loss", "loss_positive"}
    gradients = [torch.autograd.grad(loss, out, retain_graph=True)[0] for loss in (losses.total, baseline)]
    assert torch.equal(*gradients)
    with pytest.raises(ValueError, match="alpha = 1"):
        objective.loss(out, out, sample)


@pytest.mark.parametrize("reading", READINGS)
def test_what_is_drawn_depends_on_the_generator_alone(reading: str) -> None:
    objective = READINGS[reading](SCHEDULES["v"], 0.8)
    once, again = (objective.draw(SHAPE, generator(3)) for _ in range(2))
    assert all(torch.equal(once[name], again[name]) and len(once[name]) == SHAPE[0] for name in once)


# ---- contrast


def test_gradient_of_contrast(schedule: NoiseSchedule) -> None:
    """dL/df = 2 (alpha (f - y+) - (1 - alpha) (f - y-)) / numel."""
    (out,) = draw(2)
    out.requires_grad_()
    objective = Contrast(schedule, 0.9)
    sample = corrupt(objective)
    objective.loss(out, None, sample).total.backward()
    assert out.grad is not None and sample.target_negative is not None and sample.z_negative is None
    slope = 0.9 * (out - sample.target_positive) - 0.1 * (out - sample.target_negative)
    assert torch.allclose(out.grad, 2 * slope / out.numel(), atol=1e-8)


def test_the_negative_of_contrast_has_noise_of_its_own_at_the_same_timestep(schedule: NoiseSchedule) -> None:
    z0, eps, other = draw(0, 1, 5)
    t, objective = timesteps(schedule), Contrast(schedule, 0.9)
    random = objective.draw(SHAPE, generator(9))
    sample = objective.corrupt(z0, eps, t, other, **random)
    assert sample.target_negative is not None
    assert torch.equal(sample.target_negative, schedule.target(other, random["eps_negative"], t))
    assert abs(float((random["eps_negative"] * eps).mean())) < 0.15
    with pytest.raises(ValueError, match="needs z0_negative"):
        objective.corrupt(z0, eps, t, **random)


@pytest.mark.parametrize("alpha", [0.6, 0.8, 0.95])
def test_optimum_of_contrast_on_a_toy_gaussian(alpha: float) -> None:
    """y+ ~ N(m, I), y- ~ N(n, I): the constant f with the least loss is (alpha m - (1 - alpha) n) / (2 alpha - 1)."""
    clips, m, n = 2000, 1.5, -0.5
    objective = Contrast(SCHEDULES["epsilon"], alpha)
    noise = torch.randn(2, clips, 1, 1, 4, generator=generator())
    y_positive, y_negative = noise[0] + m, noise[1] + n
    f = torch.zeros(1, 1, 4, requires_grad=True)
    sample = DualSample(torch.zeros(clips), y_positive, y_positive, target_negative=y_negative)
    optimizer = torch.optim.LBFGS([f], line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = objective.loss(f.expand(clips, 1, 1, 4), None, sample).total
        total.backward()
        return total

    optimizer.step(closure)  # type: ignore[arg-type]
    wanted = (alpha * y_positive.mean(0) - (1 - alpha) * y_negative.mean(0)) / (2 * alpha - 1)
    assert torch.allclose(f.detach(), wanted, atol=1e-3)
    assert torch.allclose(f.detach(), torch.tensor((alpha * m - (1 - alpha) * n) / (2 * alpha - 1)), atol=0.5)


@pytest.mark.parametrize("alpha", [0.5, 0.3])
def test_contrast_that_is_not_bounded_below_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=rf"alpha={alpha} .*contrast.*\(0.5, 1\]"):
        Contrast(NoiseSchedule(), alpha)


def test_clips_without_their_dance_have_no_contrast() -> None:
    (out,) = draw(2)
    objective = Contrast(SCHEDULES["v"], 0.9)
    sample = corrupt(objective)
    dropped = torch.arange(SHAPE[0]) % 2 == 0
    losses = objective.loss(out, None, sample, None, dropped)
    assert losses.negative is not None
    expected = torch.where(dropped, losses.positive, 0.9 * losses.positive - 0.1 * losses.negative)
    assert torch.allclose(losses.total, expected.mean())


# ---- drawn


def test_drawn_is_mirrored_on_average() -> None:
    """Over all draws the expected loss is alpha l+ + (1 - alpha) l-."""
    p, n = draw(2, 3)
    z0, eps, _ = draw(0, 1, 5)
    schedule, t = SCHEDULES["v"], timesteps(SCHEDULES["v"])
    mirrored, drawn = Mirrored(schedule, 0.75), Drawn(schedule, 0.75)
    expected = mirrored.loss(p, n, mirrored.corrupt(z0, eps, t)).total
    totals, counts = [], set()
    for seed in range(300):
        sample = drawn.corrupt(z0, eps, t, **drawn.draw(SHAPE, generator(seed)))
        assert sample.negative_rows is not None
        rows = sample.negative_rows[:, None, None, None]
        totals.append(drawn.loss(torch.where(rows, n, p), None, sample).total)
        counts.add(int(sample.negative_rows.sum()))
    assert torch.stack(totals).mean().item() == pytest.approx(expected.item(), rel=0.01)
    assert counts == {2}  # stratified: a quarter of the 8 clips


def test_losses_of_drawn_streams_are_told_apart() -> None:
    (out,) = draw(2)
    objective = Drawn(SCHEDULES["v"], 0.75)
    losses = objective.loss(out, None, corrupt(objective))
    assert losses.negative is not None
    assert torch.equal(losses.positive.isnan(), ~losses.negative.isnan())
    error = losses.positive.nan_to_num() + losses.negative.nan_to_num()
    assert torch.allclose(losses.total, error.mean())
    assert losses.means()["loss_negative"] == losses.negative.nanmean()


# ---- comparison


def test_gradient_of_comparison() -> None:
    """dL/dl+ = 1 + w and dL/dl- = -w, where the safeguard does not act."""
    p, n = draw(2, 3)
    p.requires_grad_(), n.requires_grad_()
    objective = Comparison(SCHEDULES["v"], 0.8, tau=0.5)
    sample = corrupt(objective)
    losses = objective.loss(p, n, sample)
    losses.total.backward()
    assert losses.negative is not None and p.grad is not None and n.grad is not None
    assert objective.beta == pytest.approx(0.25)
    difference = (losses.positive - losses.negative) / 0.5
    expected = losses.positive + 0.25 * torch.nn.functional.softplus(difference)
    assert torch.allclose(losses.total, expected.mean())
    w = (0.25 / 0.5 * difference.sigmoid())[:, None, None, None]
    assert torch.allclose(p.grad, (1 + w) * 2 * (p - sample.target_positive) / p.numel(), atol=1e-7)
    assert torch.allclose(n.grad, -w * 2 * (n - sample.target_positive) / n.numel(), atol=1e-7)


@pytest.mark.parametrize("alpha", [0.05, 0.5, 0.9])
def test_a_step_on_comparison_never_raises_the_positive_error(alpha: float) -> None:
    """With one Jacobian for both rows the step -(dL/dp + dL/dn) does not go against the positive residual."""
    objective = Comparison(SCHEDULES["epsilon"], alpha, tau=0.05)
    sample = corrupt(objective)
    for seed, near in itertools.product(range(5), (0.02, 0.3, 1.0)):
        residual, change = draw(seed, seed + 50)
        p = (sample.target_positive + near * residual).requires_grad_()
        n = (
            sample.target_positive + 3 * residual + 0.1 * change
        ).requires_grad_()  # much worse, same direction
        objective.loss(p, n, sample).total.backward()
        assert p.grad is not None and n.grad is not None
        along = ((p.grad + n.grad) * (p.detach() - sample.target_positive)).flatten(1).sum(1)
        assert (along >= -1e-7).all()


def test_optimum_of_comparison_on_a_toy_gaussian() -> None:
    """f(c+) learns the mean of y+, f(c-) is pushed away from it, and one f for both is the mean, too."""
    clips = 500
    y = torch.randn(clips, 1, 1, 4, generator=generator()) + 1.5
    objective = Comparison(SCHEDULES["epsilon"], 0.5, tau=1.0)
    sample = DualSample(torch.zeros(clips), y, y, y, y)

    def fitted(
        f: torch.Tensor, rows: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        f.requires_grad_()
        for _ in range(300):
            (gradient,) = torch.autograd.grad(objective.loss(*rows(f), sample).total, f)
            f = (f - 0.5 * gradient).detach().requires_grad_()
        return f.detach()

    def of_two(f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return f[0].expand_as(y), f[1].expand_as(y)

    positive, negative = fitted(torch.tensor([[[[0.0]]], [[[0.5]]]]), of_two)
    assert positive.item() == pytest.approx(y.mean().item(), abs=0.02)
    assert negative.item() < 0.5  # it began below the mean
    one = fitted(torch.zeros(1, 1, 1), lambda f: (f.expand_as(y), f.expand_as(y)))
    assert one.item() == pytest.approx(y.mean().item(), abs=0.02)


# ---- padding and wrong values


@pytest.mark.parametrize("reading", READINGS)
def test_padding_does_not_count_in_any_reading(schedule: NoiseSchedule, reading: str) -> None:
    p, n = draw(2, 3)
    mask = torch.ones(8, 1, 1, 6)
    mask[..., 4:] = 0
    objective = READINGS[reading](schedule, 0.8)
    sample = corrupt(objective)

    def gradients(change: float) -> list[torch.Tensor]:
        outs = [torch.where(mask > 0, x, change * x).requires_grad_() for x in (p, n)]
        outs = outs[: 2 if sample.z_negative is not None and sample.negative_rows is None else 1]
        total = objective.loss(outs[0], outs[1] if len(outs) == 2 else None, sample, mask).total
        return [total.detach(), *torch.autograd.grad(total, outs)]

    for one, other in zip(gradients(1.0), gradients(99.0), strict=True):
        assert torch.equal(one, other)
    assert all((g[..., 4:] == 0).all() for g in gradients(1.0)[1:])


@pytest.mark.parametrize("alpha, reading", list(itertools.product([0.0, 1.1, -0.5], READINGS)))
def test_weights_outside_their_range_are_refused(alpha: float, reading: str) -> None:
    with pytest.raises(ValueError, match=f"alpha={alpha}"):
        READINGS[reading](NoiseSchedule(), alpha)
    with pytest.raises(ValueError, match="tau=0"):
        Comparison(NoiseSchedule(), 0.5, tau=0)
