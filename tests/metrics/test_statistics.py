"""The bootstrap covers, is seeded, and leaves out what is not defined."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.metrics import statistics


def test_coverage_is_near_95_percent() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        interval = statistics.bootstrap(rng.normal(0.5, 0.2, 32), resamples=500)
        hits += interval.low <= 0.5 <= interval.high
    assert 0.90 <= hits / 400 <= 0.98


def test_width_agrees_with_theory() -> None:
    values = np.random.default_rng(1).normal(0, 1, 400)
    interval = statistics.bootstrap(values)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
    assert interval.n == 400


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(2).random(20)
    assert statistics.bootstrap(values, seed=1) == statistics.bootstrap(values, seed=1)
    assert statistics.bootstrap(values, seed=1) != statistics.bootstrap(values, seed=2)


def test_undefined_clips_are_left_out() -> None:
    assert statistics.bootstrap([0.5, np.nan, 0.5]).as_dict() == {
        "mean": 0.5,
        "low": 0.5,
        "high": 0.5,
        "n": 2,
    }
    assert statistics.bootstrap([np.nan]) is None
    assert statistics.bootstrap([]) is None


def test_one_clip_has_no_width() -> None:
    assert statistics.bootstrap([0.3]).as_dict() == {"mean": 0.3, "low": 0.3, "high": 0.3, "n": 1}
    assert statistics.bootstrap([0.3], statistics.standard_deviation).mean == 0


def test_standard_deviation_has_ddof_one() -> None:
    assert statistics.bootstrap([0.0, 1.0], statistics.standard_deviation).mean == pytest.approx(np.sqrt(0.5))


def test_f1_is_of_the_means_not_the_mean_of_f1() -> None:
    interval = statistics.bootstrap([[1.0, 0.0], [0.0, 1.0]], statistics.harmonic_mean_of_means)
    assert interval.mean == pytest.approx(0.5)  # the mean of F1 would be 0
    assert statistics.bootstrap(np.zeros((3, 2)), statistics.harmonic_mean_of_means).mean == 0


def test_paired_difference_is_sharper() -> None:
    rng = np.random.default_rng(3)
    hardness = rng.normal(0, 1, 40)
    a, b = hardness + 0.2 + rng.normal(0, 0.1, 40), hardness
    pair = statistics.paired_difference(a, b)
    alone = statistics.bootstrap(a)
    assert pair.low > 0 and pair.mean == pytest.approx((a - b).mean())
    assert pair.high - pair.low < 0.3 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="same clips"):
        statistics.paired_difference(a, b[:3])
