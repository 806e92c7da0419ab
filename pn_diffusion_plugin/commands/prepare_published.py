"""`pn-diffusion prepare aistpp` and `prepare tiktok`: published collections, from the files as their owners distribute
them. Nothing is downloaded: both collections come with terms that the user has to accept."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from .common import Dancer, say
from .prepare import chosen_shard, name_and_value, tell

if TYPE_CHECKING:
    from ..data.corpora.selection import Selection

_CORES = os.cpu_count() or 1
Src = Annotated[Path, typer.Argument(help="Folder of the videos; annotations and music may lie beside them.")]
Dst = Annotated[Path, typer.Argument(help="Folder of the corpus.")]
Lists = Annotated[
    list[str] | None,
    typer.Option(
        "--split-file",
        help="Instead of --split: train=FILE, valid=FILE, test=FILE; names of videos, one a line, as in the published "
        "lists. Repeat it.",
    ),
]
Seed = Annotated[int, typer.Option(help="Of the split `ours`.")]
Jobs = Annotated[int, typer.Option(help="Processes.")]
Encoder = Annotated[str, typer.Option(help="inception_i3d or i3d_r50.")]
Weights = Annotated[Path | None, typer.Option(help="File with the encoder's weights.")]
Shards = Annotated[
    int | None, typer.Option(min=1, help="Parts to divide the videos into, as `prepare folder` does.")
]
ShardIndex = Annotated[
    int | None,
    typer.Option(
        min=0, help="Make the clips of this part alone; at last, the same command without both options."
    ),
]
Slurm = Annotated[
    bool, typer.Option("--slurm", help="Submit a SLURM job for each of --shards, and one that ends the work.")
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option(help="What sbatch takes, as NAME=VALUE, e.g. partition=long. Repeat it."),
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
        typer.Option(help="Only this camera, c01 to c09. Repeat it. Default: c01; loris: all."),
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
            help="Folder of sound files named as videos or sequences, instead of the videos' sound."
        ),
    ] = None,
    jobs: Jobs = _CORES,
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
    how = _how(jobs, shards, shard_index, slurm, slurm_option)
    _prepare(selection, dst, how, seed, visual_encoder, visual_weights)


def prepare_tiktok(
    src: Src,
    dst: Dst,
    split: Annotated[str, typer.Option(help="ours (no song shared) or d2m-gan.")] = "ours",
    split_file: Lists = None,
    jobs: Jobs = _CORES,
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
    how = _how(jobs, shards, shard_index, slurm, slurm_option)
    _prepare(selection, dst, how, seed, visual_encoder, visual_weights, dancer)


def _how(
    jobs: int, shards: int | None, shard_index: int | None, slurm: bool, slurm_option: list[str] | None
) -> dict[str, Any]:
    """Where the work is done, as arguments of `prepare_selection`."""
    if slurm:
        from ..data.corpora.cluster import Cluster, prepare_on_cluster

        if shards is None or shard_index is not None:
            raise UserError("--slurm submits all shards: give --shards N, and no --shard-index")
        cluster = Cluster(
            "slurm", cpus=jobs, options=dict(name_and_value(text) for text in slurm_option or ())
        )
        return {"run": partial(prepare_on_cluster, shards=shards, cluster=cluster)}
    shard = chosen_shard(shards, shard_index, " (or --shards with --slurm)")
    return {"jobs": jobs} if shard is None else {"jobs": jobs, "shard": shard}


def _prepare(
    selection: Selection,
    dst: Path,
    how: dict[str, Any],
    seed: int,
    visual_encoder: str,
    visual_weights: Path | None,
    dancer: str = "prominent",
) -> None:
    from ..data.corpora.selection import prepare_selection
    from ..data.features.feature_file import FeatureSpec

    for note in selection.notes:
        say(note)
    spec = FeatureSpec(visual_encoder=visual_encoder)
    tell(
        prepare_selection(
            selection, dst, spec=spec, seed=seed, visual_weights=visual_weights, dancer=dancer, **how
        )
    )
