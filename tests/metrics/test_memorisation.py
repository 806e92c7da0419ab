"""Copies are found wherever they were cut; other music, even of the same tempo, is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.metrics.memorisation import COPY, Nearest, TrainingClips, centred_log_mel, summary

RATE = 16000


def melody(seed: int, seconds: float = 8.0, rate: int = RATE) -> np.ndarray:
    """Notes of a quarter of a second, at random pitches and levels; all melodies have the same tempo."""
    rng = np.random.default_rng(seed)
    time = np.arange(rate // 4) / rate
    notes = [
        rng.uniform(0.2, 1) * np.sin(2 * np.pi * rng.uniform(150, 3000) * time) * np.exp(-8 * time)
        for _ in range(round(seconds * 4))
    ]
    return (0.3 * np.concatenate(notes)).astype(np.float32)


@pytest.fixture(scope="module")
def training() -> TrainingClips:
    lengths = (8, 8, 8, 6, 11, 4, 8, 2)
    return TrainingClips(
        {f"t{i}": centred_log_mel(melody(i, seconds), RATE) for i, seconds in enumerate(lengths)}
    )


def test_a_copy_is_found_at_its_place_and_level(training: TrainingClips) -> None:
    assert len(training) == 8
    found = training.nearest(melody(1), RATE)
    assert found.name == "t1" and found.distance == pytest.approx(0, abs=1e-5) and found.shift == 0
    cut = training.nearest(0.05 * melody(4, 11)[2 * RATE : 7 * RATE], RATE)
    assert cut.name == "t4" and cut.distance < 0.05 and cut.shift == pytest.approx(2.0, abs=0.04)
    late = training.nearest(np.concatenate([melody(99, 3), melody(3, 6)]), RATE)  # stands 3 s in
    assert late.name == "t3" and late.distance < COPY and late.shift == pytest.approx(-3.0, abs=0.04)


def test_a_coloured_noisy_resampled_copy_is_a_copy(training: TrainingClips) -> None:
    wav = melody(2, rate=22050)
    wav = np.convolve(wav, [0.5, 0.3, 0.2])[: wav.size]
    wav += 0.002 * np.random.default_rng(0).standard_normal(wav.size)
    # resampled notes are those of melody(2): the generator draws the same pitches
    found = training.nearest(wav, 22050)
    assert found.name == "t2" and found.distance < COPY


def test_other_music_is_no_copy(training: TrainingClips) -> None:
    distances = [training.nearest(melody(seed), RATE).distance for seed in range(50, 60)]
    assert min(distances) > 2 * COPY
    noise = np.random.default_rng(1).standard_normal(8 * RATE)
    assert training.nearest(noise, RATE).distance > 0.5


def test_correlation_by_hand(training: TrainingClips) -> None:
    """The transform gives what sliding one picture over the other gives."""
    a, b = (
        centred_log_mel(melody(70, 5), RATE).astype(float),
        centred_log_mel(melody(71, 4), RATE).astype(float),
    )
    best = -1.0
    for shift in range(-a.shape[1] + 1, b.shape[1]):
        start, end = max(0, shift), min(b.shape[1], shift + a.shape[1])
        if end - start >= 75:
            x, y = a[:, start - shift : end - shift], b[:, start:end]
            best = max(best, float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())))
    found = TrainingClips({"b": b.astype(np.float32)}).nearest(melody(70, 5), RATE)
    assert 1 - found.distance == pytest.approx(best, abs=1e-4)


def test_silence_is_near_to_nothing(training: TrainingClips) -> None:
    assert training.nearest(np.zeros(RATE), RATE) is None
    still = TrainingClips({"silence": centred_log_mel(np.zeros(8 * RATE), RATE)})
    assert still.nearest(melody(1), RATE).distance == 2
    with pytest.raises(ValueError, match="no training clips"):
        TrainingClips({})


def test_summary_counts_copies_and_names_the_nearest() -> None:
    rows = {
        "model": [Nearest("t3", 0.02, 1.0), Nearest("t1", 0.4, 0.0), None],
        "ceiling": [Nearest("t1", 0.3, 0.0), Nearest("t2", 0.5, 0.0), Nearest("t2", 0.2, 0.0)],
    }
    told = summary(["a", "b", "c"], rows, 8)
    assert told["copies"] == {"model": 1, "ceiling": 0} and told["training_clips"] == 8
    assert told["nearest"]["model"][0] == {"clip": "a", "training": "t3", "distance": 0.02, "shift": 1.0}
    assert [pair["clip"] for pair in told["nearest"]["ceiling"]] == ["c", "a", "b"]
