from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.errors import CorpusError
from pn_diffusion_plugin.metrics.corpus import evaluate_corpus, flat_metrics, leak_check, read_split
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion


def test_a_split_is_read_in_its_order(tiny_corpus: Path) -> None:
    manifest = CorpusPaths(tiny_corpus).manifest("train")
    clips = read_split(manifest)
    assert [clip.info.name for clip in clips] == [f"mini-train-{index:04d}" for index in range(6)]
    assert [clip.info.name for clip in read_split(manifest, 2)] == ["mini-train-0000", "mini-train-0001"]
    assert all(clip.reference.shape == (132300,) for clip in clips)
    assert Path(clips[0].info.video).is_absolute()


def test_a_song_in_two_splits_is_found(tiny_corpus: Path, tmp_path: Path) -> None:
    assert leak_check(tiny_corpus) == "ok"
    corpus = CorpusPaths(shutil.copytree(tiny_corpus, tmp_path / "corpus"))
    info = json.loads(corpus.info("mini-test-0000").read_text())
    corpus.info("mini-test-0000").write_text(json.dumps({**info, "song": "mini-train-0000-song"}))
    assert leak_check(corpus.root).startswith("LEAKING")


def test_short_clips_are_left_out_and_the_rest_is_scored_at_the_models_rate(
    make_solver: Callable[..., Any], tiny_corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = make_solver("pn_diffusion").inference()
    model = PNDiffusion({**trained.config, "sample_rate": 16000}, trained.dual.eval(), trained.vae)
    manifest = CorpusPaths(tiny_corpus).manifest("test")
    clips = read_split(manifest)
    header, streams = clips[0].features.header, clips[0].features.streams
    clips[0].features = short = Features(replace(header, seconds=2.0), **streams)
    report = evaluate_corpus(model, manifest, tmp_path, clips=clips)
    assert report["clips"] == 1 and "1 of 2 clips are shorter" in caplog.text
    (wav,) = (tmp_path / "model").iterdir()
    assert (soundfile.info(wav).frames, soundfile.info(wav).samplerate) == (96000, 16000)
    rows = {row["name"]: row["metrics"] for row in report["rows"]}
    assert rows["reference"]["beat_f70"]["mean"] > 0.5
    with pytest.raises(CorpusError, match="all 2 clips to evaluate .* are shorter"):
        evaluate_corpus(model, manifest, tmp_path, clips=[replace(clip, features=short) for clip in clips])


def test_a_clips_music_is_the_same_whatever_else_is_evaluated(
    make_solver: Callable[..., Any], tiny_corpus: Path, tmp_path: Path
) -> None:
    model = make_solver("pn_diffusion").inference()
    model.dual.eval()
    manifest = CorpusPaths(tiny_corpus).manifest("test")
    told: list[tuple[int, int]] = []
    report = evaluate_corpus(model, manifest, tmp_path / "all", seed=5, progress=lambda *n: told.append(n))
    evaluate_corpus(model, manifest, tmp_path / "one", seed=5, limit=1)
    (name,) = (path.name for path in (tmp_path / "one" / "model").iterdir())
    a, b = (soundfile.read(tmp_path / out / "model" / name)[0] for out in ("all", "one"))
    assert np.allclose(a, b, atol=1e-3)
    assert told[-1] == (2, 2)
    assert report["seeds"] == [5, 6]
    flat = flat_metrics(report)
    assert flat["beat_f70"] == pytest.approx(report["rows"][0]["metrics"]["beat_f70"]["mean"])
    assert "ceiling/beat_f70" in flat and all(isinstance(value, float) for value in flat.values())
