"""audiocraft's metrics on sounds whose quality is known, and what is said where they cannot run.

TensorFlow's FAD, ViSQOL and PaSST are not to be had here. Small programs that take their arguments and write their
files stand in their place, so that audiocraft's classes really run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pn_diffusion_plugin._compat import ensure_ffmpeg
from pn_diffusion_plugin.metrics.quality import QUALITY, quality_metrics
from pn_diffusion_plugin.metrics.scoring import EvaluationClip, row_sounds
from pn_diffusion_plugin.metrics.settings import Settings, load_settings

RATE = 22050
SECONDS = 4

EMBEDDINGS = """
import argparse, json, soundfile, numpy as np
p = argparse.ArgumentParser()
for name in ("model_ckpt", "input_files", "stats", "batch_size"):
    p.add_argument("--" + name)
a = p.parse_args()
assert open(a.model_ckpt).read() == "weights", "no checkpoint"
sounds = [soundfile.read(line.strip()) for line in open(a.input_files)]
assert all(rate == 16000 for _, rate in sounds)
json.dump([float(np.mean([np.abs(np.diff(w)).mean() for w, _ in sounds])), len(sounds)], open(a.stats, "w"))
"""
COMPUTE = """
import argparse, json
p = argparse.ArgumentParser()
p.add_argument("--test_stats")
p.add_argument("--background_stats")
a = p.parse_args()
test, background = json.load(open(a.test_stats)), json.load(open(a.background_stats))
assert test[1] == background[1] == 3
print("FAD: %f" % (1000 * (test[0] - background[0]) ** 2))
"""
VISQOL = """
import csv, os, sys, numpy as np, soundfile
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert os.path.exists(args["--similarity_to_quality_model"])
if os.path.exists(os.path.join(os.path.dirname(__file__), "broken")):
    sys.exit("out of order")
rows = list(csv.DictReader(open(args["--batch_input_csv"])))
with open(args["--results_csv"], "w") as f:
    out = csv.writer(f)
    out.writerow(["reference", "degraded", "moslqo"])
    for row in rows:
        (a, rate), (b, _) = soundfile.read(row["reference"]), soundfile.read(row["degraded"])
        assert rate == 48000
        out.writerow([row["reference"], row["degraded"], 1 + 3.5 * max(0, np.corrcoef(a, b)[0, 1])])
open(args["--output_debug"], "w").write("{}")
"""
PASST = """
import torch
class Model(torch.nn.Module):
    def forward(self, wav):  # energies of four bands, as if they were classes
        assert wav.dim() == 2
        power = torch.fft.rfft(wav).abs().square()
        return torch.stack([b.mean(dim=1) for b in power.chunk(4, dim=1)], dim=1).add(1e-6).log()
def get_basic_model(mode):
    assert mode == "logits"
    return Model()
