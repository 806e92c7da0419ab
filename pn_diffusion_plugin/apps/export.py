"""A trained model as a folder to publish: weights, configuration, and a record of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..models.io.checkpoint import resolve_checkpoint, vae_source
from ..models.io.training_card import read_card, training_card, write_card
from ..models.pn_diffusion import PNDiffusion
from ..models.vocoders.trained import load_vocoder
from .model_card import write_model_card
from .report.sources import REPORT, read_report


@dataclass(frozen=True)
class CardText:
    """What only the owner of the model knows, for the model card.

    Attributes:
        license: of the weights.
        data: what it was trained on, and under which licence.
        limits: known limitations.
        hardware: what it was trained on; None: as many cores as this machine has.
    """

    license: str | None = None
    data: str | None = None
    limits: str | None = None
    hardware: str | None = None


def export_model(
    checkpoint: str | Path,
    folder: Path,
    *,
    vocoder: str | Path | None = None,
    refinement: int | None = None,
    reports: Sequence[Path] = (),
    card: CardText | None = None,
    half: bool = False,
) -> Path:
    """Write a model as `PNDiffusion.get_pretrained` loads it, with `training.json` and the model card.

    Args:
        checkpoint: Dora signature, experiment's folder or exported folder.
        folder: to write into.
        vocoder: signature or folder of a `solver=vocoder` experiment, or an exported model: its vocoder is
            exported with this one.
        refinement: iterations of Griffin-Lim after the vocoder; None: as it was trained.
        half: see `PNDiffusion.save_pretrained`.
        reports: evaluations whose tables the card shows; none: the experiment's own, if there is one.

    Returns:
        `folder`.

    Raises:
        CheckpointError: a model is missing or damaged.
        UserError: a report is; `refinement` without a vocoder.
    """
    card = card or CardText()
    model = PNDiffusion.get_pretrained(checkpoint)
    trained = model.trained_vocoder if vocoder is None else load_vocoder(vocoder)
    if refinement is not None:
        if trained is None:
            raise UserError(
                f"refinement is {refinement} and the model has no vocoder of its own: give --vocoder as well"
            )
        trained = replace(trained, refinement=refinement)
    model.use_vocoder(trained)
    experiment = resolve_checkpoint(checkpoint)
    own = experiment / "evaluate" / REPORT
    read = [read_report(file) for file in reports or ([own] if own.is_file() else [])]
    model.save_pretrained(folder, half)
    training = _training(experiment, checkpoint, vocoder, card.hardware)
    if training is not None:
        write_card(folder, training)
    parameters = sum(value.numel() for part in model.parts() for value in part.parameters())
    write_model_card(
        folder,
        model.config,
        parameters,
        training,
        read,
        license=card.license,
        data=card.data,
        limits=card.limits,
    )
    return folder


def _training(
    experiment: Path, checkpoint: str | Path, vocoder: str | Path | None, hardware: str | None
) -> dict[str, Any] | None:
    """The model's training, and as `parts` those of its autoencoder and vocoder; None where nothing is known."""
    card = read_card(experiment)
    if _trained_here(experiment):
        card = training_card(experiment, hardware)
        source = vae_source(checkpoint)
        if source is not None and _trained_here(autoencoder := resolve_checkpoint(source)):
            card["parts"] = {"autoencoder": training_card(autoencoder, hardware, "mel_vae")}
    if card is not None and vocoder is not None and _trained_here(folder := resolve_checkpoint(vocoder)):
        parts = {**card.get("parts", {}), "vocoder": training_card(folder, hardware, "vocoder")}
        card = {**card, "parts": parts}
    return card


def _trained_here(folder: Path) -> bool:
    return (folder / "history.json").is_file() and (folder / ".argv.json").is_file()
