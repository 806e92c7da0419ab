"""Systems whose quality is known come out in the right order, beside null rows that cannot be fooled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.metrics.evaluate import evaluate_systems
from pn_diffusion_plugin.metrics.nulls import click_track
from pn_diffusion_plugin.metrics.report import SATURATED, STRICT
from pn_diffusion_plugin.metrics.scoring import EvaluationClip, EventCache, score_systems

RATE = 22050
SECONDS = 6
TEMPOS = (84, 93, 100, 107, 117, 126, 140, 150)


def drums(bpm: float, first: float) -> np.ndarray:
    """Low thumps on the beats, with a little noise floor."""
    wav = click_track(SECONDS * RATE, RATE, period=60 / bpm, first=first)
    return wav + 1e-4 * np.random.default_rng(int(bpm)).standard_normal(wav.size).astype(np.float32)


def make_clips(count: int = len(TEMPOS)) -> list[EvaluationClip]:
    clips = []
    for i, bpm in enumerate(TEMPOS[:count]):
        first = 0.1 + 0.03 * i
        beats = np.arange(first, SECONDS, 60 / bpm)
        clips.append(EvaluationClip(f"clip{i}", drums(bpm, first), RATE, beats, beats, f"song{i}"))
    return clips


@pytest.fixture(scope="module")
def clips() -> list[EvaluationClip]:
    return make_clips()


@pytest.fixture(scope="module")
def report(clips):
    systems = {
        "model": {c.name: c.reference for c in clips},
        "late": {c.name: np.roll(c.reference, round(0.2 * RATE)) for c in clips},
    }
    return evaluate_systems(
        clips, systems, {"late": "0.2 s late"}, split="mini/test", leak_check="ok", command="x", seeds=[3]
    )


def rows_of(report):
    return {row["name"]: row["metrics"] for row in report["rows"]}


def test_report_has_the_fixed_form(report) -> None:
    head = {key: report[key] for key in ("schema", "split", "clips", "leak_check", "command", "seeds")}
    assert head == {
        "schema": 1,
        "split": "mini/test",
        "clips": 8,
        "leak_check": "ok",
        "command": "x",
        "seeds": [3],
    }
    assert [row["name"] for row in report["rows"]] == [
        "model",
        "late",
        "reference",
        "shuffled",
        "click",
        "silence",
    ]
    assert report["rows"][1]["label"] == "0.2 s late"
    for row in report["rows"]:
        assert {*STRICT, *SATURATED} <= row["metrics"].keys()
        for metric in row["metrics"].values():
            assert "not_run" in metric or metric["low"] <= metric["mean"] <= metric["high"]
        assert row["metrics"]["fad"]["not_run"].startswith("needs ")


def test_the_good_system_wins_and_the_late_one_does_not(report) -> None:
    rows = rows_of(report)
    for name in ("beat_f70", "bas_dance_to_music", "bas_music_to_dance"):
        assert rows["model"][name]["low"] > rows["shuffled"][name]["high"]
        assert rows["model"][name]["mean"] > 0.8
        assert rows["late"][name]["mean"] < 0.5
    assert rows["model"]["onset_f50"]["mean"] == 1
    assert rows["model"] == {**rows["reference"]}
    assert rows["model"]["tempo_error"]["mean"] < 0.04 < rows["shuffled"]["tempo_error"]["mean"]


def test_the_old_scores_are_saturated(report) -> None:
    """A click every 0.5 s hits every bin, while the strict scores see through it."""
    rows = rows_of(report)
    assert rows["click"]["loris_bhs"]["mean"] > 0.95
    assert rows["late"]["loris_f1"]["mean"] > 0.9
    assert rows["click"]["beat_f70"]["mean"] < 0.5


def test_silence_scores_nothing(report) -> None:
    silence = rows_of(report)["silence"]
    for name in ("beat_f70", "onset_f50", "bas_dance_to_music", "bas_music_to_dance", *SATURATED):
        assert silence[name]["mean"] == 0
    assert silence["tempo_error"]["mean"] == 1
    assert silence["beat_f70"]["n"] == 8


def test_f1_is_the_harmonic_mean_of_the_means(report) -> None:
    for metrics in rows_of(report).values():
        bcs, bhs = metrics["loris_bcs"]["mean"], metrics["loris_bhs"]["mean"]
        assert metrics["loris_f1"]["mean"] == pytest.approx(2 * bcs * bhs / (bcs + bhs) if bcs + bhs else 0)


def test_difference_to_the_shuffled_row(report) -> None:
    difference = report["rows"][0]["minus_shuffled"]["beat_f70"]
    rows = rows_of(report)
    assert difference["mean"] == pytest.approx(
        rows["model"]["beat_f70"]["mean"] - rows["shuffled"]["beat_f70"]["mean"]
    )
    assert difference["low"] > 0
    assert "minus_shuffled" not in report["rows"][-1]


def test_same_seed_same_report(clips, report) -> None:
    systems = {"model": {c.name: c.reference for c in clips}}
    again = [evaluate_systems(clips, systems, seed=seed) for seed in (0, 0, 1)]
    assert again[0] == again[1]
    assert rows_of(again[0])["shuffled"] == rows_of(report)["shuffled"]
    assert rows_of(again[0])["shuffled"] != rows_of(again[2])["shuffled"]


def test_without_dance_or_annotation(clips) -> None:
    bare = [EvaluationClip(c.name, c.reference, RATE) for c in clips[:3]]
    rows = rows_of(evaluate_systems(bare, {"model": {c.name: c.reference for c in bare}}))
    assert rows["model"]["beat_f70"]["mean"] == 1  # beats are tracked on both sides
    assert rows["model"]["bas_dance_to_music"] == {"not_run": "needs the clips' videos or feature files"}


def test_one_clip_has_no_shuffled_row(clips) -> None:
    rows = rows_of(evaluate_systems(clips[:1], {"model": {clips[0].name: clips[0].reference}}))
    assert rows["shuffled"]["beat_f70"] == {"not_run": "needs at least two clips"}
    assert rows["model"]["beat_f70"]["n"] == 1


def test_longer_is_cut_and_shorter_is_refused(clips) -> None:
    clip = clips[0]
    longer = np.concatenate([clip.reference, np.ones(RATE, np.float32)])
    scores = score_systems([clip], {"model": {clip.name: longer}})
    assert scores["model"]["onset_f50"] == [1]
    score_systems([clip], {"model": {clip.name: clip.reference[:-2]}})  # a resampler's rounding
    with pytest.raises(UserError, match=r"model: clip0 lasts 5\.\d+ s, less than its reference of 6\.000 s"):
        score_systems([clip], {"model": {clip.name: clip.reference[: -RATE // 10]}})


def test_channels_are_averaged(clips) -> None:
    clip = clips[0]
    stereo = EvaluationClip("s", np.stack([clip.reference] * 2), RATE, clip.beats)
    assert stereo.reference.shape == clip.reference.shape
    scores = score_systems([stereo], {"model": {"s": stereo.reference[None]}})
    assert scores["model"]["onset_f50"] == [1]


def test_shuffled_music_is_as_long_as_the_clip() -> None:
    """Clips of different lengths and rates borrow from each other."""
    short = EvaluationClip("short", drums(120, 0.2)[: 2 * RATE], RATE)
    other = EvaluationClip("other", click_track(5 * 44100, 44100), 44100)
    scores = score_systems([short, other], {"model": {"short": short.reference, "other": other.reference}})
    assert (scores["shuffled"]["onset_f50"] > 0).all()


def test_undefined_scores_are_left_out_not_zero(clips) -> None:
    mute = EvaluationClip("mute", np.zeros(SECONDS * RATE, np.float32), RATE, kinematic_beats=np.zeros(0))
    pair = [clips[0], mute]
    systems = {"model": {c.name: c.reference for c in pair}}
    assert math.isnan(score_systems(pair, systems)["model"]["beat_f70"][1])
    assert rows_of(evaluate_systems(pair, systems))["model"]["beat_f70"]["n"] == 1


def test_quality_metrics_are_merged(clips) -> None:
    pair = clips[:2]
    value = {"mean": 1.0, "low": 0.5, "high": 1.5, "n": 2}
    report = evaluate_systems(
        pair, {"model": {c.name: c.reference for c in pair}}, quality={"model": {"fad": value}}
    )
    assert rows_of(report)["model"]["fad"] == value
    assert "not_run" in rows_of(report)["click"]["fad"]


def test_a_sound_is_heard_once(clips) -> None:
    hear = EventCache()
    assert hear(clips[0].reference, RATE) is hear(clips[0].reference.copy(), RATE)
    assert hear(clips[0].reference, RATE) is not hear(clips[1].reference, RATE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c, s: (c[:0], s), "no clip"),
        (lambda c, s: ([c[0], c[0]], s), "two clips are called clip0"),
        (lambda c, s: (c, {"click": s["model"]}), "cannot be called click"),
        (
            lambda c, s: (c, {"model": {**s["model"], "clip1": np.full(SECONDS * RATE, np.nan)}}),
            "model: clip1.*finite",
        ),
        (lambda c, s: (c, {"model": {}}), "model has no music for the clip clip0"),
        (lambda c, s: ([EvaluationClip("e", np.zeros(0, np.float32), RATE)], s), "e holds no sound"),
    ],
)
def test_mistakes_are_named(clips, change, message) -> None:
    pair = clips[:2]
    with pytest.raises(UserError, match=message):
        evaluate_systems(*change(pair, {"model": {c.name: c.reference for c in pair}}))


def test_leak_check_has_three_forms(clips) -> None:
    systems = {"model": {clips[0].name: clips[0].reference}}
    with pytest.raises(UserError, match="leak check"):
        evaluate_systems(clips[:1], systems, leak_check="fine")
    assert evaluate_systems(clips[:1], systems, leak_check="LEAKING: a")["leak_check"] == "LEAKING: a"
