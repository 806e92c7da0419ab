"""The real `pn-diffusion` on real videos: BlazePose and I3D look at rendered dances."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file
from tiny_experiment import EPOCHS, Experiment, program, run

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.feature_file import load_features
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.utils.loudness import loudness

pytestmark = pytest.mark.integration

SHORT = MiniSpec(train=2, valid=1, test=1, seconds=2.8)


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rendered dances with their music."""
    folder = tmp_path_factory.mktemp("dances")
    for index in range(2):
        write_clip_video(SHORT.plan("train", index), folder)
    return folder


@pytest.fixture(scope="module")
def prepared(dances: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A corpus of a folder in which three videos cannot be used, and what `prepare` said."""
    src = shutil.copytree(dances, tmp_path_factory.mktemp("videos") / "src")
    good = src / "mini-train-0000.mp4"
    (src / "cut.mp4").write_bytes(good.read_bytes()[:20000])
    write_video(src / "silent.mp4", read_frames(good, 25), 25)
    (src / "empty.mp4").touch()
    dst = tmp_path_factory.mktemp("prepared") / "corpus"
    result = run(program("pn-diffusion"), "prepare", "folder", str(src), str(dst), "--jobs", "1")
    assert result.returncode == 1  # some failed
    return dst, result.stderr


def test_one_bad_video_does_not_stop_the_rest(prepared: tuple[Path, str], dances: Path) -> None:
    corpus, told = prepared
    failed = [line for line in told.splitlines() if line.startswith("failed: ")]
    assert [Path(line.split()[1]).name for line in failed] == ["cut.mp4", "empty.mp4", "silent.mp4"]
    assert "2 clips made" in told and "3 failed" in told and "Traceback" not in told
    paths = CorpusPaths(corpus)
    assert paths.clip_names() == ["mini-train-0000", "mini-train-0001"]
    manifests = [paths.manifest(split) / "data.jsonl" for split in ("train", "valid", "test")]
    assert sum(len(manifest.read_text().splitlines()) for manifest in manifests) == 2
    for name in paths.clip_names():
        features = load_features(paths.features(name))
        assert features.keypoints.shape == (70, 33, 3)
        assert features.header.detected_share > 0.9
        wav, rate = soundfile.read(paths.wav(name), dtype="float32")
        assert rate == 22050 and np.array_equal(wav, read_audio(dances / f"{name}.mp4", 22050))


def test_features_seen_are_what_the_dancer_did(prepared: tuple[Path, str]) -> None:
    seen = load_features(CorpusPaths(prepared[0]).features("mini-train-0000")).keypoints[..., :2]
    true = SHORT.plan("train", 0).scene().keypoints[..., :2]
    assert np.median(np.linalg.norm(seen - true, axis=-1)) < 0.03  # of the picture


def test_an_export_holds_weights_and_configuration_only(experiment: Experiment, exported: Path) -> None:
    assert sorted(os.listdir(exported)) == [
        "README.md",
        "config.yaml",
        "model.safetensors",
        "training.json",
        "vae.safetensors",
    ]
    card = json.loads((exported / "training.json").read_text())
    assert card["command"].startswith("dora run solver=pn_diffusion")
    assert card["updates"] == 2 * EPOCHS and card["losses"]["loss"] > 0
    assert [point["updates"] for point in card["curve"]] == [2 * epoch for epoch in range(1, EPOCHS + 1)]
    assert card["parts"]["autoencoder"]["sig"] == experiment.vae.name
    told = (exported / "README.md").read_text()
    assert f"(signature `{experiment.folder.name}`)" in told and "| shuffled | " in told
    config = yaml.safe_load((exported / "config.yaml").read_text())
    assert config["unet"]["channels"] == [8, 16]
    assert str(experiment.dora) not in (exported / "config.yaml").read_text()
    kept = torch.load(experiment.folder / "checkpoint.th", weights_only=True)["best_state"]["model"]
    weights = load_file(exported / "model.safetensors")
    assert weights.keys() == kept.keys()
    assert all(torch.equal(weights[name], value) for name, value in kept.items())


def test_a_dance_video_gets_its_music(exported: Path, dances: Path, tmp_path: Path) -> None:
    video, out, wav = tmp_path / "silent.mp4", tmp_path / "new" / "out.mp4", tmp_path / "out.wav"
    write_video(video, read_frames(dances / "mini-train-0001.mp4", 25), 25)  # needs no music of its own
    result = run(
        program("pn-diffusion"), "generate", str(video), "-o", str(out), "--wav", str(wav),
        "-c", str(exported), "--seed", "3", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "out.mp4", "out.wav", "silent.mp4"]
    before, after = probe(video), probe(out)
    assert after.seconds == before.seconds
    assert after.has_audio and not before.has_audio
    music, rate = soundfile.read(wav, dtype="float32")
    assert rate == 44100 and music.shape == (round(before.seconds * rate), 2)
    assert loudness(music.T, rate) == pytest.approx(-14, abs=0.5)
    with av.open(str(out)) as container:
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(before.seconds, abs=1 / rate)
    heard = read_audio(out, rate)  # AAC of the very same music
    assert np.corrcoef(heard, music[:, 0])[0, 1] > 0.9
    pictures = zip(read_frames(video, 25), read_frames(out, 25), strict=True)
    assert all(np.array_equal(a, b) for a, b in pictures)


def test_a_model_is_scored_on_a_folder(experiment: Experiment, tiny_corpus: Path, tmp_path: Path) -> None:
    evaluated = experiment.folder / "evaluate"
    reference = tmp_path / "reference"
    reference.mkdir()
    for path in (tiny_corpus / "clips").glob("mini-test-*"):
        shutil.copy(path, reference)
    report = tmp_path / "report.json"
    result = run(
        program("pn-diffusion"), "evaluate", "--reference", str(reference),
        "--generated", str(evaluated / "model"), "--ceiling", str(evaluated / "ceiling"),
        "--features", str(tiny_corpus / "features"), "-o", str(report), "--seed", "2036",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    ours = {row["name"]: row["metrics"] for row in json.loads(report.read_text())["rows"]}
    of_solver = json.loads((evaluated / "report.json").read_text())
    theirs = {row["name"]: row["metrics"] for row in of_solver["rows"]}
    assert ours.keys() == theirs.keys()
    for name in ("beat_f70", "bas_dance_to_music", "loris_bhs"):
        assert ours["model"][name]["mean"] == pytest.approx(theirs["model"][name]["mean"], abs=0.02)
        assert ours["shuffled"][name]["mean"] == pytest.approx(theirs["shuffled"][name]["mean"], abs=0.02)


@pytest.mark.slow
def test_a_clip_with_features_of_another_schema_is_left_out(
    experiment: Experiment, tiny_corpus: Path, tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    features = shutil.copytree(tiny_corpus / "features", tmp_path / "features")
    path = features / "mini-test-0001.safetensors"
    with safe_open(str(path), framework="np") as file:
        header = json.loads(file.metadata()["header"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    save_file(arrays, str(path), metadata={"header": json.dumps({**header, "schema": 7})})
    result = run(
        program("pn-diffusion"), "evaluate", "--reference", str(experiment.folder / "evaluate" / "ceiling"),
        "--generated", str(experiment.folder / "evaluate" / "model"), "--features", str(features),
        "-o", str(tmp_path / "report.json"),
    )  # fmt: skip
    assert result.returncode == 1
    reason = f"{path} has schema 7, this version reads 1: prepare the corpus again"
    assert result.stderr.strip() == f"failed: {reason}"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["clips"] == 1 and report["left_out"] == {"mini-test-0001": reason}


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused(
    experiment: Experiment, dances: Path, tmp_path: Path
) -> None:
    result = run(
        program("pn-diffusion"), "generate", str(dances / "mini-train-0001.mp4"), "-o", str(tmp_path / "out.mp4"),
        "-c", experiment.vae.name, AUDIOCRAFT_DORA_DIR=str(experiment.dora),
    )  # fmt: skip
    assert result.returncode == 1
    (sentence,) = result.stderr.strip().splitlines()
    assert f"{experiment.vae / 'checkpoint.th'} is of solver 'mel_vae', 'pn_diffusion' is needed" in sentence
    assert os.listdir(tmp_path) == []
