"""`pn-diffusion prepare aistpp` and `prepare tiktok`: published datasets, from the files as their owners distribute
them. Nothing is downloaded, since both require the user to accept their terms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import Dancer, say
from .prepare import (
    CORES,
    Dst,
    Encoder,
    Jobs,
    Seed,
    ShardIndex,
    Shards,
    Slurm,
    SlurmOption,
    Weights,
    execution,
    print_report,
)

if TYPE_CHECKING:
    from ..data.corpora.selection import Selection

Src = Annotated[Path, typer.Argument(help="Folder with the videos, and optionally annotations and music.")]
Lists = Annotated[
    list[str] | None,
    typer.Option(
        "--split-file",
        help="Instead of --split: train=FILE, valid=FILE, test=FILE with names of videos, one per line, as in the "
        "published lists. Repeatable.",
    ),
]


def prepare_aistpp(
    src: Src,
    dst: Dst,
    split: Annotated[
        str,
        typer.Option(
            help="ours (no song and no choreography shared), crossmodal (AIST++'s own), d2m-gan, cdcd, or loris, which "
            "LEAKS: for comparison with papers only."
        ),
    ] = "ours",
    split_file: Lists = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(help="Only this camera, c01 to c09. Repeatable. Default: c01; loris: all."),
    ] = None,
    keypoints: Annotated[
        bool, typer.Option("--keypoints", help="Use AIST++'s published 2D keypoints instead of BlazePose.")
    ] = False,
    annotations: Annotated[
        Path | None, typer.Option(help="Folder of AIST++'s annotations, if it is not in SRC.")
    ] = None,
    music: Annotated[
        Path | None,
        typer.Option(
            help="Folder of sound files named as videos or sequences, to replace the videos' sound."
        ),
    ] = None,
    jobs: Jobs = CORES,
    seed: Seed = 0,
    visual_encoder: Encoder = "inception_i3d",
    visual_weights: Weights = None,
    shards: Shards = None,
    shard_index: ShardIndex = None,
    slurm: Slurm = False,
    slurm_option: SlurmOption = None,
) -> None:
    """AIST++: solo dances of the AIST Dance Video Database, labelled by their names, with the published splits.

    Example: `pn-diffusion prepare aistpp AIST outputs/corpora/aistpp --split cdcd`
    """
    from ..data.corpora.aistpp.prepare import select_aistpp

    selection = select_aistpp(
        src,
        dst,
        split=split,
        lists=split_file or (),
        cameras=camera or None,
        keypoints=keypoints,
        annotations=annotations,
        music=music,
        seed=seed,
    )
    how = execution(jobs, shards, shard_index, slurm, slurm_option)
    _prepare(selection, dst, visual_encoder, seed=seed, visual_weights=visual_weights, **how)


def prepare_tiktok(
    src: Src,
    dst: Dst,
    split: Annotated[str, typer.Option(help="ours (no song shared) or d2m-gan.")] = "ours",
    split_file: Lists = None,
    jobs: Jobs = CORES,
    seed: Seed = 0,
    visual_encoder: Encoder = "inception_i3d",
    visual_weights: Weights = None,
    dancer: Dancer = "prominent",
    shards: Shards = None,
    shard_index: ShardIndex = None,
    slurm: Slurm = False,
    slurm_option: SlurmOption = None,
) -> None:
    """The TikTok Dance-Music dataset of D2M-GAN; the videos named BATCH_SONG_VIDEO.mp4 as in its lists.

    Example: `pn-diffusion prepare tiktok TikTok outputs/corpora/tiktok --split d2m-gan`
    """
    from ..data.corpora.tiktok import select_tiktok

    selection = select_tiktok(src, dst, split=split, lists=split_file or (), seed=seed)
    how = execution(jobs, shards, shard_index, slurm, slurm_option)
    _prepare(selection, dst, visual_encoder, seed=seed, visual_weights=visual_weights, dancer=dancer, **how)


def _prepare(selection: Selection, dst: Path, visual_encoder: str, **options: Any) -> None:
    from ..data.corpora.selection import prepare_selection
    from ..data.features.feature_file import FeatureSpec

    for note in selection.notes:
        say(note)
    print_report(
        prepare_selection(selection, dst, spec=FeatureSpec(visual_encoder=visual_encoder), **options)
    )
