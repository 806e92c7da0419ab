"""`pn-diffusion evaluate`: scores of wav files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import check_output, command_line, complain, finish, show


def evaluate(
    generated: Annotated[Path, typer.Option(help="Folder of generated wav files.")],
    reference: Annotated[
        Path,
        typer.Option(
            help="Folder of reference wav files of the same names (and, if there are, "
            "json files with beats and song)."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="report.json; report.md is written beside it.")
    ],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the dances, for the alignment of dance and music.")
    ] = None,
    features: Annotated[Path | None, typer.Option(help="Folder of feature files, instead of videos.")] = None,
    ceiling: Annotated[
        Path | None, typer.Option(help="Folder of the reference through autoencoder and vocoder.")
    ] = None,
    split: Annotated[str, typer.Option(help="Name of the split, for the report.")] = "unknown",
    partial: Annotated[
        bool, typer.Option("--partial", help="Score only the references that have generated music.")
    ] = False,
    training: Annotated[
        Path | None,
        typer.Option(help="Folder of the training music, or its manifest: for leak and memorisation checks."),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Quality metrics beside the beat scores: default, none, or names with commas.")
    ] = "default",
    beat_tracker: Annotated[
        str | None, typer.Option(help="librosa, beat_this or madmom; the last two must be installed.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="metrics.KEY=VALUE of config/solver/default.yaml; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of shuffle and bootstrap.")] = 0,
) -> None:
    """Score generated music against its dance and the reference, between null rows. Needs no model.

    Example: `pn-diffusion evaluate --reference ref --generated out --videos dances -o report.json`
    With the training music: `… --training train --metrics frechet_musicnn,nearest_training --beat-tracker librosa`
    """
    from ..metrics.evaluate import evaluate_folders
    from ..metrics.report import render_markdown, write_report
    from ..metrics.settings import load_settings

    check_output(output, ".json")
    names = {"default": None, "none": []}.get(metrics, [name.strip() for name in metrics.split(",")])
    settings = load_settings(names, beat_tracker, override or ())
    report = evaluate_folders(
        reference,
        generated,
        videos,
        features,
        ceiling=ceiling,
        partial=partial,
        seed=seed,
        split=split,
        command=command_line(),
        settings=settings,
        training=training,
    )
    write_report(report, output)
    show(render_markdown(report))
    left_out = report.get("left_out", {})
    for reason in left_out.values():
        complain(f"failed: {reason}")
    finish(report, failed=bool(left_out))
