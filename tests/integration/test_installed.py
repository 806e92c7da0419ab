"""The wheel, installed without the checkout: commands from an empty folder, by a user of whom nothing is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from tiny_experiment import REPOSITORY, overrides

pytestmark = pytest.mark.integration

Installed = tuple[Path, dict[str, str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Folder of the programs of an environment with the wheel, and the bare variables to run them with.

    The packages that the wheel asks for are those of this environment (7 GB need not be copied): a file .pth names
    them, behind the environment's own.
    """
    folder = tmp_path_factory.mktemp("installed")
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    build = [sys.executable, "-m", "pip", "--quiet", "wheel", *offline, "--wheel-dir", str(folder)]
    subprocess.run([*build, str(REPOSITORY)], check=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(environment), *install], check=True)
    variables = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    return environment / "bin", variables


def run(installed: Installed, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment in `folder`."""
    programs, variables = installed
    line = [str(programs / command[0]), *command[1:]]
    return subprocess.run(line, cwd=folder, env=variables, capture_output=True, text=True, timeout=1200)


def test_the_wheel_is_what_runs(installed: Installed, tmp_path: Path) -> None:
    told = run(installed, tmp_path, "python", "-c", "import pn_diffusion_plugin as p; print(p.__file__)")
    assert Path(told.stdout.strip()).is_relative_to(installed[0].parent)


def test_the_doctor_finds_everything_and_leaves_nothing(installed: Installed, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "pn-diffusion", "doctor", "--json")
    told = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert told["outputs"]["detail"] == f"{tmp_path / 'outputs'} (does not exist yet)"
    assert told["Dora's folder"]["detail"].startswith(str(tmp_path / "outputs" / "dora"))
    assert Path(told["configuration"]["detail"]).is_relative_to(installed[0].parent)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_dora_trains_in_an_empty_folder(installed: Installed, tiny_corpus: Path, tmp_path: Path) -> None:
    few = [item for item in overrides(tiny_corpus) if not item.startswith("optim.")]
    few += ["optim.epochs=1", "optim.updates_per_epoch=1", "evaluate.metrics.frechet_musicnn=false"]
    done = run(installed, tmp_path, "python", "-m", "dora", "-P", "pn_diffusion_plugin", "run", *few)
    assert done.returncode == 0, done.stderr[-3000:]
    assert os.listdir(tmp_path) == ["outputs"]
    reports = list((tmp_path / "outputs" / "dora" / "xps").glob("*/evaluate/report.json"))
    assert len(reports) == 1
    sig = reports[0].parents[1].name
    done = run(installed, tmp_path, "pn-diffusion", "export", sig, "-o", "model", "--json")
    assert json.loads(done.stdout)["folder"] == "model", done.stderr
    assert {"README.md", "config.yaml", "model.safetensors"} <= set(os.listdir(tmp_path / "model"))


def test_grids_come_with_the_wheel(installed: Installed, tmp_path: Path) -> None:
    grid = ("grid", "mini.alpha", "--dry_run", "--no_monitoring")
    done = run(installed, tmp_path, "python", "-m", "dora", "-P", "pn_diffusion_plugin", *grid)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "alpha" in done.stdout + done.stderr
