"""`pn-diffusion report`: one page on one or more evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import check_output, command_line, finish, say


def report(
    evaluations: Annotated[
        list[str],
        typer.Argument(
            help="Dora signatures, or folders with report.json; LABEL=… names one.", metavar="SIG|DIR…"
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The page (html); the same as Markdown is written beside it."),
    ],
    clips: Annotated[int, typer.Option(min=0, help="How many clips of each split to show and hear.")] = 4,
    clip: Annotated[list[str] | None, typer.Option(help="Show this clip instead (may be repeated).")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest of the clips (…/egs/test), where it is not found by itself."),
    ] = None,
    video: Annotated[bool, typer.Option(help="Put the dances beside the players.")] = True,
) -> None:
    """Scores between null and ceiling rows, curves, figures and players, as one page that needs no network.

    Example: `pn-diffusion report aligned=1a2b3c4d pooled=5e6f7a8b -o report.html`
    """
    from ..apps.report.blocks import write_page
    from ..apps.report.page import build_page
    from ..apps.report.sources import read_sources

    check_output(output, ".html")
    page = build_page(
        read_sources(evaluations, manifest),
        clips=clips,
        wanted=clip or (),
        video=video,
        command=command_line(),
    )
    files = write_page(page, output)
    for file in files:
        say(f"wrote {file}")
    finish({"files": files})
