"""`pn-diffusion demo`: the whole pipeline on generated dances."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from ..utils.progress import stderr
from .common import command_line, finish, say


def demo(
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Train autoencoder and model instead of using the weights in the package.",
        ),
    ] = False,
    clips: Annotated[int, typer.Option(min=1, max=32, help="Number of test dances.")] = 32,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for the results.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes for the extraction of features.")] = os.cpu_count()
    or 1,
) -> None:
    """Run the whole pipeline on generated dances: videos with new music, figures and a report.

    Example: `pn-diffusion demo`
    """
    from .. import paths
    from ..apps.demo import run_demo

    start = time.monotonic()
    folder = run_demo(
        output or paths.outputs_dir() / "demo",
        from_scratch=from_scratch,
        clips=clips,
        jobs=jobs,
        console=stderr,
        command=command_line(),
    )
    seconds = time.monotonic() - start
    say(f"done in {seconds / 60:.1f} minutes: {folder}")
    finish({"folder": folder, "report": folder / "report.json", "seconds": round(seconds, 1)})
