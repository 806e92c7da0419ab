"""What a user may name as an evaluation, and what is said of what is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_evaluation import as_experiment

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.apps.report.sources import differing, find_manifest, read_source, read_sources
from pn_diffusion_plugin.errors import UserError


def test_a_folder_its_report_and_a_label_name_the_same(evaluation: Path) -> None:
    words = (str(evaluation), f"{evaluation}/report.json", f"ours={evaluation}")
    plain, file, named = (read_source(word) for word in words)
    assert plain.label == file.label == "tiny" and named.label == "ours"
    assert plain.folder == file.folder == named.folder == evaluation
    waves = plain.waves()
    assert list(waves) == ["model", "lagging", "ceiling"]
    assert waves["model"]["dance-1"] == evaluation / "model" / "dance-1.wav"
    assert plain.config == {} and plain.manifest is None


def test_an_experiment_brings_its_configuration_and_command(evaluation: Path, tmp_path: Path) -> None:
    experiment = as_experiment(evaluation, tmp_path / "0a1b2c3d", {"beat_f70": 0.5}, negative__alpha=0.6)
    for word in (experiment, experiment / "evaluate"):
        source = read_source(str(word))
        assert source.label == "0a1b2c3d"
        assert source.config["negative"] == {"alpha": 0.6} and source.config["twice"] == "pn_diffusion"
        assert source.training == "dora run solver=pn_diffusion negative.alpha=0.6"


def test_settings_of_an_evaluation_go_over_those_of_the_training(evaluation: Path, tmp_path: Path) -> None:
    experiment = as_experiment(evaluation, tmp_path / "xp", {}, sampling__steps=30, sampling__guidance=1.0)
    path = experiment / "evaluate" / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "settings": {"sampling.steps": 5}}))
    assert read_source(str(experiment)).config["sampling"] == {"steps": 5, "guidance": 1.0}


def test_the_manifest_is_found_by_the_name_of_the_split(evaluation: Path, manifest: Path) -> None:
    source = read_source(str(evaluation))
    assert find_manifest(source) is None
    link = paths.outputs_dir() / "corpora" / "corpus"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(manifest.parents[1])
    try:
        assert find_manifest(source) == link / "egs" / "test"
    finally:
        link.unlink()


def test_labels_must_differ(evaluation: Path, tmp_path: Path) -> None:
    other = shutil.copytree(evaluation, tmp_path / "tiny")
    with pytest.raises(UserError, match="2 evaluations are called tiny: give them names"):
        read_sources([str(evaluation), str(other)])
    assert [s.label for s in read_sources([str(evaluation), f"copy={other}"])] == ["tiny", "copy"]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 2, "rows": []}', '{"schema": 1, "rows": [{"name": 1}]}']
)
def test_a_damaged_report_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(UserError, match=f"{tmp_path / 'report.json'}.*evaluate again"):
        read_source(str(tmp_path))


def test_what_is_no_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path} holds no report.json"):
        read_source(str(tmp_path))
    with pytest.raises(UserError, match="nothing to report on"):
        read_sources([])


def test_what_differs_leaves_out_what_makes_no_other_system() -> None:
    first = {"seed": 1, "negative": {"alpha": 0.6, "latent": "mirrored"}, "dora": {"dir": "a"}}
    second = {"seed": 2, "negative": {"alpha": 0.9, "latent": "mirrored"}, "dora": {"dir": "b"}, "new": 1}
    assert differing([first, second]) == ["negative.alpha", "new"]


@pytest.mark.parametrize("depth", [9, 0], ids=["a billion values", "itself"])
def test_a_configuration_without_end_is_refused_at_once(evaluation: Path, tmp_path: Path, depth: int) -> None:
    folder = as_experiment(evaluation, tmp_path / "xp", {})
    names = "abcdefghij"[: depth + 1]
    lines = [f"{y}: &{y} [{','.join(['*' + x] * 10)}]" for x, y in zip(names, names[1:], strict=False)]
    bomb = ["a: &a [x]", *lines] if depth else ["a: &a [*a]"]
    (folder / ".hydra" / "config.yaml").write_text("\n".join(bomb) + "\n")
    with pytest.raises(UserError, match="config.yaml cannot be read"):
        read_source(str(folder / "evaluate"))
