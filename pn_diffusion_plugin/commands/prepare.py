"""`pn-diffusion prepare …`: corpora to train on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from .common import Dancer, complain, finish, say

if TYPE_CHECKING:
    from ..data.corpora.locking import Shard

app = typer.Typer(
    no_args_is_help=True,
    help="Make a corpus to train on.",
    epilog="Example: `pn-diffusion prepare folder my_videos outputs/corpora/mine`",
)


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
    dancer: Dancer = "prominent",
    shards: Annotated[
        int | None,
        typer.Option(
            min=1, help="Parts to divide the videos into, for several machines that see the same folders."
        ),
    ] = None,
    shard_index: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Make the clips of this part alone, from 0. When all parts are done, the same command without "
            "--shards and --shard-index chooses the splits.",
        ),
    ] = None,
    slurm: Annotated[
        bool,
        typer.Option(
            "--slurm", help="Submit a SLURM job for each of --shards, and one that chooses the splits."
        ),
    ] = False,
    slurm_partition: Annotated[str | None, typer.Option(help="SLURM's partition.")] = None,
    slurm_account: Annotated[str | None, typer.Option(help="SLURM's account.")] = None,
    slurm_minutes: Annotated[int, typer.Option(help="Longest time of a job; then it is queued again.")] = 240,
    slurm_memory: Annotated[float, typer.Option(help="Memory of a job (GB).")] = 16.0,
    slurm_option: Annotated[
        list[str] | None,
        typer.Option(help="Anything else that sbatch takes, as NAME=VALUE; may be given several times."),
    ] = None,
) -> None:
    """Videos → features, sound, splits that share no song, manifests. Interrupted, it goes on where it was.

    Example: `pn-diffusion prepare folder my_videos outputs/corpora/mine`

    On two machines: `pn-diffusion prepare folder VIDEOS CORPUS --shards 2 --shard-index 0`, with 1 on the other, then
    once `pn-diffusion prepare folder VIDEOS CORPUS`.

    On a cluster: `pn-diffusion prepare folder VIDEOS CORPUS --shards 16 --slurm --slurm-partition NAME --jobs 8`
    """
    from ..data.corpora.prepare import prepare_folder
    from ..data.features.feature_file import FeatureSpec

    options: dict[str, Any] = {
        "spec": FeatureSpec(visual_encoder=visual_encoder),
        "metadata": metadata,
        "seed": seed,
        "splits": split,
        "visual_weights": visual_weights,
        "dancer": dancer,
    }
    if slurm:
        from ..data.corpora.cluster import Cluster, prepare_on_cluster

        if shards is None or shard_index is not None:
            raise UserError("--slurm submits all shards: give --shards N, and no --shard-index")
        more = dict(name_and_value(text) for text in slurm_option or ())
        cluster = Cluster("slurm", slurm_partition, slurm_account, slurm_minutes, slurm_memory, jobs, more)
        return tell(prepare_on_cluster(src, dst, shards, cluster, **options))
    shard = chosen_shard(shards, shard_index, " (or --shards with --slurm)")
    tell(prepare_folder(src, dst, jobs=jobs, shard=shard, **options))


def chosen_shard(shards: int | None, shard_index: int | None, otherwise: str = "") -> Shard | None:
    """The part of the work that --shards and --shard-index name; None: all of it.

    Raises:
        UserError: one of them is missing (`otherwise`: what else it may stand with), or there is no such part.
    """
    from ..data.corpora.locking import Shard

    if shards is None and shard_index is None:
        return None
    if shards is None or shard_index is None:
        raise UserError(f"--shards and --shard-index go together{otherwise}: give both or neither")
    return Shard(shard_index, shards)


def name_and_value(text: str) -> tuple[str, str]:
    """An option of sbatch as it is written on the command line."""
    name, equals, value = text.lstrip("-").partition("=")
    if not (name and equals):
        raise UserError(f"--slurm-option {text}: write NAME=VALUE")
    return name.replace("-", "_"), value


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
    settled = f"splits: {splits}; songs shared between splits: {report.leak_check}"
    speed = f", {report.pictures_per_second:.0f} pictures/s" if report.pictures else ""
    say(
        f"{len(report.done)} clips made{speed}, {len(report.skipped)} were there, {len(report.failed)} failed "
        f"in {report.seconds:.0f} s; {settled if splits else 'no splits yet: call it without --shards'}"
    )
    for _, reason in report.failed:
        complain(f"failed: {reason}")
    result = {
        "made": len(report.done),
        "were_there": len(report.skipped),
        "failed": [{"video": str(video), "reason": reason} for video, reason in report.failed],
        "seconds": round(report.seconds, 1),
        "pictures": report.pictures,
        "pictures_per_second": round(report.pictures_per_second, 1),
        "splits": dict(report.splits),
        "leak_check": report.leak_check,
    }
    finish(result, failed=bool(report.failed))
