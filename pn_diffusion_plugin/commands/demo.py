"""`pn-diffusion demo`: the whole chain on generated dances."""

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
            help="Train autoencoder and model here, instead of "
            "starting from the weights that ship with the project.",
        ),
    ] = False,
    clips: Annotated[int, typer.Option(min=1, max=32, help="Test dances.")] = 32,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the results.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes of the extraction.")] = os.cpu_count() or 1,
) -> None:
    """The whole chain on generated dances: videos with their new music, pictures and an honest report.

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
