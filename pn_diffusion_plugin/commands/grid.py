"""`pn-diffusion grid`: run a Dora grid on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import finish, say


def grid(
    name: Annotated[str, typer.Argument(help="Name of the grid, e.g. mini.baselines.")],
    patterns: Annotated[
        list[str] | None,
        typer.Argument(help="Run only cells whose name contains one of these, or with these numbers."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells to run at once; they share the CPU cores.")] = 1,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-x", help="Override for every cell, e.g. device=cuda."),
    ] = None,
) -> None:
    """Run a grid of experiments on this machine, without SLURM. Run again, it resumes.

    Example: `pn-diffusion grid mini.baselines --jobs 2`
    """
    from ..apps.local_grid import run_locally

    failed = run_locally(name, patterns or (), jobs, override or (), say)
    finish({"grid": name, "failed": failed}, failed=bool(failed))
