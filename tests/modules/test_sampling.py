"""Samplers, guidance and windows, tried with networks that know the answer."""

from __future__ import annotations

import itertools
import typing as tp

import pytest
import torch

from pn_diffusion_plugin.modules.guidance import Guidance, guided
from pn_diffusion_plugin.modules.readings import READINGS
from pn_diffusion_plugin.modules.sampling import (
    SAMPLERS,
    SamplingStep,
    clip_generators,
    sample,
    sampling_timesteps,
)
from pn_diffusion_plugin.modules.schedule import NoiseSchedule
from pn_diffusion_plugin.modules.windows import Denoiser, crossfade_weights, window_starts, windowed

SCHEDULES = {
    "linear-epsilon": NoiseSchedule(),
    "linear-v": NoiseSchedule(prediction="v"),
    "cosine-zero-sample": NoiseSchedule(beta_schedule="cosine", zero_terminal_snr=True, prediction="sample"),
    "cosine-epsilon": NoiseSchedule(beta_schedule="cosine"),
    "cosine-zero-v": NoiseSchedule(beta_schedule="cosine", zero_terminal_snr=True, prediction="v"),
    "linear-zero-v": NoiseSchedule(zero_terminal_snr=True, prediction="v"),
}
SHAPE = (2, 4, 8, 24)


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> NoiseSchedule:
    return SCHEDULES[request.param]


def clean(shape: tp.Sequence[int] = SHAPE) -> torch.Tensor:
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(7))


def oracle(schedule: NoiseSchedule, z0: torch.Tensor, sign: float = 1.0) -> Denoiser:
    """The network that is never wrong: the only eps that turns z0 into z_t."""

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, noise = schedule.signal_and_noise(t, z)
        return sign * schedule.target(z0, (z - signal * z0) / noise, t)

    return denoise


def gaussian(schedule: NoiseSchedule, spread: float, sign: float = 1.0) -> Denoiser:
    """The best network for z0 ~ N(0, spread^2): E[target | z], linear in z."""

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, noise = schedule.signal_and_noise(t, z)
        variance = signal**2 * spread**2 + noise**2
        return sign * schedule.target(signal * spread**2 / variance * z, noise / variance * z, t)

    return denoise


def run(
    denoiser: Denoiser, schedule: NoiseSchedule, shape: tp.Sequence[int] = SHAPE, **kwargs: tp.Any
) -> torch.Tensor:
    return sample(denoiser, schedule, shape, generators=clip_generators(range(shape[0])), **kwargs)


@pytest.mark.parametrize("steps", [2, 7, 30])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_oracle_gives_back_z0(schedule: NoiseSchedule, sampler: str, steps: int) -> None:
    z0 = clean()
    assert torch.allclose(run(oracle(schedule, z0), schedule, sampler=sampler, steps=steps), z0, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["linear-v", "cosine-zero-v", "linear-zero-v"])
def test_oracle_gives_back_z0_in_one_step(name: str, sampler: str) -> None:
    """From pure noise v is -z0; the noise alone would have to be divided by almost nothing."""
    z0 = clean()
    out = run(oracle(SCHEDULES[name], z0), SCHEDULES[name], sampler=sampler, steps=1)
    assert torch.allclose(out, z0, atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["linear-epsilon", "linear-zero-v"])
def test_oracle_gives_back_z0_over_all_timesteps(name: str, sampler: str) -> None:
    """Also where the last timesteps before pure noise hold next to no signal."""
    z0, schedule = clean((1, 2, 4, 6)), SCHEDULES[name]
    out = run(oracle(schedule, z0), schedule, z0.shape, sampler=sampler, steps=1000)
    assert torch.allclose(out, z0, atol=1e-4)


@pytest.mark.parametrize(
    "sampler, eta, steps",
    [("ddim", 0, 100), ("dpm++", 0, 25), ("unipc", 0, 25), ("ddpm", 0, 1000), ("ddim", 1, 1000)],
)
def test_gaussian_data_keep_their_spread(sampler: str, eta: float, steps: int) -> None:
    """With the best network for Gaussian data a sampler must bring pure noise to their very spread."""
    schedule, spread = SCHEDULES["cosine-zero-v"], 0.5

    best = gaussian(schedule, spread)
    out = run(best, schedule, (1, 4, 32, 32), sampler=sampler, steps=steps, eta=eta)
    assert out.std().item() == pytest.approx(spread, rel=0.03)
    assert out.mean().item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("sampler, order", [("ddim", 1), ("dpm++", 2), ("unipc", 2)])
