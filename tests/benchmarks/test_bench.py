"""Contenders in processes of their own, their ratios within a round, and the page of results."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import torch
from simple_subject import Simple

from benchmarks.bench import machine, page
from benchmarks.contenders import Contender, alternate


def test_contenders_take_turns_and_are_compared_within_a_round() -> None:
    """The reference's round n takes n times as long (the warm-up is the first), and so do the others': while they run
    beside each other the ratio is the same in every round."""
    seconds = {"slow": 8.0, "fast": 2.0, "late": 1.0}
    contenders = [Contender(name, Simple, {"seconds": s}) for name, s in seconds.items()]
    lines: list[str] = []
    slow, fast, late = alternate(contenders, rounds=3, threads=1, log=lines.append)
    assert [line.split(",")[0] for line in lines] == ["fast"] * 3 + ["late"] * 3
    assert fast["seconds"] == 6.0 and fast["stages"] == {"first": 1.5, "second": 4.5}
    assert fast["ratio"] == {"median": 0.25, "low": 0.25, "high": 0.25}
    # The reference's rounds 5, 6 and 7 against rounds 2, 3 and 4.
    assert late["ratio"] == pytest.approx({"median": 3 / 48, "low": 2 / 40, "high": 4 / 56})
    assert slow["ratio"]["median"] == 1 and len(slow["rounds"]) == 6
    assert fast["counts"] == {"flops": 7, "parts": {"U-Net": {"calls": 1, "rows": 2, "flops": 6}}}
    assert fast["peak_mb"] > 50  # it has imported torch


@pytest.mark.parametrize(("fails", "reason"), [("raise", "no such weights"), ("exit", "terminated abruptly")])
def test_a_failed_contender_is_named(fails: str, reason: str) -> None:
    with pytest.raises(RuntimeError, match=f"broken failed: .*{reason}"):
        alternate([Contender("broken", Simple, {"seconds": 1.0, "fails": fails})], rounds=1, threads=1)
    assert multiprocessing.active_children() == []


def row(name: str, seconds: float, flops: int, ratio: float, peak_mb: float = 1024.0) -> dict[str, Any]:
    return {
        "name": name,
        "seconds": seconds,
        "stages": {"denoising": 0.5 * seconds, "decoding": 0.5 * seconds},
        "ratio": {"median": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio},
        "counts": {"flops": flops, "parts": {"U-Net": {"calls": 3, "rows": 3, "flops": flops // 2}}},
        "peak_mb": peak_mb,
    }


def test_a_page_of_both_sections() -> None:
    rows = [
        row("reference, 1000 steps", 100.0, 2 * 10**12, 1.0),
        row("reference, 50 steps", 50.0, 10**12, 0.5),
        row("ours", 1.0, 10**10, 0.01, 512.0),
    ]
    results = {
        "machine": machine(threads=2),
        "training": {"size": "paper", "clips": 4, "rows": rows},
        "sampling": {"size": "paper", "seconds": 5.0, "rows": rows},
    }
    text = page(results)
    assert f"torch {torch.__version__}" in text and "2 threads" in text
    times = "| ours | 1.00 | 0.50 | 0.50 | 0.0100 [0.0090, 0.0110] (1/100) | 0.0200 (1/50) | 0.50 | 0.50 |"
    assert times in text
    assert "| ours | 10.0 | 0.0050 (1/200) | 5.0 | 0.0050 (1/200) | 3 |" in text  # a clip of sampling
    assert "| ours | 2.5 | 0.0050 (1/200) | 1.2 | 0.0050 (1/200) | 3 |" in text  # one of 4 in training
