"""The real `pn-diffusion prepare generated`, of two clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_experiment import program, run

from pn_diffusion_plugin.data.features.feature_file import FeatureSpec, load_features
from pn_diffusion_plugin.data.manifest import CorpusPaths, load_manifest

pytestmark = pytest.mark.integration


@pytest.mark.slow
def test_a_training_clip_without_a_video_and_a_test_clip_with_one(tmp_path: Path) -> None:
    sizes = ("--train", "1", "--valid", "0", "--test", "1", "--jobs", "1")
    command = (program("pn-diffusion"), "prepare", "generated", str(tmp_path), "--keypoints", *sizes)
    made = run(*command, "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["made"], told["failed"], told["leak_check"]) == (2, [], "ok")
    paths = CorpusPaths(tmp_path)
    assert [len(load_manifest(paths.manifest(split))) for split in ("train", "test")] == [1, 1]
    assert [path.stem for path in sorted((tmp_path / "videos").glob("*.mp4"))] == ["generated-test-00000"]
    train, test = (
        load_features(paths.features(f"generated-{split}-00000"), FeatureSpec()).header
        for split in ("train", "test")
    )
    assert train.pose_extractor.startswith("generated/") and test.pose_extractor.startswith("blazepose/")
    again = run(*command)
    assert again.returncode == 0 and "0 clips made, 2 existed" in again.stderr + again.stdout


def test_wrong_usage_is_told_in_a_sentence(tmp_path: Path) -> None:
    nothing = ("--train", "0", "--valid", "0", "--test", "0")
    for options, words in ((nothing, "no clips"), (("--shards", "2"), "--shard-index")):
        told = run(program("pn-diffusion"), "prepare", "generated", str(tmp_path / "c"), *options)
        assert told.returncode == 1 and words in told.stderr and "Traceback" not in told.stderr
    assert not (tmp_path / "c").exists()
