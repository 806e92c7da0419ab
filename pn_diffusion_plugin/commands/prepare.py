"""`pn-diffusion prepare …`: corpora to train on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import stderr

app = typer.Typer(no_args_is_help=True, help="Make a corpus to train on.")


@app.command("folder")
def prepare_folder_command(
    src: Annotated[
        Path, typer.Argument(help="Folder of videos with their music, searched through and through.")
    ],
    dst: Annotated[Path, typer.Argument(help="Folder of the corpus.")],
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Table with columns file and song (and split, choreography, "
            "dancer, genre, bpm); SRC/metadata.csv is found by itself."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Put all clips of SRC into this split: train, valid or test.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    visual_encoder: Annotated[str, typer.Option(help="inception_i3d or i3d_r50.")] = "inception_i3d",
    visual_weights: Annotated[Path | None, typer.Option(help="File with the encoder's weights.")] = None,
) -> None:
    """Videos → features, sound, splits that share no song, manifests. Interrupted, it goes on where it was.

    Example: `pn-diffusion prepare folder my_videos outputs/corpora/mine`
    """
    from ..data.features import FeatureSpec
    from ..data.prepare import prepare_folder

    report = prepare_folder(
        src,
        dst,
        spec=FeatureSpec(visual_encoder=visual_encoder),
        metadata=metadata,
        jobs=jobs,
        seed=seed,
        splits=split,
        visual_weights=visual_weights,
    )
    tell(report)


@app.command("mini")
def prepare_mini_command(
    dst: Annotated[Path | None, typer.Argument(help="Folder of the corpus.")] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Render and extract the training part too, instead of unpacking its ready-made features.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """The embedded corpus: generated dances with generated music.

    Example: `pn-diffusion prepare mini`
    """
    from .. import paths
    from ..data.corpora.mini.prepare import prepare_mini

    tell(prepare_mini(dst or paths.outputs_dir() / "corpora" / "mini", rebuild=rebuild, jobs=jobs))


def tell(report: Any) -> None:
    """What `prepare` did; exit code 1 when a video failed."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    stderr.print(
        f"{len(report.done)} clips made, {len(report.skipped)} were there, {len(report.failed)} failed "
        f"in {report.seconds:.0f} s; splits: {splits}; songs shared between splits: {report.leak_check}"
    )
    for _, reason in report.failed:
        stderr.print(f"failed: {reason}", markup=False, highlight=False, soft_wrap=True)
    if report.failed:
        raise typer.Exit(1)
