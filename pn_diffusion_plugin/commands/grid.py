"""`pn-diffusion grid`: a Dora grid on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import finish, say


def grid(
    name: Annotated[str, typer.Argument(help="The grid, e.g. mini.baselines.")],
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Parts of names, or numbers, of the cells to run; all.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells at once; they share the processor's cores.")] = 1,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", "-x", help="Added to every cell, e.g. device=cuda."),
    ] = None,
) -> None:
    """Run a grid of experiments on this machine, without Slurm; interrupted, it goes on where it was.

    Example: `pn-diffusion grid mini.baselines --jobs 2`
    """
    from ..apps.local_grid import run_locally

    failed = run_locally(
        name,
        patterns or (),
        jobs,
        override or (),
        say,
    )
    finish({"grid": name, "failed": failed}, failed=bool(failed))
