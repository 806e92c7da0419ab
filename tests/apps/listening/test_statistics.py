"""Intervals and tests of judgements against known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from pn_diffusion_plugin.apps.listening.statistics import crossed_bootstrap, holm, paired_test, sign_flip_test
from pn_diffusion_plugin.metrics.statistics import bootstrap


def test_the_same_answers_leave_no_doubt() -> None:
    interval = crossed_bootstrap(np.full((3, 4), 2.0))
    assert interval is not None and (interval.mean, interval.low, interval.high, interval.n) == (2, 2, 2, 12)
    assert crossed_bootstrap(np.full((2, 2), np.nan)) is None


def test_one_listener_is_the_ordinary_bootstrap_over_clips() -> None:
    values = np.random.default_rng(0).normal(size=(1, 40))
    crossed, ordinary = crossed_bootstrap(values, resamples=20000), bootstrap(values[0], resamples=20000)
    assert crossed is not None and ordinary is not None and crossed.mean == pytest.approx(ordinary.mean)
    assert crossed.low == pytest.approx(ordinary.low, abs=0.02)
    assert crossed.high == pytest.approx(ordinary.high, abs=0.02)


def test_listeners_and_clips_both_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    listeners, clips = rng.normal(size=(8, 1)), rng.normal(size=(1, 10))
    both = crossed_bootstrap(listeners + clips, resamples=20000)
    of_listeners = crossed_bootstrap(np.repeat(listeners, 10, axis=1), resamples=20000)
    of_clips = crossed_bootstrap(np.repeat(clips, 8, axis=0), resamples=20000)
    widths = [(i.high - i.low) for i in (both, of_listeners, of_clips) if i is not None]
    assert widths[0] == pytest.approx(np.hypot(widths[1], widths[2]), rel=0.05)  # variances add


def test_unanswered_trials_are_left_out() -> None:
    values = np.array([[1.0, np.nan], [3.0, 5.0]])
    interval = crossed_bootstrap(values)
    assert interval is not None and interval.mean == 3 and interval.n == 3
    assert 1 <= interval.low <= interval.high <= 5


def test_sign_flips_counted_by_hand() -> None:
    assert sign_flip_test([1, 1, 1]) == 2 / 8
    assert sign_flip_test([1, 2, -3]) == 1.0
    assert sign_flip_test([3, 2, -1]) == 4 / 8  # |sum| >= 4: +++, ++-, and their mirrors
    assert sign_flip_test([0.5, np.nan]) == 1.0 and sign_flip_test([np.nan]) is None


@pytest.mark.parametrize("n, tolerance", [(9, 1e-12), (30, 0.01)])
def test_sign_flips_are_scipys(n: int, tolerance: float) -> None:
    values = np.random.default_rng(n).normal(0.3, 1, n)
    known = permutation_test(
        (values, np.zeros(n)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=20000,
        random_state=1,
    )
    assert sign_flip_test(values) == pytest.approx(known.pvalue, abs=tolerance)


def test_a_paired_test_is_over_listeners_and_over_clips() -> None:
    differences = np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    assert paired_test(differences) == (2 / 4, 2 / 16)
    differences[1] = np.nan
    assert paired_test(differences) == (1.0, 2 / 16)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm(p_values: list[float]) -> None:
    corrected = holm(p_values)
    bonferroni = np.minimum(1, len(p_values) * np.array(p_values))
    assert np.all(np.array(corrected) <= bonferroni + 1e-9) and np.all(
        np.array(corrected) >= np.array(p_values) - 1e-9
    )
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)
    assert corrected[order[0]] == pytest.approx(bonferroni[order[0]])