"""


def tune(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    notes = [np.sin(2 * np.pi * 220 * 2 ** (rng.integers(12) / 12) * time) for _ in range(2 * SECONDS)]
    return (0.3 * np.concatenate(notes)).astype(np.float32)


@pytest.fixture(scope="module")
def clips() -> list[EvaluationClip]:
    return [EvaluationClip(f"c{i}", tune(i), RATE) for i in range(3)]


@pytest.fixture(scope="module")
def sounds(clips: list[EvaluationClip]) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(9)
    noisy = {
        c.name: c.reference + 0.03 * rng.standard_normal(c.reference.size).astype(np.float32) for c in clips
    }
    other = {c.name: tune(50 + i) for i, c in enumerate(clips)}
    return row_sounds(clips, {"noisy": noisy, "other": other})


def run(
    clips: Any, sounds: Any, *metrics: str, overrides: list[str] | None = None
) -> dict[str, dict[str, Any]]:
    return quality_metrics(clips, sounds, load_settings(metrics, overrides=overrides or []))[0]


def test_chroma_and_relative_volume_run_here_and_tell_near_from_far(clips, sounds) -> None:
    rows = run(clips, sounds, "chroma_cosine", "rvm")
    chroma = {name: row["chroma_cosine"]["mean"] for name, row in rows.items()}
    assert chroma["reference"] == pytest.approx(1, abs=1e-4)
    assert chroma["reference"] > chroma["noisy"] > 0.8 > chroma["other"] > chroma["silence"] == 0
    level = {name: row["rvm"]["mean"] for name, row in rows.items()}
    assert level["reference"] == pytest.approx(-25, abs=1e-3)  # clamped there
    assert (
        level["reference"] < level["other"] < level["noisy"]
    )  # hiss fills every band that the tones left empty
    louder = row_sounds(clips, {"louder": {c.name: 1.1 * c.reference for c in clips}})
    assert (
        -25 <= run(clips, louder, "rvm")["louder"]["rvm"]["mean"] <= -19.9
    )  # 20 lg 0.1 where there is music
    assert rows["noisy"]["rvm"]["n"] == 3 and rows["noisy"]["rvm"]["low"] <= level["noisy"]


def test_clip_by_clip_is_what_audiocrafts_class_gives_for_the_corpus(clips, sounds) -> None:
    from audiocraft.metrics import ChromaCosineSimilarityMetric, RelativeVolumeMel

    rows = run(clips, sounds, "chroma_cosine", "rvm")
    made, true = (torch.from_numpy(np.stack(sounds[row]))[:, None] for row in ("noisy", "reference"))
    metric = ChromaCosineSimilarityMetric(RATE, 12, 14, False)
    metric.update(made, true, torch.full((3,), made.shape[-1]), torch.full((3,), RATE))
    assert rows["noisy"]["chroma_cosine"]["mean"] == pytest.approx(metric.compute(), abs=1e-5)
    rvm = RelativeVolumeMel(RATE)
    expected = np.mean([float(rvm(a, b)["rvm"]) for a, b in zip(made, true, strict=True)])
    assert rows["noisy"]["rvm"]["mean"] == pytest.approx(expected, abs=1e-4)


def test_another_rate_does_not_shorten_the_clip(clips, sounds) -> None:
    """audiocraft counts chroma frames at the given rate: at 22 050 Hz it would see 69 % of a clip at 32 kHz."""
    half = {
        "model": {
            c.name: np.concatenate([c.reference[: 3 * RATE], 0 * c.reference[3 * RATE :]]) for c in clips
        }
    }
    rows = run(
        clips, row_sounds(clips, half), "chroma_cosine",
        overrides=["metrics.chroma_cosine.chroma_base.sample_rate=32000"],
    )  # fmt: skip
    assert rows["model"]["chroma_cosine"]["mean"] < 0.9


@pytest.mark.parametrize("name", ["frechet_musicnn", "kad_musicnn"])
def test_distances_in_musicnns_embedding_separate_the_rows(name: str) -> None:
    clips = [EvaluationClip(f"c{i}", tune(i)[: 3 * RATE], RATE) for i in range(8)]
    like = {c.name: tune(100 + i)[: 3 * RATE] for i, c in enumerate(clips)}
    settings = Settings(metrics=(name,))
    rows = quality_metrics(clips, row_sounds(clips, {"like": like}), settings)[0]
    values = {key: row[name] for key, row in rows.items()}
    assert values["like"]["n"] == 8
    assert values["like"]["mean"] < 0.3 * values["silence"]["mean"]
    assert "reference clips themselves" in values["reference"]["not_run"]


def test_what_cannot_run_says_what_it_needs(clips, sounds, tmp_path: Path) -> None:
    rows = run(clips, sounds, *QUALITY)
    for row in rows.values():
        assert row.keys() >= set(QUALITY)
    told = {name: value["not_run"] for name, value in rows["noisy"].items() if "not_run" in value}
    assert told.keys() == {"frechet_musicnn", "kad_musicnn", "nearest_training", "fad", "kld", "visqol"}
    assert all(reason.startswith("needs ") for reason in told.values())
    assert "metrics.fad.tf.bin" in told["fad"] and "metrics.visqol.bin" in told["visqol"]
    assert "hear21passt" in told["kld"] and "clips" in told["frechet_musicnn"]
    assert run(clips, sounds)["other"]["rvm"] == {"not_run": "needs evaluate.metrics.rvm=true"}
    for name in ("fad.tf", "visqol"):
        metric = name.split(".")[0]
        found = run(clips, sounds, metric, overrides=[f"metrics.{name}.bin={tmp_path}"])["noisy"][metric]
        assert str(tmp_path) in found["not_run"]


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    package = tmp_path / "google-research" / "frechet_audio_distance"
    package.mkdir(parents=True)
    for name, text in {"__init__": "", "create_embeddings_main": EMBEDDINGS, "compute_fad": COMPUTE}.items():
        (package / f"{name}.py").write_text(text)
    (tmp_path / "vggish.ckpt").write_text("weights")
    monkeypatch.setenv("TF_PYTHON_EXE", sys.executable)
    return [f"metrics.fad.tf.bin={package.parent}", f"metrics.fad.tf.model_path={tmp_path / 'vggish.ckpt'}"]


def test_fad_goes_through_audiocraft_to_googles_program(clips, sounds, google: list[str]) -> None:
    ensure_ffmpeg()  # may add to PATH
    before = dict(os.environ)
    rows = run(clips, sounds, "fad", overrides=google)
    assert rows["reference"]["fad"]["mean"] == pytest.approx(0, abs=1e-6)
    assert rows["noisy"]["fad"]["mean"] > 0.01
    assert rows["noisy"]["fad"]["n"] == 3 and rows["noisy"]["fad"]["interval"] is False
    assert dict(os.environ) == before


def test_a_failing_fad_does_not_end_the_process(clips, sounds, google: list[str], tmp_path: Path) -> None:
    (tmp_path / "vggish.ckpt").write_text("something else")
    told = run(clips, sounds, "fad", "rvm", overrides=google)["noisy"]
    assert "no checkpoint" in told["fad"]["not_run"] and "mean" in told["rvm"]
    (tmp_path / "vggish.ckpt").unlink()
    assert (
        "Could not find provided model"
        in run(clips, sounds, "fad", overrides=google)["noisy"]["fad"]["not_run"]
    )


def test_visqol_goes_through_audiocraft(
    clips, sounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "visqol" / "bazel-bin" / "visqol"
    model = tmp_path / "visqol" / "model" / "libsvm_nu_svr_model.txt"
    for path, text in ((program, f"#!{sys.executable}\n{VISQOL}"), (model, "svr")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    program.chmod(0o755)
    overrides = [f"metrics.visqol.bin={tmp_path / 'visqol'}"]
    rows = run(clips, sounds, "visqol", overrides=overrides)
    values = {name: row["visqol"]["mean"] for name, row in rows.items() if name != "silence"}
    assert values["reference"] == pytest.approx(4.5, abs=1e-3)
    assert values["reference"] > values["noisy"] > values["other"] >= 1
    assert not (tmp_path / "None").exists()  # which audiocraft would write
    (program.parent / "broken").touch()
    told = run(clips, sounds, "visqol", overrides=overrides)["noisy"]["visqol"]["not_run"]
    assert told.startswith("needs a working ViSQOL")


def test_kld_goes_through_audiocraft(clips, sounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "hear21passt"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base20sec.py").write_text(PASST)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        rows = run(clips, sounds, "kld")
        assert rows["reference"]["kld"]["mean"] == pytest.approx(0, abs=1e-5)
        assert rows["noisy"]["kld"]["mean"] > 0.01
        assert rows["noisy"]["kld_both"]["mean"] > rows["noisy"]["kld"]["mean"]
        told = run(clips, sounds, "kld", overrides=["metrics.kld.passt.pretrained_length=30"])["noisy"]["kld"]
        assert told["not_run"].startswith("needs PaSST's weights")
    finally:
        for name in [name for name in sys.modules if name.startswith("hear21passt")]:
            del sys.modules[name]


def test_a_metric_that_breaks_does_not_take_the_others_with_it(clips, sounds) -> None:
    rows = run(clips, sounds, "chroma_cosine", "rvm", overrides=["metrics.rvm.n_fft=-1"])
    assert rows["noisy"]["rvm"]["not_run"].startswith("needs mending, it failed with ")
    assert "mean" in rows["noisy"]["chroma_cosine"]
