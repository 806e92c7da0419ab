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
) -> None:
    """Write a trained model as a folder that `generate --checkpoint` loads, with nothing pickled in it.

    Example: `pn-diffusion export 1a2b3c4d -o models/mine`
    """
    from ..models.checkpoint import resolve_checkpoint
    from ..models.pn_diffusion import PNDiffusion
    from ..models.training_card import training_card, write_card

    model = PNDiffusion.get_pretrained(checkpoint)
    folder = model.save_pretrained(output)
    experiment = resolve_checkpoint(checkpoint)
    if (experiment / "history.json").is_file():
        write_card(folder, training_card(experiment, hardware))
    say(f"wrote {folder}")
    finish({"folder": folder, "files": sorted(file.name for file in folder.iterdir())})
