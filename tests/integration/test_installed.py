"""The wheel, installed without the checkout: commands from an empty folder, by a user of whom nothing is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny_experiment import REPOSITORY, overrides

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec

pytestmark = pytest.mark.integration

Installed = tuple[Path, dict[str, str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    build = [sys.executable, "-m", "pip", "--quiet", "wheel", *offline, "--wheel-dir", str(folder)]
    subprocess.run([*build, str(REPOSITORY)], check=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Folder of the programs of an environment with the wheel, and the bare variables to run them with.

    The packages that the wheel asks for are those of this environment (7 GB need not be copied): a file .pth names
    them, behind the environment's own.
    """
    return install_wheel(wheel, tmp_path_factory.mktemp("installed"), Path(sysconfig.get_path("purelib")))


@pytest.fixture(scope="module")
def without_training(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The same, with only the packages that plain pip would install: those that the wheel requires, and their own."""
    folder = tmp_path_factory.mktemp("without_training")
    packages = folder / "packages"
    packages.mkdir()
    (file,) = metadata.Distribution.discover(name="pn-diffusion-plugin", path=[str(wheel)])
    for name in closure(file.requires or []) | {"opencv-contrib-python-headless"}:
        for path in metadata.distribution(name).files or []:
            link = packages / path.parts[0]
            if path.parts[0] != ".." and not link.is_symlink():
                link.symlink_to(
                    path.locate().parents[len(path.parts) - 2] if len(path.parts) > 1 else path.locate()
                )
    return install_wheel(wheel, folder, packages)


def closure(lines: list[str]) -> set[str]:
    """Installed distributions that requirements ask for, directly and through others, without extras."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in lines]
    while waiting:
        requirement = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}) or requirement.name in found:
            continue
        try:
            waiting += map(Requirement, metadata.requires(requirement.name) or [])
        except metadata.PackageNotFoundError:  # left out of the lock: tests/test_packaging.py names them
            continue
        found.add(requirement.name)
    return found


def install_wheel(wheel: Path, folder: Path, packages: Path) -> Installed:
    """Install the wheel into a new environment that finds its requirements in the folder `packages`."""
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
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


def test_music_needs_nothing_of_training(without_training: Installed, tmp_path: Path) -> None:
    """What plain pip installs is enough for a video's music and its scores; training is refused with the remedy."""
    video = write_clip_video(MiniSpec(test=1, seconds=5.4).plan("test", 0), tmp_path)
    done = run(without_training, tmp_path, "pn-diffusion", "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert not checks["training"]["ok"] and "audiocraft" in checks["training"]["remedy"]
    generate = ("generate", str(video), "-o", "out.mp4", "--wav", "out.wav")
    done = run(without_training, tmp_path, "pn-diffusion", *generate)
    assert done.returncode == 0, done.stderr[-3000:]
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "clip.wav").write_bytes((tmp_path / "out.wav").read_bytes())
    evaluate = ("evaluate", "--reference", "a", "--generated", "b", "-o", "scores.json")
    done = run(without_training, tmp_path, "pn-diffusion", *evaluate)
    assert done.returncode == 0, done.stderr[-3000:]
    for command in (("grid", "mini.alpha"), ("export", "0123abcd", "-o", "model")):
        done = run(without_training, tmp_path, "pn-diffusion", *command)
        assert done.returncode == 1 and "pip install --no-deps audiocraft" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    done = run(without_training, tmp_path, "python", "-m", "pn_diffusion_plugin.train")
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
