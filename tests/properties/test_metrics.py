"""What every score must keep to, whatever the events and clips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pn_diffusion_plugin.metrics.beats import (
    beat_f_measure,
    event_bins,
    loris_scores,
    onset_f_measure,
    tempo,
    tempo_error,
)
from pn_diffusion_plugin.metrics.frechet import frechet_distance
from pn_diffusion_plugin.metrics.statistics import harmonic_mean_of_means

# Sixteenths of a second: sums and differences are exact, so a shift changes no distance.
TIMES = st.lists(st.integers(0, 20 * 16), min_size=1, max_size=40, unique=True).map(
    lambda ticks: np.sort(np.array(ticks)) / 16
)


@given(TIMES, TIMES, st.integers(0, 64))
def test_f_measures_are_bounded_symmetric_and_know_no_beginning(
    a: np.ndarray, b: np.ndarray, ticks: int
) -> None:
    for score in (beat_f_measure, onset_f_measure):
        value = score(a, b)
        assert 0 <= value <= 1
        assert score(b, a) == pytest.approx(value)
        assert score(a + ticks / 16, b + ticks / 16) == pytest.approx(value)
        assert score(a, a) == 1


@given(TIMES, TIMES, st.floats(0.01, 0.3), st.floats(0.01, 0.3))
def test_a_wider_window_finds_no_less(a: np.ndarray, b: np.ndarray, one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    assert beat_f_measure(a, b, narrow) <= beat_f_measure(a, b, wide) + 1e-12


@given(st.permutations(list(range(12))), TIMES)
def test_the_order_of_events_does_not_matter(order: list[int], b: np.ndarray) -> None:
    a = np.arange(12) * 0.5
    assert beat_f_measure(a[order], b) == beat_f_measure(a, b)
    assert tempo(a[order]) == tempo(a) == 120


@given(TIMES, TIMES)
def test_scores_of_bins_are_shares_and_swap_with_their_arguments(a: np.ndarray, b: np.ndarray) -> None:
    first, second = (event_bins(times, 21) for times in (a, b))
    coverage, hits = loris_scores(first, second)
    assert 0 <= coverage <= 1 and 0 <= hits <= 1
    assert loris_scores(second, first) == (hits, coverage)
    assert (
        min(coverage, hits) - 1e-12
        <= float(harmonic_mean_of_means(np.array([[coverage, hits]])))
        <= max(coverage, hits) + 1e-12
    )


@given(TIMES, TIMES, st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_tempo_errors_are_relative(a: np.ndarray, b: np.ndarray, faster: float) -> None:
    error, octave = tempo_error(a, b)
    assume(not math.isnan(error))
    assert error >= 0 and octave in (0, 1)
    assert tempo_error(a * faster, b * faster) == (pytest.approx(error, abs=1e-9), octave)


@st.composite
def samples(draw: st.DrawFn) -> np.ndarray:
    rows, columns = draw(st.integers(2, 30)), 4
    return np.random.default_rng(draw(st.integers(0, 1000))).normal(size=(rows, columns)) * draw(
        st.floats(0.1, 5)
    )


@given(samples(), samples(), st.integers(0, 1000))
def test_the_frechet_distance_is_a_squared_distance(a: np.ndarray, b: np.ndarray, seed: int) -> None:
    """Not negative, 0 to itself, symmetric, the same for shuffled rows and after a turn or shift of the space."""
    distance = frechet_distance(a, b)
    size = 1 + np.abs(a).max() ** 2 + np.abs(b).max() ** 2
    assert distance >= -1e-9 * size
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6 * size)
    assert frechet_distance(b, a) == pytest.approx(distance, abs=1e-6 * size)
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    shift = rng.normal(size=4)
    assert frechet_distance(rng.permutation(a), b) == pytest.approx(distance, abs=1e-6 * size)
    assert frechet_distance(a @ turn + shift, b @ turn + shift) == pytest.approx(distance, abs=1e-6 * size)
