from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pn_diffusion_plugin import paths


def test_the_checkout_is_known(repository: Path) -> None:
    assert paths.IN_CHECKOUT
    assert paths.base_dir() == repository
    assert (paths.config_dir() / "config.yaml").is_file()
    assert paths.weights_dir("mini") == repository / "pn_diffusion_plugin" / "weights" / "mini"


def test_relative_paths_hang_on_the_checkout_and_outputs_on_their_folder(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PN_DIFFUSION_OUTPUTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # Hydra changes folders: it must not matter
    assert paths.resolve("some/corpus") == repository / "some" / "corpus"
    assert paths.resolve("outputs/corpora/mini") == tmp_path / "corpora" / "mini"
    assert paths.resolve("outputs") == tmp_path
    assert paths.resolve("outputs_old/x") == repository / "outputs_old" / "x"
    assert paths.resolve("/somewhere/else") == Path("/somewhere/else")
    assert paths.resolve("~/corpus") == Path.home() / "corpus"


def test_outputs_are_in_the_checkout_unless_told_otherwise(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for nothing in (None, ""):
        if nothing is None:
            monkeypatch.delenv("PN_DIFFUSION_OUTPUTS")
        else:
            monkeypatch.setenv("PN_DIFFUSION_OUTPUTS", nothing)
        assert paths.outputs_dir() == repository / "outputs"


def test_installed_without_a_checkout_things_are_where_the_program_started(
    repository: Path, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "pn_diffusion_plugin"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "paths.py").write_bytes((repository / "pn_diffusion_plugin" / "paths.py").read_bytes())
    start = tmp_path / "work"
    start.mkdir()
    code = (
        "import os; from pn_diffusion_plugin import paths; os.chdir('/');"
        "print(paths.config_dir(), paths.outputs_dir())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    del environment["PN_DIFFUSION_OUTPUTS"]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=start, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [str(package / "_config"), str(start / "outputs")]
