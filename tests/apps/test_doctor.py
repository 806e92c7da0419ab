"""The checks of `doctor`, here and where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pn_diffusion_plugin.apps import doctor
from pn_diffusion_plugin.apps.doctor import Check, Missing, run_checks
from pn_diffusion_plugin.errors import CheckpointError


def run_check(monkeypatch: pytest.MonkeyPatch, check: object, required: bool = True) -> Check:
    """The only check there is."""
    monkeypatch.setattr(doctor, "_CHECKS", (("thing", "get one", required, check),))
    (result,) = run_checks()
    return result


def test_what_is_missing_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise Missing("not there")

    def broken() -> str:
        raise ImportError("libc10_cuda.so:\n cannot open shared object file")

    def with_remedy() -> str:
        raise CheckpointError("no weights: export them")

    assert run_check(monkeypatch, missing) == Check("thing", False, "not there", "get one")
    broken_check = run_check(monkeypatch, broken, required=False)
    assert broken_check.detail == "ImportError: libc10_cuda.so: cannot open shared object file"
    assert not broken_check.required
    assert run_check(monkeypatch, with_remedy) == Check("thing", False, "no weights: export them")
    assert run_check(monkeypatch, lambda: "2.0") == Check("thing", True, "2.0")


def test_a_full_disk_and_little_memory_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_DISK", 1e9)
    with pytest.raises(Missing, match="GB free in"):
        doctor._disk()
    monkeypatch.setattr(doctor, "_MEMORY", 1e9)
    with pytest.raises(Missing, match="GB free"):
        doctor._memory()


def test_a_folder_that_is_not_there_yet_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PN_DIFFUSION_OUTPUTS", str(tmp_path / "a" / "b"))
    assert doctor._outputs() == f"{tmp_path / 'a' / 'b'} (does not exist yet)"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(NotADirectoryError):
        doctor._outputs()


def test_a_module_that_is_not_installed_is_missing() -> None:
    assert doctor._module("rich")() == "installed"
    with pytest.raises(Missing, match="not installed"):
        doctor._module("no_such_module_anywhere")()
    with pytest.raises(Missing, match="not on PATH"):
        doctor._program("", "no-such-program")()


@pytest.mark.slow
@pytest.mark.integration
def test_this_environment_is_in_order(tmp_path: Path) -> None:
    """The real command: the environment of the tests has everything that is required."""
    command = [str(Path(sys.executable).parent / "pn-diffusion"), "doctor", "--json"]
    broken = {**os.environ, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, env=broken, capture_output=True, text=True)
    result = json.loads(done.stdout)
    checks = {check["name"]: check for check in result["checks"]}
    assert done.returncode == 0 and result["ok"], result
    assert len(checks) == len(doctor._CHECKS)
    assert all(checks[name]["ok"] for name in ("torch", "training", "pose model", "bundled model", "ffmpeg"))
    assert not checks["C++ compiler"]["ok"] and "install g++" in checks["C++ compiler"]["remedy"]
