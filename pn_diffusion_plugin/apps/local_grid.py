"""A Dora grid on this machine: Dora itself submits grids to Slurm only.

Cells are made with Dora's own `--init` and run with `dora run -f SIG`, so each is an ordinary experiment: it resumes
where it was, is not run again once it is finished, and `dora grid` shows it too.
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
Told = Callable[[str], None]


def load_explorer(name: str) -> Any:
    """The explorer of a grid, e.g. `mini.baselines`.

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
    """The experiments of a grid (`dora.shep.Sheep`), made ready to run but not run.

    Args:
        patterns: parts of names or numbers of cells; all by default.
    """
    args = RunGridArgs(patterns=list(patterns), monitor=False, silent=True, dry_run=True, init=True)
    return run_grid(main, load_explorer(name), name, args=args)


def is_finished(sheep: Any) -> bool:
    """Whether an experiment has nothing left to do."""
    history = main.get_xp_history(sheep.xp)
    if sheep.xp.cfg.execute_only:
        return bool(history)
    return len(history) >= sheep.xp.cfg.optim.epochs


def run_locally(
    name: str,
    patterns: Sequence[str] = (),
    jobs: int = 1,
    overrides: Sequence[str] = (),
    tell: Told = print,
) -> list[str]:
    """Run what is unfinished of a grid, `jobs` experiments at once, and print the explorer's table.

    Args:
        overrides: added to every cell, e.g. `device=cuda`; such as change no signature.
        tell: gets a line for every cell that begins or ends.

    Returns:
        Signatures of the cells that failed; what they said stands in `local.log` in their folders.

    Raises:
        UserError: no such grid, or no cell matches.
    """
    sheeps = list_cells(name, patterns)
    if not sheeps:
        raise UserError(f"no cell of the grid {name} matches {' '.join(patterns)}: leave the patterns out")
    names, _ = main.get_names([sheep.xp for sheep in sheeps])
    threads = max(1, (os.cpu_count() or 1) // jobs)
    todo = [(sheep, label) for sheep, label in zip(sheeps, names, strict=True) if not is_finished(sheep)]
    tell(f"{len(sheeps)} cells, {len(sheeps) - len(todo)} of them finished")
    failed: list[str] = []

    def run(sheep: Any, label: str) -> None:
        tell(f"{sheep.xp.sig} begins: {label}")
        done = _run_cell(sheep, [f"num_threads={threads}", *overrides], threads)
        tell(f"{sheep.xp.sig} {'is finished' if done else f'failed, see {sheep.xp.folder / LOG}'}")
        if not done:
            failed.append(sheep.xp.sig)

    # Cells that only evaluate need another cell's checkpoint.
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
