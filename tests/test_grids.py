"""Every grid lists its cells, and a small one runs on this machine."""

from __future__ import annotations

import functools
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pn_diffusion_plugin import cli, paths
from pn_diffusion_plugin.apps.local_grid import LOG, is_finished, list_cells, load_explorer, run_locally
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.train import main

CELLS = {
    "alpha": 23,
    "ablation": 27,
    "baselines": 14,
    "guidance": 16,
    "negatives": 33,
    "readings": 18,
    "sampler_steps": 17,
    "scale": 9,
}


@pytest.fixture(scope="module", autouse=True)
def dora_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before, main.dora.dir = main.dora.dir, tmp_path_factory.mktemp("grids") / "dora"
    yield
    main.dora.dir = before


@functools.cache
def cells(name: str) -> list[Any]:
    """Listing is slow: every cell's configuration is composed."""
    return list_cells(name)


@pytest.mark.parametrize("name", [f"{kind}{name}" for kind in ("", "mini.") for name in CELLS])
def test_grids_list_their_cells(name: str) -> None:
    sheeps = cells(name)
    assert len(sheeps) == len({sheep.xp.sig for sheep in sheeps}) == CELLS[name.removeprefix("mini.")]
    assert all(sheep.xp.cfg.slurm.gpus <= 1 for sheep in sheeps)
    assert not any(is_finished(sheep) for sheep in sheeps)


@pytest.mark.parametrize("name", CELLS)
def test_the_line_in_a_grids_docstring_is_one_of_its_cells(name: str) -> None:
    sheeps = cells(f"mini.{name}")
    doc = str(importlib.import_module(f"grids.mini.{name}").__doc__)
    (line,) = re.findall(r"dora run ((?:.|\n)+?)\n\n", doc)
    argv = line.replace("\\\n", " ").split()
    if "continue_from=//sig/SIG" in argv:  # what is evaluated is an experiment of its own
        argv.append("label=sampling")
    assert main.get_xp(argv).sig in {sheep.xp.sig for sheep in sheeps}


def test_one_row_per_clip_costs_as_much_as_two() -> None:
    for sheep in cells("mini.ablation"):
        cfg = sheep.xp.cfg
        one_row = cfg.negative.alpha == 1 or cfg.negative.latent == "contrast"
        rows = cfg.dataset.batch_size * (1 if one_row else 2)
        assert rows == 16


def test_guidance_is_compared_at_equal_numbers_of_evaluations() -> None:
    base, *others = cells("mini.guidance")
    for sheep in others:
        cfg = sheep.xp.cfg
        negative = cfg.sampling.negative_guidance + cfg.sampling.negative_cfg
        branches = 1 + (cfg.sampling.guidance != 1) + (negative != 0)
        assert cfg.sampling.steps * branches == 48
        assert cfg.continue_from == f"//sig/{base.xp.sig}"


def test_doras_own_command_lists_a_grid(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "dora", "grid", "mini.scale", "--dry_run", "--no_monitoring"],
        cwd=paths.base_dir(),
        capture_output=True,
        text=True,
        env={**os.environ, "PN_DIFFUSION_OUTPUTS": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    signatures = {sheep.xp.sig for sheep in cells("mini.scale")}
    assert signatures <= set(re.findall(r"[0-9a-f]{8}", result.stdout)) and "F of" in result.stdout


def test_an_unknown_grid_or_cell_is_named() -> None:
    with pytest.raises(UserError, match="no grid 'nothing': choose from ablation, alpha, .*mini.baselines"):
        load_explorer("nothing")
    with pytest.raises(UserError, match="no cell of the grid mini.scale matches"):
        run_locally("mini.scale", ["never"])


def test_a_failed_cell_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOCRAFT_DORA_DIR", str(tmp_path / "dora"))  # of the cells' own processes
    monkeypatch.setattr(main.dora, "dir", tmp_path / "dora")
    lines: list[str] = []
    failed = run_locally("scale", ["0"], report=lines.append)  # there is no AIST++ corpus
    assert len(failed) == 1 and lines[0] == "1 cells, 0 of them finished" and "failed, see" in lines[-1]
    assert "is missing: make the corpus" in (tmp_path / "dora" / "xps" / failed[0] / LOG).read_text()


def test_help_has_an_example() -> None:
    assert "mini.baselines --jobs 2" in CliRunner().invoke(cli.app, ["grid", "--help"]).stdout
