"""Windows cover every column once in all, and schedules are what their equations say, at every size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pn_diffusion_plugin.modules.schedule import NoiseSchedule
from pn_diffusion_plugin.modules.windows import crossfade_weights, window_starts, windowed

WINDOWS = st.integers(1, 60).flatmap(
    lambda window: st.tuples(st.integers(1, 400), st.just(window), st.integers(1, window))
)


@given(WINDOWS)
def test_windows_cover_everything_and_weigh_one(size: tuple[int, int, int]) -> None:
    length, window, hop = size
    starts = window_starts(length, window, hop)
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert starts[-1] == max(0, length - window)
    assert all(0 < later - earlier <= hop for earlier, later in zip(starts, starts[1:], strict=False))
    weights, total = crossfade_weights(starts, window), torch.zeros(starts[-1] + window)
    assert (weights >= 0).all()
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + window] += weight
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)


@given(WINDOWS, st.integers(1, 3), st.sampled_from([None, 1, 3]))
@settings(max_examples=50)
def test_what_knows_no_place_is_the_same_in_windows(
    size: tuple[int, int, int], clips: int, at_once: int | None
) -> None:
    length, window, hop = size
    z = torch.randn(clips, 1, 2, length, generator=torch.Generator().manual_seed(length))
    t = torch.arange(clips)

    def network(z: torch.Tensor, t: torch.Tensor, _: list[int]) -> torch.Tensor:
        return 2 * z + t[:, None, None, None]

    whole = windowed(network, window, hop, windows_per_call=at_once)(z, t)
    assert torch.allclose(whole, network(z, t, []), atol=1e-4)


@given(
    st.integers(10, 1000),
    st.sampled_from(["linear", "scaled_linear", "cosine"]),
    st.booleans(),
    st.integers(0, 99),
)
@settings(max_examples=40)
def test_schedules_only_add_noise_and_predictions_are_inverses(
    steps: int, beta_schedule: str, to_the_end: bool, seed: int
) -> None:
    prediction = "v" if to_the_end else "epsilon"
    schedule = NoiseSchedule(steps, beta_schedule, zero_terminal_snr=to_the_end, prediction=prediction)
    abar = schedule.alphas_cumprod
    assert ((0 <= abar) & (abar <= 1)).all() and (abar.diff() <= 0).all()
    assert not to_the_end or abar[-1] == pytest.approx(0, abs=1e-7)
    generator = torch.Generator().manual_seed(seed)
    t = schedule.sample_timesteps(6, generator=generator)
    assert ((0 <= t) & (t < steps)).all()
    z0, eps = torch.randn(2, 6, 1, 2, 3, generator=generator)
    signal, noise = schedule.signal_and_noise(t, z0)
    assert torch.allclose(signal**2 + noise**2, torch.ones_like(signal), atol=1e-5)
    z_t, out = schedule.add_noise(z0, eps, t), schedule.target(z0, eps, t)
    if prediction == "v":
        assert torch.allclose(schedule.to_z0(out, z_t, t), z0, atol=1e-4)
    assert torch.allclose(schedule.to_eps(out, z_t, t), eps, atol=1e-4)
    again = NoiseSchedule(**schedule.config())
    assert torch.equal(again.alphas_cumprod, abar)
