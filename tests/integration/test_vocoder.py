"""A vocoder from training to music, by the real commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from tiny_experiment import Experiment, experiments, program, run, vocoder_overrides

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def exported(experiment: Experiment, tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a tiny vocoder."""
    place = {"AUDIOCRAFT_DORA_DIR": str(experiment.dora)}
    result = run(program("dora"), "run", *vocoder_overrides(tiny_corpus), **place)
    assert result.returncode == 0, result.stderr[-3000:]
    (vocoder,) = experiments(experiment.dora, "vocoder")
    history = json.loads((vocoder / "history.json").read_text())
    assert [set(epoch) for epoch in history] == [
        {"train", "valid"},
        {"train", "valid", "evaluate", "generate"},
    ]
    folder = tmp_path_factory.mktemp("exported") / "model"
    command = [program("pn-diffusion"), "export", experiment.folder.name, "-o", str(folder)]
    result = run(*command, "--vocoder", vocoder.name, "--refinement", "2", **place)
    assert result.returncode == 0, result.stderr
    return folder


def test_an_export_holds_it(exported: Path) -> None:
    config = yaml.safe_load((exported / "config.yaml").read_text())
    assert config["vocoder"]["name"] == "vocos" and config["vocoder"]["refinement"] == 2
    assert set(config["sha256"]) == {"model.safetensors", "vae.safetensors", "vocoder.safetensors"}
    told = (exported / "README.md").read_text()
    assert "Vocos" in told and "### Its autoencoder" in told and "### Its vocoder" in told


@pytest.mark.slow
def test_generate_uses_it_and_falls_back_when_asked(exported: Path, tmp_path: Path) -> None:
    write_clip_video(MiniSpec(seconds=2.8).plan("train", 0), tmp_path)
    (video,) = tmp_path.glob("*.mp4")
    waves = {}
    for way in ("auto", "vocos", "griffin_lim"):
        wav = tmp_path / f"{way}.wav"
        result = run(
            program("pn-diffusion"), "generate", str(video), "-c", str(exported),
            "-o", str(tmp_path / f"{way}.mp4"), "--wav", str(wav), "--vocoder", way,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        waves[way], rate = soundfile.read(wav)
        assert rate == 44100 and np.abs(waves[way]).max() > 0.5
    assert np.array_equal(waves["auto"], waves["vocos"])
    assert np.abs(waves["auto"] - waves["griffin_lim"]).max() > 0.05


def test_a_vocoder_that_is_none_is_told(experiment: Experiment, tmp_path: Path) -> None:
    result = run(
        program("pn-diffusion"), "export", experiment.folder.name, "-o", str(tmp_path / "model"),
        "--vocoder", experiment.vae.name, AUDIOCRAFT_DORA_DIR=str(experiment.dora),
    )  # fmt: skip
    assert result.returncode == 1 and not (tmp_path / "model").exists()
    assert "is of solver 'mel_vae', 'vocoder' is needed" in result.stderr and "Traceback" not in result.stderr
