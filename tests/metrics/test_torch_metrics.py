"""The torchmetrics forms give what the functions give, batch by batch and over processes."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path

import metric_worker
import numpy as np
import pytest
import torch
from metric_worker import PREDS, RATE, SECONDS, TARGETS, WORKERS, sounds

from pn_diffusion_plugin.metrics import beats, torch_metrics
from pn_diffusion_plugin.metrics.dance import dance_music_alignment
from pn_diffusion_plugin.metrics.evaluate import aggregate
from pn_diffusion_plugin.metrics.frechet import frechet_clips
from pn_diffusion_plugin.metrics.memorisation import TrainingClips, centred_log_mel
from pn_diffusion_plugin.metrics.scoring import EvaluationClip, score_sounds
from pn_diffusion_plugin.metrics.statistics import bootstrap

UNDEFINED = [t if i != 4 else [] for i, t in enumerate(TARGETS)]  # the fifth clip's reference has no beats


def mean(values: list[float]) -> float:
    return float(np.nanmean(values))


def split(metric, *lists, parts=((0, 2), (2, 2), (2, 6))):
    """Update in parts, one of them empty."""
    for start, end in parts:
        metric.update(*(one[start:end] for one in lists))
    return metric


def test_beats_and_onsets() -> None:
    expected = [beats.beat_f_measure(t, p) for p, t in zip(PREDS, UNDEFINED, strict=True)]
    assert math.isnan(expected[4])
    metric = split(torch_metrics.BeatFMeasure(), PREDS, UNDEFINED)
    assert float(metric.compute()) == pytest.approx(mean(expected), abs=1e-12)
    assert metric.interval(seed=3) == bootstrap(expected, seed=3)
    wide = split(torch_metrics.BeatFMeasure(0.2), PREDS, UNDEFINED)
    assert wide.compute() > metric.compute()
    expected = [beats.onset_f_measure(t, p) for p, t in zip(PREDS, TARGETS, strict=True)]
    metric = split(torch_metrics.OnsetFMeasure(), PREDS, TARGETS)
    assert float(metric.compute()) == pytest.approx(mean(expected), abs=1e-12)


def test_tempo_and_alignment() -> None:
    pairs = [beats.tempo_error(t, p) for p, t in zip(PREDS, TARGETS, strict=True)]
    found = split(torch_metrics.TempoError(), PREDS, TARGETS).compute()
    assert float(found["tempo_error"]) == pytest.approx(mean([a for a, _ in pairs]))
    assert float(found["tempo_octave"]) == pytest.approx(mean([b for _, b in pairs]))
    pairs = [dance_music_alignment(d, p) for p, d in zip(PREDS, UNDEFINED, strict=True)]
    metric = split(torch_metrics.BeatAlignment(), PREDS, UNDEFINED)
    found = metric.compute()
    assert float(found["bas_dance_to_music"]) == pytest.approx(mean([a for a, _ in pairs]))
    assert float(found["bas_music_to_dance"]) == pytest.approx(mean([b for _, b in pairs]))
    assert metric.interval("bas_music_to_dance") == bootstrap([b for _, b in pairs])


def test_published_families() -> None:
    bins = [[beats.event_bins(e, s) for e, s in zip(side, SECONDS, strict=True)] for side in (TARGETS, PREDS)]
    loris = np.array([beats.loris_scores(*pair) for pair in zip(*bins, strict=True)])
    d2m = np.array([beats.d2m_scores(*pair) for pair in zip(*bins, strict=True)])
    found = split(torch_metrics.LorisScores(), PREDS, TARGETS, SECONDS).compute()
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {
            "loris_bcs": loris[:, 0].mean(),
            "loris_csd": loris[:, 0].std(ddof=1),
            "loris_bhs": loris[:, 1].mean(),
            "loris_hsd": loris[:, 1].std(ddof=1),
            "loris_f1": beats.harmonic_mean(*loris.mean(axis=0)),
        },
        abs=1e-12,
    )
    found = split(torch_metrics.D2MScores(), PREDS, TARGETS, SECONDS).compute()
    assert [float(found["d2m_bcs"]), float(found["d2m_bhs"])] == pytest.approx(list(d2m.mean(axis=0)))


def test_every_score_from_sounds_as_in_a_report() -> None:
    preds, targets, sizes, rates = sounds()
    dances = [None if i == 1 else np.arange(0.3, 4, 0.5) for i in range(5)]
    truths = [np.arange(0.2, 4, 0.4) if i == 2 else None for i in range(5)]
    metric = torch_metrics.MusicScores()
    for a, b in ((0, 3), (3, 5)):
        metric.update(preds[a:b], targets[a:b], sizes[a:b], rates[a:b], truths[a:b], dances[a:b])
    found = metric.compute()
    cut = [
        [wav[0, :n].numpy() for wav, n in zip(batch, sizes.tolist(), strict=True)]
        for batch in (preds, targets)
    ]
    clips = [EvaluationClip(f"c{i}", wav, RATE, truths[i], dances[i]) for i, wav in enumerate(cut[1])]
    expected = aggregate(score_sounds(clips, {"model": cut[0]})["model"])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value["mean"], abs=1e-12)


def test_frechet_and_nearest() -> None:
    preds, targets, sizes, rates = sounds()
    batches = [(preds, targets, sizes, rates)] * 2  # ten clips
    metric = torch_metrics.FrechetMusicnn()
    for batch in batches:
        metric.update(*batch)
    windows = [
        [metric._embed(wav[0, :n].numpy(), RATE) for wav, n in zip(side, sizes.tolist(), strict=True)] * 2
        for side in (preds, targets)
    ]
    expected = frechet_clips(*windows, seed=1)
    assert metric.report(seed=1) == pytest.approx(expected)
    assert float(metric.compute()) == pytest.approx(expected["mean"])
    metric.reset()
    metric.update(*batches[0])
    assert math.isnan(float(metric.compute()))  # too few clips

    training = TrainingClips({str(i): centred_log_mel(wav[0].numpy(), RATE) for i, wav in enumerate(targets)})
    nearest = torch_metrics.NearestTraining(training)
    nearest.update(torch.cat([preds[:, :, : 3 * RATE], torch.zeros(1, 1, 3 * RATE)]), torch.full((6,), 3 * RATE),
                   torch.full((6,), RATE))  # fmt: skip
    expected = [training.nearest(wav[0, : 3 * RATE].numpy(), RATE).distance for wav in preds]
    assert float(nearest.compute()) == pytest.approx(np.mean(expected))  # silence is left out


def test_a_metric_of_nothing_is_undefined_and_resets() -> None:
    metric = torch_metrics.BeatFMeasure()
    metric.update([], [])
    assert math.isnan(float(metric.compute())) and metric.interval() is None
    metric.update([[1.0]], [[1.0]])
    assert metric.compute() == 1
    metric.reset()
    metric.update([[1.0]], [[2.0]])
    assert metric.compute() == 0
    assert float(metric([[1.0]], [[1.0]])) == 1  # of the batch alone …
    assert float(metric.compute()) == 0.5  # … and of all
    again = pickle.loads(pickle.dumps(metric))
    assert float(again.compute()) == 0.5


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_clips_of_all_processes_are_joined(tmp_path: Path) -> None:
    worker = metric_worker.__file__
    commands = [[sys.executable, str(worker), str(rank), str(tmp_path)] for rank in range(WORKERS)]
    running = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=300) for process in running] == [0] * WORKERS
    results = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(3)]
    assert results[0]["beat"] == results[1]["beat"] == results[2]["beat"]
    assert [one["own"] for one in results] == [2, 2, 0]  # afterwards each holds its own again
    beat = split(torch_metrics.BeatFMeasure(), PREDS[:4], TARGETS[:4], parts=((0, 4),))
    assert results[2]["beat"] == pytest.approx(float(beat.compute()), abs=1e-12)
    assert results[2]["interval"] == 4
    loris = split(torch_metrics.LorisScores(), PREDS[:4], TARGETS[:4], SECONDS[:4], parts=((0, 4),)).compute()
    assert results[2]["loris"] == pytest.approx(
        {name: float(value) for name, value in loris.items()}, abs=1e-12
    )
    alone = torch_metrics.FrechetMusicnn()
    preds, targets, sizes, rates = sounds(4)
    for rank in (0, 1):
        for _ in range(2 + rank):
            alone.update(preds, targets + 0.01 * rank, sizes, rates)
    assert results[2]["frechet"]["n"] == 20
    assert results[2]["frechet"]["plug_in"] == pytest.approx(alone.report(seed=1)["plug_in"], rel=1e-6)
