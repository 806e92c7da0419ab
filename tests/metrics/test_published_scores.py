"""The two published families of beat scores against the plainest computation, on 56 synthesised clips.

The computation here is librosa's onset detection with the windows of the papers' scripts, a loop over seconds, and
counters; it uses nothing of the package.
"""

from __future__ import annotations

import math
from typing import Any

import librosa
import numpy as np
import pytest

from pn_diffusion_plugin.metrics.beats import music_events
from pn_diffusion_plugin.metrics.evaluate import aggregate
from pn_diffusion_plugin.metrics.nulls import click_track
from pn_diffusion_plugin.metrics.scoring import clip_scores

RATE, HOP = 22050, 512
LORIS = {"pre_max": 3, "post_max": 3, "pre_avg": 3, "post_avg": 3}
D2M = {"post_max": 1, "pre_avg": 1, "post_avg": 1}


def clip(seed: int, seconds: float) -> np.ndarray:
    """Clicks at random times and levels over hiss, silent for a while."""
    rng = np.random.default_rng(seed)
    wav = 10 ** rng.uniform(-4, -2) * rng.standard_normal(round(seconds * RATE))
    for start in np.sort(rng.uniform(0, seconds, rng.integers(1, 14))):
        at = int(start * RATE)
        hit = click_track(2000, RATE, first=0) * rng.uniform(0.02, 1)
        wav[at : at + 2000] += hit[: len(wav) - at]
    return np.clip(wav, -1, 1).astype(np.float32)


def seconds_with_onsets(wav: np.ndarray, windows: dict[str, Any]) -> list[int]:
    """0 or 1 for each second of a clip."""
    seconds = len(wav) / RATE
    if not wav.any():
        return [0] * math.ceil(seconds)
    frames = librosa.onset.onset_detect(y=wav, sr=RATE, hop_length=HOP, wait=1, delta=0.2, **windows)
    times = [time for time in librosa.frames_to_time(frames, sr=RATE, hop_length=HOP) if time < seconds]
    return [int(any(second <= time < second + 1 for time in times)) for second in range(math.ceil(seconds))]


def plain_scores(reference: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """The four scores of a clip."""
    found = {}
    for family, windows in (("loris", LORIS), ("d2m", D2M)):
        music, made = seconds_with_onsets(reference, windows), seconds_with_onsets(generated, windows)
        both = sum(1 for a, b in zip(music, made, strict=True) if a == b == 1)
        found[f"{family}_bhs"] = both / sum(music) if sum(music) else 0.0
        if family == "loris":
            found["loris_bcs"] = both / sum(made) if sum(made) else 0.0
        else:
            found["d2m_bcs"] = sum(made) / sum(music) if sum(music) else 0.0
    return found


def plain_corpus(scores: list[dict[str, float]]) -> dict[str, float]:
    """The papers' table from the scores of clips."""
    n = len(scores)
    mean = {name: sum(one[name] for one in scores) / n for name in scores[0]}
    for spread, name in (("loris_csd", "loris_bcs"), ("loris_hsd", "loris_bhs")):
        mean[spread] = math.sqrt(sum((one[name] - mean[name]) ** 2 for one in scores) / (n - 1))
    total = mean["loris_bcs"] + mean["loris_bhs"]
    mean["loris_f1"] = 2 * mean["loris_bcs"] * mean["loris_bhs"] / total if total else 0.0
    return mean


def test_plain_loops_give_the_same_to_a_billionth() -> None:
    plain, found = [], []
    for i in range(28):
        seconds = (3.0, 3.2, 2.56)[i % 3]
        reference = clip(i, seconds)
        silent = np.zeros(len(reference), np.float32)
        longer = clip(100 + i, seconds + 0.5)[: len(reference)]
        for generated in (longer, silent if i == 5 else clip(200 + i, seconds)):
            plain.append(plain_scores(reference, generated))
            music, made = music_events(reference, RATE), music_events(generated, RATE)
            scores = clip_scores(music, music.beats, made, None)
            assert {name: scores[name] for name in plain[-1]} == pytest.approx(plain[-1], abs=1e-9)
            found.append(scores)
    columns = {name: np.array([scores[name] for scores in found]) for name in plain[0]}
    table = {name: value["mean"] for name, value in aggregate(columns).items()}
    assert table == pytest.approx(plain_corpus(plain), abs=1e-9) and len(table) == 7
    assert 0.2 < table["loris_f1"] < 0.98 and table["loris_csd"] > 0.05  # nothing trivial