def test_more_steps_come_closer_to_the_exact_solution(
    schedule: NoiseSchedule, sampler: str, order: int
) -> None:
    """Without noise on the way z0 = z_T * spread / std(z_T) for Gaussian data: a known end for each beginning."""
    spread, shape = 0.5, (1, 2, 16, 16)
    z_first = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    abar = schedule.alphas_cumprod[-1]
    exact = z_first * spread / (abar * spread**2 + 1 - abar).sqrt()
    few, some, many = (
        (run(gaussian(schedule, spread), schedule, shape, sampler=sampler, steps=n) - exact).norm()
        / exact.norm()
        for n in (10, 40, 160)
    )
    assert few > 3 * some and few > 8 * many
    assert some < (0.08 if order == 1 else 0.006) and many < (0.02 if order == 1 else 0.0015)


@pytest.mark.parametrize("sampler", ["dpm++", "unipc"])
@pytest.mark.parametrize("name", ["cosine-zero-v", "linear-zero-v"])
def test_pure_noise_does_not_count_as_signal(name: str, sampler: str) -> None:
    """The first step from pure noise is DDIM's: what the network says z0 is, with the noise it began with."""
    schedule, z0 = SCHEDULES[name], clean()
    seen: list[SamplingStep] = []
    run(oracle(schedule, z0), schedule, sampler=sampler, steps=20, callback=seen.append)
    eps, t = seen[0].z, torch.full((2,), seen[1].t)
    assert torch.allclose(seen[0].z0, z0, atol=1e-6)
    assert torch.allclose(seen[1].z, schedule.add_noise(z0, eps, t), atol=1e-3)


def test_latents_are_not_clipped() -> None:
    z0 = 5 * clean()
    for sampler in SAMPLERS:
        assert torch.allclose(
            run(oracle(SCHEDULES["linear-v"], z0), SCHEDULES["linear-v"], sampler=sampler), z0, atol=1e-3
        )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_clip_does_not_depend_on_its_batch(sampler: str) -> None:
    schedule = SCHEDULES["linear-epsilon"]

    def denoiser(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z)

    def generate(seeds: list[int]) -> torch.Tensor:
        generators = clip_generators(seeds)
        shape = (len(seeds), *SHAPE[1:])
        return sample(denoiser, schedule, shape, sampler=sampler, steps=5, eta=0.3, generators=generators)

    together = generate([3, 4, 5])
    for i, seed in enumerate([3, 4, 5]):
        assert torch.equal(together[i], generate([seed])[0])
    assert torch.equal(generate([5, 3])[1], together[0])
    assert not torch.allclose(together[0], together[1])


def test_eta_adds_noise_of_the_clips_own_generator() -> None:
    schedule, shape = SCHEDULES["linear-epsilon"], (1, 1, 4, 4)
    plain, noisy, again = (
        run(gaussian(schedule, 1.0), schedule, shape, steps=10, eta=e) for e in (0.0, 1.0, 1.0)
    )
    assert torch.equal(noisy, again) and not torch.allclose(plain, noisy, atol=0.1)


def test_callback_sees_every_step() -> None:
    schedule, z0 = SCHEDULES["cosine-zero-v"], clean()
    seen: list[SamplingStep] = []
    run(oracle(schedule, z0), schedule, steps=4, callback=seen.append)
    assert [step.t for step in seen] == [999, 749, 499, 249]
    assert [step.index for step in seen] == [0, 1, 2, 3]
    assert all(torch.allclose(step.z0, z0, atol=1e-4) for step in seen)


