"""Time left: exact at a constant speed, estimated from earlier jobs, never negative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pn_diffusion_plugin.apps.serve.progress import INITIAL_TIMINGS, Progress, ProgressTracker, StageTimings


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tracker(timings: StageTimings, units: dict[str, float]) -> tuple[ProgressTracker, Clock, list[Progress]]:
    clock, reported = Clock(), []
    return ProgressTracker(timings, units, reported.append, clock), clock, reported


UNITS = {"extract": 8.0, "denoise": 192.0, "decode": 8.0, "write": 8.0}


def test_an_even_job_is_forereported_exactly() -> None:
    timings = StageTimings({"extract": 1.0, "denoise": 0.1, "decode": 0.5, "write": 0.25})
    total = 8 + 19.2 + 4 + 2
    one, clock, reported = tracker(timings, UNITS)
    for second in range(9):
        clock.now = 100.0 + second
        one.update("extract", second, 8)
    assert [p.left for p in reported] == pytest.approx([total - second for second in range(9)])
    assert [p.share for p in reported] == pytest.approx([second / total for second in range(9)])


def test_the_first_measurement_replaces_the_initial_value_and_later_ones_are_averaged() -> None:
    timings = StageTimings()
    for seconds, expected in ((16.0, 2.0), (32.0, 3.0)):
        one, clock, reported = tracker(timings, UNITS)
        one.update("extract", 0, 8)
        clock.now += seconds
        one.update("denoise", 0, 24)
        assert timings.seconds["extract"] == pytest.approx(expected)
    assert timings.seconds["decode"] == INITIAL_TIMINGS["decode"]
    assert reported[0].left == pytest.approx(
        2.0 * 8 + sum(INITIAL_TIMINGS[name] * UNITS[name] for name in ("denoise", "decode", "write"))
    )


def test_a_stage_without_work_takes_no_time_and_is_not_measured() -> None:
    timings = StageTimings()
    one, clock, reported = tracker(timings, {**UNITS, "extract": 0.0})
    one.update("extract", 0, 0)
    clock.now += 5
    one.update("denoise", 0, 24)
    one.finish()
    assert timings.seconds["extract"] == INITIAL_TIMINGS["extract"]
    assert reported[0].left == pytest.approx(reported[1].left)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=20), st.lists(st.floats(0, 50), min_size=20, max_size=20)
)
def test_share_and_time_left_are_sane_whatever_happens(done: list[float], steps: list[float]) -> None:
    one, clock, reported = tracker(StageTimings(), UNITS)
    names = sorted(UNITS, key=list(UNITS).index)
    for number, value in enumerate(done):
        one.update(names[min(number // 5, 3)], value, 60)
        clock.now += steps[number]
    assert all(0 <= p.share <= 1 and p.left >= 0 for p in reported)


def test_a_report_may_stop_the_job() -> None:
    def stop(progress: Progress) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError):
        ProgressTracker(StageTimings(), UNITS, stop).update("extract", 0, 8)


def test_a_skipped_stage_is_not_measured() -> None:
    timings = StageTimings()
    one, clock, reported = tracker(timings, UNITS)
    one.update("denoise", 0, 24)  # the features are cached
    clock.now += 19.2
    one.finish()
    assert timings.seconds == {**INITIAL_TIMINGS, "denoise": pytest.approx(0.1)}
    assert reported[0].share == 0
