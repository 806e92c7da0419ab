"""`pn-diffusion export`: a trained model as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import finish, say


def export(
    checkpoint: Annotated[str, typer.Argument(help="Dora signature or experiment folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for safetensors and YAML.")],
    hardware: Annotated[str | None, typer.Option(help="What it was trained on, for training.json.")] = None,
    vocoder: Annotated[
        str | None,
        typer.Option(
            help="Signature or folder of a `solver=vocoder` experiment, or a model such as `mini`: its vocoder is "
            "exported with the model."
        ),
    ] = None,
    refinement: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Iterations of Griffin-Lim after the vocoder; by default as it was trained.",
        ),
    ] = None,
    license: Annotated[str | None, typer.Option(help="Of the weights, for the model card, e.g. mit.")] = None,
    data: Annotated[
        str | None, typer.Option(help="What it was trained on and under which licence, for the model card.")
    ] = None,
    limits: Annotated[str | None, typer.Option(help="Known limitations, for the model card.")] = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            help="report.json whose table the model card shows; may be repeated. By default the "
            "experiment's own evaluation."
        ),
    ] = None,
) -> None:
    """Write a trained model as a folder that `generate --checkpoint` loads, with nothing pickled in it.

    With a model card, README.md: how it was trained, how it scored, how to use it, and gaps for what only you know.

    Example: `pn-diffusion export 1a2b3c4d -o models/mine --license cc-by-nc-4.0 --data "my videos, all rights mine"`

    With a vocoder: `pn-diffusion export 1a2b3c4d -o models/mine --vocoder 5e6f7a8b`
    """
    from ..apps.export import CardText, export_model

    folder = export_model(
        checkpoint,
        output,
        vocoder=vocoder,
        refinement=refinement,
        reports=report or (),
        card=CardText(license, data, limits, hardware),
    )
    say(f"wrote {folder}")
    finish({"folder": folder, "files": sorted(file.name for file in folder.iterdir())})