def test_sampling_timesteps() -> None:
    for steps in range(1, 1001):
        trailing = sampling_timesteps(1000, steps)
        assert len(trailing) == steps and trailing[0] == 999 and trailing[-1] >= 0
        assert all(a > b for a, b in itertools.pairwise(trailing))
    assert sampling_timesteps(1000, 1000) == sampling_timesteps(1000, 1000, "leading")
    assert sampling_timesteps(1000, 50, "leading")[-1] == 0


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"sampler": "euler"}, "euler"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 1001}, "steps=1001"),
        ({"spacing": "leading"}, "trailing"),
        ({"spacing": "even"}, "even"),
    ],
)
def test_a_wrong_argument_is_named(kwargs: dict[str, tp.Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(oracle(SCHEDULES["cosine-zero-v"], clean()), SCHEDULES["cosine-zero-v"], **kwargs)
    with pytest.raises(ValueError, match="1 generators for 2 clips"):
        sample(lambda z, t: z, SCHEDULES["linear-v"], SHAPE, generators=clip_generators([0]))


# ---- guidance


def guided_by(positive: Denoiser, negative: Denoiser, none: Denoiser, **weights: tp.Any) -> Denoiser:
    """Guidance of three denoisers, one call per branch."""
    guidance = Guidance(**weights)
    denoisers = {"positive": positive, "negative": negative, "none": none}
    return guided(
        lambda z, t: torch.stack([denoisers[name](z, t) for name in guidance.at(t).branches]), guidance
    )


@pytest.mark.parametrize("negative_latent, sign", [("mirrored", 1.0), ("shared", -1.0)])
@pytest.mark.parametrize("weights", [{"w": 1.5}, {"g": 3.0, "h": 1.0}, {"g": 3.0}, {"g": 1.0, "h": 0.5}, {}])
def test_guidance_keeps_an_oracle_exact(
    schedule: NoiseSchedule, negative_latent: str, sign: float, weights: dict[str, tp.Any]
) -> None:
    """All branches know the answer, each in the sign it was trained with, so guidance must change nothing."""
    z0 = clean()
    branches = oracle(schedule, z0), oracle(schedule, z0, sign), oracle(schedule, z0)
    for sampler in SAMPLERS:
        denoiser = guided_by(*branches, negative_latent=negative_latent, **weights)
        assert torch.allclose(run(denoiser, schedule, sampler=sampler, steps=10), z0, atol=1e-3)


@pytest.mark.parametrize("negative_latent, sign", [("mirrored", -1.0), ("shared", 1.0)])
@pytest.mark.parametrize("weights", [{"w": 0.5}, {"g": 2.0, "h": 0.5}])
def test_the_wrong_sign_breaks_an_oracle(
    schedule: NoiseSchedule, negative_latent: str, sign: float, weights: dict[str, tp.Any]
) -> None:
    """It breaks the scale of the noise at every step, and so the spread of what is sampled."""
    z0, eps, t = clean(), clean().flip(0), torch.tensor([300, 600])
    z_t, target = schedule.add_noise(z0, eps, t), schedule.target(z0, eps, t)
    branches = oracle(schedule, z0), oracle(schedule, z0, sign), oracle(schedule, z0)
    out = guided_by(*branches, negative_latent=negative_latent, **weights)(z_t, t)
    assert (out - target).std() > 0.5 * target.std()

    linear = gaussian(schedule, 0.5), gaussian(schedule, 0.5, sign), gaussian(schedule, 0.5)
    wrong = guided_by(*linear, negative_latent=negative_latent, **weights)
    right = guided_by(*linear, negative_latent="shared" if sign < 0 else "mirrored", **weights)
    assert run(right, schedule, (1, 4, 32, 32)).std().item() == pytest.approx(0.5, rel=0.1)
    assert run(wrong, schedule, (1, 4, 32, 32)).std().item() != pytest.approx(0.5, rel=0.3)


@pytest.mark.parametrize("negative_latent", ["mirrored", "shared"])
@pytest.mark.parametrize(
    "weights",
    [{}, {"w": 1.5}, {"g": 3.0, "h": 1.0}, {"g": 3.0}, {"g": 2.0, "h": 1.0}, {"g": 3.0, "rescale": 0.6}],
)
def test_branches_evaluated_together_are_the_branches(
    negative_latent: str, weights: dict[str, float]
) -> None:
    """Also where a denoiser of windows gives them all at once."""
    denoisers = {name: constant_like(i) for i, name in enumerate(("positive", "negative", "none"))}
    guidance = Guidance(negative_latent=negative_latent, **weights)

    def together(z: torch.Tensor, t: torch.Tensor, starts: list[int]) -> torch.Tensor:
        return torch.stack([denoisers[name](z, t) for name in guidance.branches])

    z, t = clean((2, 4, 8, 40)), torch.tensor([200, 800])
    apart = guided_by(*denoisers.values(), negative_latent=negative_latent, **weights)(z, t)
    for per_call in (1, 2, None):
        windows = windowed(together, 16, 8, windows_per_call=per_call)
        assert torch.allclose(guided(windows, guidance)(z, t), apart, atol=1e-5)


def constant_like(number: int) -> Denoiser:
    """A denoiser of its own for each number."""
    return lambda z, t: torch.sin((number + 1) * z) + number * t[:, None, None, None] / 1000


def constant(value: float) -> Denoiser:
    return lambda z, t: torch.full_like(z, value)


def test_guidance_formulas() -> None:
    z, t = torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.long)
    p, n, o = 2.0, 0.5, 1.0
    branches = constant(p), constant(n), constant(o)
    assert guided_by(*branches)(z, t).mean() == p
    assert guided_by(*branches, w=2.0)(z, t).mean() == p + 2 * (p - n)
    assert guided_by(*branches, w=2.0, negative_latent="shared")(z, t).mean() == p + 2 * (p + n)
    assert guided_by(*branches, g=3.0, h=0.5)(z, t).mean() == o + 3 * (p - o) - 0.5 * (n - o)
    shared = guided_by(*branches, g=3.0, h=0.5, negative_latent="shared")
    assert shared(z, t).mean() == o + 3 * (p - o) - 0.5 * (-n - o)


def test_guidance_means_the_same_for_every_prediction() -> None:
    """P + w (P - N') of v is the v of P + w (P - N') of noise: the weights sum to 1."""
    schedule, t = NoiseSchedule(prediction="v"), torch.tensor([300])
    z, p, n, o = (torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(i)) for i in range(4))
    v = guided_by(lambda z, t: p, lambda z, t: n, lambda z, t: o, g=2.5, h=0.7)(z, t)
    noises = [schedule.to_eps(x, z, t) for x in (p, n, o)]
    eps = noises[2] + 2.5 * (noises[0] - noises[2]) - 0.7 * (noises[1] - noises[2])
    assert torch.allclose(schedule.to_eps(v, z, t), eps, atol=1e-5)


