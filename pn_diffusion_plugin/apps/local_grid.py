"""Run a Dora grid on this machine; Dora itself submits grids to SLURM only.

Cells are initialised with Dora's own `--init` and run with `dora run -f SIG`, so each is an ordinary experiment: it
resumes, is not run again once it is finished, and is listed by `dora grid`.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dora.grid import RunGridArgs, monitor, run_grid

from .. import paths
from ..errors import UserError
from ..train import main

LOG = "local.log"


def load_explorer(name: str) -> Any:
    """Explorer of a grid, e.g. `mini.baselines`.

    Raises:
        UserError: there is no such grid.
    """
    package = importlib.import_module(main.dora.grid_package)
    folder = Path(str(package.__file__)).parent
    names = sorted(
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for path in folder.rglob("*.py")
        if not path.name.startswith("_")
    )
    if name not in names:
        raise UserError(f"there is no grid {name!r}: choose from {', '.join(names)}")
    return importlib.import_module(f"{package.__name__}.{name}").explorer


def list_cells(name: str, patterns: Sequence[str] = ()) -> list[Any]:
    """Experiments of a grid (`dora.shep.Sheep`), initialised but not run.

    Args:
        patterns: only cells whose name contains one of these, or with these numbers; all by default.
    """
    args = RunGridArgs(patterns=list(patterns), monitor=False, silent=True, dry_run=True, init=True)
    return run_grid(main, load_explorer(name), name, args=args)


def is_finished(sheep: Any) -> bool:
    """Whether an experiment is finished."""
    history = main.get_xp_history(sheep.xp)
    if sheep.xp.cfg.execute_only:
        return bool(history)
    return len(history) >= sheep.xp.cfg.optim.epochs


def run_locally(
    name: str,
    patterns: Sequence[str] = (),
    jobs: int = 1,
    overrides: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> list[str]:
    """Run the unfinished cells of a grid, `jobs` at once, and print the explorer's table.

    Args:
        overrides: added to every cell, e.g. `device=cuda`; only those that do not change its signature.
        report: called with a line when a cell starts or ends.

    Returns:
        Signatures of the cells that failed. Their output is in `local.log` in their folders.

    Raises:
        UserError: there is no such grid, or no cell matches.
    """
    sheeps = list_cells(name, patterns)
    if not sheeps:
        raise UserError(f"no cell of the grid {name} matches {' '.join(patterns)}: leave the patterns out")
    names, _ = main.get_names([sheep.xp for sheep in sheeps])
    threads = max(1, (os.cpu_count() or 1) // jobs)
    todo = [(sheep, label) for sheep, label in zip(sheeps, names, strict=True) if not is_finished(sheep)]
    report(f"{len(sheeps)} cells, {len(sheeps) - len(todo)} of them finished")
    failed: list[str] = []

    def run(sheep: Any, label: str) -> None:
        report(f"{sheep.xp.sig} starts: {label}")
        done = _run_cell(sheep, [f"num_threads={threads}", *overrides], threads)
        report(f"{sheep.xp.sig} {'is finished' if done else f'failed, see {sheep.xp.folder / LOG}'}")
        if not done:
            failed.append(sheep.xp.sig)

    # Cells that only evaluate need the checkpoint of another cell.
    for evaluating in (False, True):
        with ThreadPoolExecutor(jobs) as pool:
            part = [cell for cell in todo if bool(cell[0].xp.cfg.execute_only) == evaluating]
            list(pool.map(lambda cell: run(*cell), part))
    monitor(RunGridArgs(), main, load_explorer(name), sheeps, print)
    return failed


def _run_cell(sheep: Any, overrides: Sequence[str], threads: int) -> bool:
    command = [
        sys.executable,
        "-m",
        "dora",
        "-P",
        "pn_diffusion_plugin",
        "run",
        "-f",
        sheep.xp.sig,
        *overrides,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with (sheep.xp.folder / LOG).open("a", encoding="utf-8") as log:
        done = subprocess.run(
            command, cwd=paths.base_dir(), env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    return done.returncode == 0 and is_finished(sheep)
