"""Kernel distance of sets of clips."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.metrics.frechet import MIN_CLIPS
from pn_diffusion_plugin.metrics.kernel_distance import SCALE, kernel_clips


def clips(mean: float, seed: int, count: int = 20) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(mean, 1, (count, 3, 5)))


def test_equal_distributions_have_no_distance_and_it_grows() -> None:
    same = kernel_clips(clips(0, 1), clips(0, 2))
    assert same["low"] < 0 < same["high"] and same["n"] == 20
    distances = [kernel_clips(clips(mean, 1), clips(0, 2))["mean"] for mean in (0.3, 0.7, 2.0)]
    assert distances == sorted(distances) and distances[0] > same["mean"]


def test_points_far_apart_have_the_greatest_distance() -> None:
    """Kernels within the sets are 1, between them 0."""
    reference = [np.array([[0.0], [1e-3 * i]]) for i in range(10)]
    far = [np.array([[1e6]])] * 10
    within = np.array(
        [[np.mean(np.exp(-((a - b.T) ** 2) / (2 * 1e-3**2))) for b in reference] for a in reference]
    )
    assert within.max() <= 1
    assert kernel_clips(far, reference)["mean"] > SCALE
    assert kernel_clips(far, reference)["mean"] <= 2 * SCALE


def test_the_estimate_is_unbiased_for_few_clips() -> None:
    means = [kernel_clips(clips(0, 2 * i, 8), clips(0, 2 * i + 1, 8), resamples=2)["mean"] for i in range(60)]
    error = np.std(means) / len(means) ** 0.5
    assert abs(np.mean(means)) < 3 * error + 0.1


def test_too_few_clips_and_unpaired_ones() -> None:
    assert "at least" in kernel_clips(clips(0, 1, MIN_CLIPS - 1), clips(0, 2, MIN_CLIPS - 1))["not_run"]
    with pytest.raises(ValueError, match="no pairs"):
        kernel_clips(clips(0, 1, 9), clips(0, 2, 8))
