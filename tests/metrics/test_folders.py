"""Folders of anybody's sound files: pairing by name, side files, and every way to get it wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from headers import make_header

from pn_diffusion_plugin.data.features.feature_file import Features, save_features
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.metrics.evaluate import evaluate_folders
from pn_diffusion_plugin.metrics.folders import read_annotation, read_clips, read_sound, read_systems
from pn_diffusion_plugin.metrics.nulls import click_track
from pn_diffusion_plugin.metrics.report import render_markdown
from pn_diffusion_plugin.metrics.scoring import score_systems

RATE = 22050
NAMES = ("a", "b", "sub/c")


def write(path: Path, period: float, seconds: float = 4, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, click_track(round(seconds * rate), rate, period=period), rate)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    reference, generated = tmp_path / "reference", tmp_path / "generated"
    for i, name in enumerate(NAMES):
        write(reference / f"{name}.wav", 0.4 + 0.1 * i)
        write(generated / f"{name}.wav", 0.4 + 0.1 * i, seconds=5)
    return reference, generated


def metrics_of(report, row="model"):
    return next(r["metrics"] for r in report["rows"] if r["name"] == row)


def test_files_are_paired_by_name(folders) -> None:
    report = evaluate_folders(*folders)
    assert report["clips"] == 3 and report["leak_check"].startswith("unknown: ")
    assert metrics_of(report)["onset_f50"]["mean"] == pytest.approx(1, abs=0.05)
    assert metrics_of(report, "shuffled")["onset_f50"]["mean"] < 0.8


def test_other_kinds_rates_and_hidden_files(folders) -> None:
    reference, generated = folders
    (generated / "a.wav").unlink()
    write(generated / "a.flac", 0.4, rate=48000)
    write(generated / ".half.wav", 0.4)
    assert metrics_of(evaluate_folders(reference, generated))["onset_f50"]["mean"] > 0.9


def test_side_files_give_beats_and_song(folders) -> None:
    reference, generated = folders
    (reference / "a.json").write_text(json.dumps({"beats": [0.2, 0.6], "song": "s", "bpm": 150}))
    clips = {clip.name: clip for clip in read_clips(reference, {"model": generated})}
    assert clips["a"].beats.tolist() == [0.2, 0.6] and clips["a"].song == "s"
    assert clips["b"].beats is None and clips["b"].song is None
    assert metrics_of(evaluate_folders(reference, generated))["beat_f70"]["mean"] < 1


def test_several_systems_and_the_ceiling(folders) -> None:
    reference, generated = folders
    report = evaluate_folders(reference, {"ours": generated, "theirs": generated}, ceiling=reference)
    assert [row["name"] for row in report["rows"]][:3] == ["ours", "theirs", "ceiling"]
    assert metrics_of(report, "ceiling")["onset_f50"]["mean"] == 1


def ruin(reference: Path, generated: Path, name: str, kind: str) -> None:
    path = (reference if kind in ("silent", "empty", "no json") else generated) / f"{name}.wav"
    if kind == "short":
        write(path, 0.5, seconds=3)
    elif kind == "not finite":
        soundfile.write(path, np.full(RATE * 4, np.nan, np.float32), RATE, subtype="FLOAT")
    elif kind == "no json":
        path.with_suffix(".json").write_text("{")
    elif kind in ("silent", "empty"):
        soundfile.write(path, np.zeros(RATE * 4 if kind == "silent" else 0), RATE)
    else:
        path.write_bytes(b"RIFFnonsense")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("short", r"generated/b\.wav lasts 3\.000 s, less than its reference of 4\.000 s"),
        ("not finite", r"generated/b\.wav cannot be read as sound .*not finite"),
        ("damaged", r"generated/b\.wav cannot be read as sound"),
        ("silent", r"reference/b\.wav holds no sound"),
        ("empty", r"reference/b\.wav holds no sound"),
        ("no json", r"reference/b\.json is not a JSON file"),
    ],
)
def test_a_clip_that_cannot_be_scored_is_named_and_the_others_are_scored(
    folders, kind: str, reason: str
) -> None:
    reference, generated = folders
    ruin(reference, generated, "b", kind)
    report = evaluate_folders(reference, {"ours": generated, "theirs": generated})
    assert report["clips"] == 2 and list(report["left_out"]) == ["b"]
    assert re.search(reason, report["left_out"]["b"]) and "## Left out" in render_markdown(report)
    assert metrics_of(report, "ours")["onset_f50"]["n"] == 2
    for name in ("a", "sub/c"):
        ruin(reference, generated, name, kind)
    with pytest.raises(UserError, match="no clip can be scored; the first: "):
        evaluate_folders(reference, generated)


def test_a_missing_partner_is_named_unless_partial(folders) -> None:
    reference, generated = folders
    (generated / "b.wav").unlink()
    with pytest.raises(UserError, match=r"no music for .*reference/b\.wav"):
        evaluate_folders(reference, generated)
    assert evaluate_folders(reference, generated, partial=True)["clips"] == 2
    write(generated / "z.wav", 0.5)
    with pytest.raises(UserError, match=r"z\.wav has no reference z"):
        evaluate_folders(reference, generated, partial=True)


def test_wrong_folders_are_named(folders, tmp_path: Path) -> None:
    reference, generated = folders
    with pytest.raises(UserError, match="nowhere is not a folder"):
        evaluate_folders(tmp_path / "nowhere", generated)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no generated music"):
        evaluate_folders(reference, tmp_path / "empty")
    with pytest.raises(UserError, match="empty holds no videos"):
        evaluate_folders(reference, generated, videos=tmp_path / "empty")
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="no feature file called b"):
        evaluate_folders(reference, generated, features=tmp_path / "features")


def test_two_files_of_one_name(folders) -> None:
    reference, generated = folders
    write(generated / "a.flac", 0.4)
    with pytest.raises(UserError, match="same name"):
        evaluate_folders(reference, generated)


@pytest.mark.parametrize(
    "content", ["{", "[1]", '{"beats": "soon"}', '{"beats": [NaN]}', '{"beats": [1, "x"]}']
)
def test_bad_side_files_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"a\.json"):
        read_annotation(path)


def test_no_side_file_is_fine(tmp_path: Path) -> None:
    assert read_annotation(tmp_path / "a.json") == (None, None)


def test_sounds_are_mono_at_one_rate(tmp_path: Path) -> None:
    for sign in (1, -1):  # an inverted channel does not cancel the other
        soundfile.write(
            tmp_path / "s.wav", np.stack([np.ones(44100), sign * np.ones(44100)], axis=1) * 0.5, 44100
        )
        wav = read_sound(tmp_path / "s.wav")
        assert wav.shape == (RATE,) and np.abs(wav[1000:-1000]).mean() == pytest.approx(0.5, abs=1e-3)


def test_alignment_from_feature_files(folders, tmp_path: Path) -> None:
    """A dance that rests on the first clip's clicks (every 0.4 s from 0.25 s) fits the first clip best."""
    reference, generated = folders
    time = np.arange(100) / 25
    keypoints = np.full((100, 33, 3), 0.9, np.float32)
    keypoints[..., :2] = 0.5 + 0.2 * np.cos(np.pi * (time - 0.25) / 0.4)[:, None, None]
    header = make_header(4.0, visual_encoder="test", visual_dim=8)
    visual = np.zeros((4, 8), np.float32)
    features = Features(header, keypoints, np.ones(100, bool), visual, visual)
    for name in NAMES:
        save_features(tmp_path / "features" / f"{name}.safetensors", features)
    clips = read_clips(reference, {"model": generated}, features=tmp_path / "features")
    np.testing.assert_allclose(clips[0].kinematic_beats, np.arange(0.25, 3.9, 0.4), atol=0.01)
    scores = score_systems(clips, read_systems(clips, {"model": generated}))["model"]
    for name in ("bas_dance_to_music", "bas_music_to_dance"):
        assert scores[name].argmax() == 0 and scores[name][0] > 0.8
