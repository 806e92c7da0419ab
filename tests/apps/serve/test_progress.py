"""Time left: exact where the pace is even, learned from earlier jobs, never negative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pn_diffusion_plugin.apps.serve.progress import FIRST_GUESS, Course, Pace, Progress


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def course(pace: Pace, units: dict[str, float]) -> tuple[Course, Clock, list[Progress]]:
    clock, told = Clock(), []
    return Course(pace, units, told.append, clock), clock, told


UNITS = {"watching": 8.0, "denoising": 192.0, "sounding": 8.0, "finishing": 8.0}


def test_an_even_job_is_foretold_exactly() -> None:
    pace = Pace({"watching": 1.0, "denoising": 0.1, "sounding": 0.5, "finishing": 0.25})
    total = 8 + 19.2 + 4 + 2
    one, clock, told = course(pace, UNITS)
    for second in range(9):
        clock.now = 100.0 + second
        one.at("watching", second, 8)
    assert [p.left for p in told] == pytest.approx([total - second for second in range(9)])
    assert [p.share for p in told] == pytest.approx([second / total for second in range(9)])


def test_what_was_measured_replaces_the_guess_and_is_averaged_later() -> None:
    pace = Pace()
    for seconds, expected in ((16.0, 2.0), (32.0, 3.0)):
        one, clock, told = course(pace, UNITS)
        one.at("watching", 0, 8)
        clock.now += seconds
        one.at("denoising", 0, 24)
        assert pace.seconds["watching"] == pytest.approx(expected)
    assert pace.seconds["sounding"] == FIRST_GUESS["sounding"]
    assert told[0].left == pytest.approx(
        2.0 * 8 + sum(FIRST_GUESS[name] * UNITS[name] for name in ("denoising", "sounding", "finishing"))
    )


def test_a_stage_without_work_costs_nothing_and_teaches_nothing() -> None:
    pace = Pace()
    one, clock, told = course(pace, {**UNITS, "watching": 0.0})
    one.at("watching", 0, 0)
    clock.now += 5
    one.at("denoising", 0, 24)
    one.finish()
    assert pace.seconds["watching"] == FIRST_GUESS["watching"]
    assert told[0].left == pytest.approx(told[1].left)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=20), st.lists(st.floats(0, 50), min_size=20, max_size=20)
)
def test_share_and_time_left_are_sane_whatever_happens(done: list[float], steps: list[float]) -> None:
    one, clock, told = course(Pace(), UNITS)
    names = sorted(UNITS, key=list(UNITS).index)
    for number, value in enumerate(done):
        one.at(names[min(number // 5, 3)], value, 60)
        clock.now += steps[number]
    assert all(0 <= p.share <= 1 and p.left >= 0 for p in told)


def test_telling_may_end_the_job() -> None:
    def tell(progress: Progress) -> None:
        raise KeyError("nobody waits")

    with pytest.raises(KeyError):
        Course(Pace(), UNITS, tell).at("watching", 0, 8)
