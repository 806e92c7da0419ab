"""Paired differences of benchmarks/paired.py on scores with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.guidance_study import METRICS, NULLS
from benchmarks.paired import interval, render

CLIPS = np.linspace(0.1, 0.9, 20)


def cell(label: str, seed: int, scores: np.ndarray) -> dict[str, Any]:
    values = {"guidance=1": {metric: scores.tolist() for metric in METRICS}}
    return {"label": label, "twin": "positive only", "seed": seed, "scores": values}


def test_a_constant_difference_has_no_interval_however_hard_the_clips_are() -> None:
    cells = {}
    for seed in (1, 2, 3):
        own = CLIPS - 0.02 * seed
        cells[f"p{seed}"] = cell("positive only", seed, own)
        cells[f"c{seed}"] = cell("contrast", seed, own + 0.1)
    result = {
        "command": "python benchmarks/paired.py",
        "setting": "20 clips",
        "settings": ["guidance=1"],
        "nulls": {null: dict.fromkeys(METRICS, [0.25] * 20) for null in NULLS},
        "cells": {**cells, "c4": cell("contrast", 4, CLIPS)},  # a seed without a twin is in no difference
    }
    text = render(result)
    (line,) = [line for line in text.splitlines() if line.startswith("| contrast |")]
    assert line.count("; +.10 [.10, .10]") == len(METRICS) and line.startswith("| contrast | 4 |")
    (twin,) = [line for line in text.splitlines() if line.startswith("| positive only |")]
    assert ";" not in twin
    assert "| click | .25 [.25, .25]" in text


def test_seeds_that_differ_widen_the_interval() -> None:
    alike, apart = np.tile(CLIPS, (3, 1)), np.array([-0.2, 0, 0.2])[:, None] + CLIPS
    same, wide = interval(alike), interval(apart)
    assert same[0] == pytest.approx(wide[0]) and wide[1] < same[1] < same[2] < wide[2]
    assert interval(np.array([[1.0, np.nan, 1.0]]))[:2] == (1.0, 1.0)
