"""Contenders in processes of their own: turns, ratios within a round, and what is told when one fails."""

from __future__ import annotations

import multiprocessing

import pytest
from simple_subject import Simple

from benchmarks.bench_contenders import Contender, Measured, alternate


def test_they_take_turns_and_are_compared_within_a_round() -> None:
    """Round n takes n times as long (the warm-up is the first), yet the ratio is the same in every one.

    With two processes at once, each of the others is compared with the rounds of the first beside it.
    """
    said: list[str] = []
    seconds = {"slow": 8.0, "fast": 2.0, "late": 1.0}
    contenders = [Contender(name, Simple, {"seconds": s}) for name, s in seconds.items()]
    slow, fast, late = alternate(contenders, rounds=3, threads=1, at_once=2, say=said.append)
    turns = [line.split(",")[0] for line in said if "round" in line]
    assert turns == ["slow", "fast"] * 3 + ["slow", "late"] * 3
    result = fast.as_dict()
    assert result["seconds"] == 6.0 and result["stages"] == {"first": 1.5, "second": 4.5}
    assert result["ratio"] == {"median": 0.25, "low": 0.25, "high": 0.25}
    assert late.pairs == [(2.0, 40.0), (3.0, 48.0), (4.0, 56.0)]
    assert slow.as_dict()["ratio"]["median"] == 1
    assert result["counts"] == {"flops": 7, "parts": {"U-Net": {"calls": 1, "rows": 2, "flops": 6}}}
    assert fast.peak_mb > 50  # it has imported torch


@pytest.mark.parametrize(("fails", "told"), [("raise", "no such weights"), ("exit", "code 9")])
def test_who_failed_is_told(fails: str, told: str) -> None:
    with pytest.raises(RuntimeError, match=told) as caught:
        alternate([Contender("broken", Simple, {"seconds": 1.0, "fails": fails})], rounds=1, threads=1)
    assert str(caught.value).startswith("broken")
    assert multiprocessing.active_children() == []


def test_a_spread_of_ratios() -> None:
    rounds = [{"work": s} for s in (1.0, 2.0, 4.0)]
    measured = Measured("x", rounds, [(1.0, 10.0), (2.0, 10.0), (4.0, 10.0)])
    assert measured.as_dict()["ratio"] == {"median": 0.2, "low": 0.1, "high": 0.4}
