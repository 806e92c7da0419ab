"""Timing of synthetic clips: beats on one grid, swing, sections, modes, fills and pauses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic import mini
from pn_diffusion_plugin.data.corpora.synthetic.timing import Mode, Section, Timing, make_timing, swung

SECONDS = 7.68
makers = pytest.mark.parametrize("make", [make_timing, mini.make_timing], ids=["generated", "mini"])


def timings(make: Callable[..., Timing], bpm: float, count: int = 40) -> list[Timing]:
    return [make(np.random.default_rng(seed), SECONDS, bpm) for seed in range(count)]


def test_swing_delays_the_second_of_two_and_nothing_else() -> None:
    assert [swung(k / 4, 0.5, 4) for k in range(8)] == [k / 4 for k in range(8)]
    assert swung(0.5, 2 / 3, 2) == pytest.approx(2 / 3)
    assert swung(0.75, 2 / 3, 2) == pytest.approx(5 / 6), "what lies between is stretched"
    assert [swung(float(k), 0.66, 2) for k in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert swung(0.25, 0.6, 4) == pytest.approx(0.3) and swung(0.5, 0.6, 4) == 0.5
    even, late = (make_timing(np.random.default_rng(5), 4.0, 100.0, swing, 2) for swing in (0.5, 0.66))
    np.testing.assert_array_equal(even.beats(), late.beats())
    np.testing.assert_allclose([late.time(bar, 0.5) - even.time(bar, 0.5) for bar in even.bars], 0.16 * 0.6)


@makers
@pytest.mark.parametrize("bpm", [75.0, 120.0, 179.5])
def test_beats_lie_on_one_grid_and_not_in_pauses(make: Callable[..., Timing], bpm: float) -> None:
    period = 60.0 / bpm
    for timing in timings(make, bpm):
        beats = timing.beats()
        steps = np.diff(beats) / period
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        assert beats.min() >= 0 and beats.max() < SECONDS
        assert np.isin(timing.accents(), beats).all()
        silent = sum(end - start for start, end in timing.pauses())
        assert len(beats) * period + silent == pytest.approx(SECONDS, abs=2 * period)
        for start, end in timing.pauses():
            assert not ((beats >= start - 1e-9) & (beats < end - 1e-9)).any()


@makers
def test_clips_have_all_modes_and_pauses(make: Callable[..., Timing]) -> None:
    bars = [bar for bpm in (80.0, 124.0, 170.0) for timing in timings(make, bpm) for bar in timing.bars]
    assert {bar.mode for bar in bars} == set(Mode)
    assert {2, 3, 4} == {bar.still_from for bar in bars}
    assert all(bar.fill_from == 4 or bar.still_from == 4 for bar in bars), "no fill within a pause"
    if make is make_timing:
        assert {bar.section for bar in bars} == set(Section)
        assert {bar.fill_from for bar in bars} == {2, 3, 4}


@makers
@pytest.mark.parametrize("bpm", [75.0, 101.0, 128.0, 179.0])
def test_moves_are_neither_too_fast_nor_too_slow_for_a_dancer(
    make: Callable[..., Timing], bpm: float
) -> None:
    for timing in timings(make, bpm, 20):
        arrivals = np.array([hit.time for hit in timing.hits if not hit.passing and not hit.still])
        assert np.diff(arrivals).min() > 0.2
        assert max(60.0 / bpm, np.median(np.diff(arrivals))) < 1.25


@makers
def test_a_passing_beat_lies_within_a_move_that_arrives(make: Callable[..., Timing]) -> None:
    seen = 0
    for timing in timings(make, 128.0):
        for hit, after in zip(timing.hits, timing.hits[1:], strict=False):
            if hit.passing:
                seen += 1
                assert not after.passing and not after.still and hit.bar.mode is Mode.HALF
    assert seen > 20


@makers
def test_the_clip_starts_anywhere_in_a_bar(make: Callable[..., Timing]) -> None:
    starts = [timing.bars[2].start % (4 * timing.period) for timing in timings(make, 100.0, 200)]
    assert np.histogram(starts, bins=4, range=(0, 2.4))[0].min() > 30
