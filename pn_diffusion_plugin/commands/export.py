"""`pn-diffusion export`: a trained model as a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .common import finish, say


def export(
    checkpoint: Annotated[str, typer.Argument(help="Dora signature or experiment folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for safetensors and YAML.")],
    hardware: Annotated[str | None, typer.Option(help="What it was trained on, for training.json.")] = None,
    vocoder: Annotated[
        str | None,
        typer.Option(
            help="Signature or folder of a `solver=vocoder` experiment, whose vocoder is to go with the model."
        ),
    ] = None,
    refinement: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Iterations of Griffin-Lim after the vocoder, where others than it was trained to have.",
        ),
    ] = None,
    license: Annotated[str | None, typer.Option(help="Of the weights, for the model card, e.g. mit.")] = None,
    data: Annotated[
        str | None, typer.Option(help="What it was trained on and under which licence, for the model card.")
    ] = None,
) -> None:
    """Write a trained model as a folder that `generate --checkpoint` loads, with nothing pickled in it.

    With a model card, README.md: how it was trained, how it scored, how to use it, and gaps for what only you know.

    Example: `pn-diffusion export 1a2b3c4d -o models/mine --license cc-by-nc-4.0 --data "my videos, all rights mine"`

    With a vocoder: `pn-diffusion export 1a2b3c4d -o models/mine --vocoder 5e6f7a8b`
    """
    from ..models.checkpoint import resolve_checkpoint
    from ..models.model_card import read_experiment_report, write_model_card
    from ..models.pn_diffusion import PNDiffusion
    from ..models.trained_vocoder import load_vocoder
    from ..models.training_card import read_card, training_card, write_card

    model = PNDiffusion.get_pretrained(checkpoint)
    trained = model.trained_vocoder if vocoder is None else load_vocoder(vocoder)
    if refinement is not None:
        if trained is None:
            raise UserError(
                f"refinement is {refinement} and the model has no vocoder of its own: give --vocoder, too"
            )
        trained = replace(trained, refinement=refinement)
    model.use_vocoder(trained)
    experiment = resolve_checkpoint(checkpoint)
    report = read_experiment_report(experiment)
    folder = model.save_pretrained(output)
    training = read_card(experiment)
    if (experiment / "history.json").is_file():
        training = training_card(experiment, hardware)
    if training is not None:
        write_card(folder, training)
    parameters = sum(value.numel() for part in model.parts() for value in part.parameters())
    write_model_card(folder, model.config, parameters, training, report, license, data)
    say(f"wrote {folder}")
    finish({"folder": folder, "files": sorted(file.name for file in folder.iterdir())})