def test_unused_branches_are_not_evaluated() -> None:
    def never(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        raise AssertionError("evaluated")

    z, t = torch.randn(1, 1, 2, 2), torch.zeros(1, dtype=torch.long)
    guided_by(constant(1.0), never, never)(z, t)
    guided_by(constant(1.0), constant(1.0), never, w=1.0)(z, t)
    guided_by(constant(1.0), never, constant(1.0), g=2.0)(z, t)
    # Here O has the weight 1 - g + h = 0.
    guided_by(constant(1.0), constant(1.0), never, g=2.0, h=1.0)(z, t)


def test_rescaled_guidance_has_the_contrast_of_the_positive_branch() -> None:
    z, t = clean(), torch.zeros(2, dtype=torch.long)
    branches = (lambda z, t: z), constant(0.0), (lambda z, t: 0.1 * z)
    plain, rescaled = guided_by(*branches, g=4.0)(z, t), guided_by(*branches, g=4.0, rescale=1.0)(z, t)
    assert plain.std() > 2 * z.std()
    assert torch.allclose(rescaled.std((1, 2, 3)), z.std((1, 2, 3)), rtol=1e-4)
    assert torch.allclose(guided_by(*branches, g=4.0, rescale=0.5)(z, t), (plain + rescaled) / 2, atol=1e-5)


@pytest.mark.parametrize(
    "weights",
    [{"w": -1.0}, {"h": -1.0}, {"w": 1.0, "negative_latent": "reversed"}, {"g": 2.0, "rescale": 1.5}],
)
def test_guidance_outside_its_range_is_refused(weights: dict[str, tp.Any]) -> None:
    with pytest.raises(ValueError, match=str(list(weights.values())[-1])):
        Guidance(**weights)


@pytest.mark.parametrize("negative", [{"w": 0.7}, {"h": 0.7}, {"w": 0.5, "h": 0.3}])
def test_guidance_does_not_jump_where_g_is_one(negative: dict[str, float]) -> None:
    z, t = clean(), torch.tensor([200, 800])
    branches = [constant_like(number) for number in range(3)]
    at_one = guided_by(*branches, g=1.0, **negative)(z, t)
    beside = guided_by(*branches, g=1.0 + 1e-6, **negative)(z, t)
    assert torch.allclose(at_one, beside, atol=1e-4)


@pytest.mark.parametrize("reading", READINGS)
def test_the_weights_of_all_branches_sum_to_one(reading: str) -> None:
    value = constant(2.0)
    negative = constant(float(READINGS[reading].as_estimate(torch.tensor(2.0))))
    out = guided_by(value, negative, value, g=2.5, h=0.7, w=0.4, negative_latent=reading)
    assert torch.allclose(out(torch.zeros(1, 1, 2, 2), torch.zeros(1)), torch.tensor(2.0))


# ---- windows


@pytest.mark.parametrize("window, hop", [(16, 8), (16, 16), (16, 5), (16, 15), (100, 50)])
@pytest.mark.parametrize("length", [5, 16, 17, 24, 47, 100])
def test_windows_cover_everything_once(length: int, window: int, hop: int) -> None:
    starts = window_starts(length, window, hop)
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert starts[-1] + window == max(length, window)
    assert all(b - a <= hop for a, b in itertools.pairwise(starts))
    total = torch.zeros(max(length, window))
    for start, weight in zip(starts, crossfade_weights(starts, window), strict=True):
        assert (weight >= 0).all()
        total[start : start + window] += weight
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


def test_crossfade_is_a_ramp() -> None:
    weights = crossfade_weights([0, 12], 16)
    assert torch.allclose(weights[0, 12:], torch.tensor([0.875, 0.625, 0.375, 0.125]))
    assert torch.allclose(weights[1, :4], torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert (weights[0, :12] == 1).all() and (weights[1, 4:] == 1).all()


@pytest.mark.parametrize("hop", [0, 17])
def test_windows_that_leave_columns_out_are_refused(hop: int) -> None:
    with pytest.raises(ValueError, match=f"hop={hop}"):
        window_starts(100, 16, hop)


@pytest.mark.parametrize("windows_per_call", [None, 1, 3])
@pytest.mark.parametrize("length", [10, 16, 24, 61])
def test_windowed_oracle_is_the_oracle(
    schedule: NoiseSchedule, length: int, windows_per_call: int | None
) -> None:
    z0 = clean((2, 4, 8, length))
    calls = []

    def denoise_window(z: torch.Tensor, t: torch.Tensor, starts: list[int]) -> torch.Tensor:
        calls.append(len(starts))
        assert len(z) == len(t) == 2 * len(starts)
        return oracle(schedule, torch.cat([z0[..., s : s + 16] for s in starts]))(z, t)

    denoiser = windowed(denoise_window, 16, 8, windows_per_call=windows_per_call)
    z, t = clean((2, 4, 8, length)).flip(0), torch.tensor([200, 800])
    assert torch.allclose(denoiser(z, t), oracle(schedule, z0)(z, t), atol=1e-4)
    assert max(calls) <= (windows_per_call or 99)
    assert torch.allclose(run(denoiser, schedule, z0.shape, steps=10), z0, atol=1e-4)


def test_windows_that_disagree_are_blended_without_a_seam() -> None:
    """Each window says its own number: the result goes from one to the next in small steps."""

    def denoise_window(z: torch.Tensor, t: torch.Tensor, starts: list[int]) -> torch.Tensor:
        levels = torch.tensor(starts, dtype=z.dtype).repeat_interleave(len(z) // len(starts))
        return torch.zeros_like(z) + levels[:, None, None, None] / 8

    out = windowed(denoise_window, 16, 8)(torch.zeros(2, 1, 1, 64), torch.zeros(2, dtype=torch.long))
    assert out[0, 0, 0, 0] == 0 and out[0, 0, 0, -1] == 6
    assert (out.diff(dim=-1) >= -1e-6).all() and out.diff(dim=-1).max() < 0.2
