"""`pn-diffusion prepare folder` and `prepare mini`, and what the other `prepare` commands share."""

from __future__ import annotations

import os
from functools import partial
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

CORES = os.cpu_count() or 1
Dst = Annotated[Path, typer.Argument(help="Folder of the corpus.")]
Jobs = Annotated[int, typer.Option(help="Number of processes.")]
Seed = Annotated[int, typer.Option(help="Seed of the split.")]
Encoder = Annotated[str, typer.Option(help="inception_i3d or i3d_r50.")]
Weights = Annotated[Path | None, typer.Option(help="File with the encoder's weights.")]
Streams = Annotated[
    list[str] | None, typer.Option("--stream", help="Extract this further feature stream. Repeatable.")
]
Shards = Annotated[
    int | None,
    typer.Option(min=1, help="Divide the videos into this many parts, for machines that share the folders."),
]
ShardIndex = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Prepare only this part, from 0. After all parts, run the command once without --shards and "
        "--shard-index to choose the splits.",
    ),
]
Slurm = Annotated[
    bool, typer.Option("--slurm", help="Submit one SLURM job per shard, and one that chooses the splits.")
]
SlurmOption = Annotated[
    list[str] | None,
    typer.Option(help="Further option of sbatch as NAME=VALUE, e.g. partition=long. Repeatable."),
]


def prepare_folder_command(
    src: Annotated[
        Path, typer.Argument(help="Folder with the videos and their music, searched recursively.")
    ],
    dst: Dst,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Table with columns file and song (and split, choreography, dancer, genre, bpm). "
            "Default: SRC/metadata.csv if it exists."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Assign all clips of SRC to this split: train, valid or test.")
    ] = None,
    jobs: Jobs = CORES,
    seed: Seed = 0,
    visual_encoder: Encoder = "inception_i3d",
    visual_weights: Weights = None,
    stream: Streams = None,
    dancer: Dancer = "prominent",
    shards: Shards = None,
    shard_index: ShardIndex = None,
    slurm: Slurm = False,
    slurm_partition: Annotated[str | None, typer.Option(help="SLURM partition.")] = None,
    slurm_account: Annotated[str | None, typer.Option(help="SLURM account.")] = None,
    slurm_minutes: Annotated[
        int, typer.Option(help="Time limit of a job; it is then queued again and continues.")
    ] = 240,
    slurm_memory: Annotated[float, typer.Option(help="Memory of a job (GB).")] = 16.0,
    slurm_option: SlurmOption = None,
) -> None:
    """Extract features and sound, choose splits that share no song, write manifests. Continues where it was stopped.

    Example: `pn-diffusion prepare folder my_videos outputs/corpora/mine`

    On two machines: `pn-diffusion prepare folder VIDEOS CORPUS --shards 2 --shard-index 0` on one, with 1 on the
    other; then once `pn-diffusion prepare folder VIDEOS CORPUS`.

    On a cluster: `pn-diffusion prepare folder VIDEOS CORPUS --shards 16 --slurm --slurm-partition NAME --jobs 8`
    """
    from ..data.corpora.prepare import prepare_folder
    from ..data.features.feature_file import FeatureSpec

    how = execution(
        jobs,
        shards,
        shard_index,
        slurm,
        slurm_option,
        partition=slurm_partition,
        account=slurm_account,
        minutes=slurm_minutes,
        memory_gb=slurm_memory,
    )
    run = how.pop("run", prepare_folder)
    report = run(
        src,
        dst,
        spec=FeatureSpec(visual_encoder=visual_encoder, streams=tuple(stream or ())),
        metadata=metadata,
        seed=seed,
        splits=split,
        visual_weights=visual_weights,
        dancer=dancer,
        **how,
    )
    print_report(report)


def execution(
    jobs: int,
    shards: int | None,
    shard_index: int | None,
    slurm: bool,
    slurm_option: list[str] | None,
    **cluster: Any,
) -> dict[str, Any]:
    """Arguments of `prepare_selection` for the options that say where the work is done.

    Returns:
        `jobs` and, if given, `shard`; with `slurm` instead `run`, which replaces `prepare_folder`.

    Raises:
        UserError: the options contradict each other.
    """
    if slurm:
        from ..data.corpora.cluster import Cluster, prepare_on_cluster

        if shards is None or shard_index is not None:
            raise UserError("--slurm submits all shards: give --shards N, and no --shard-index")
        options = dict(_name_and_value(text) for text in slurm_option or ())
        return {
            "run": partial(
                prepare_on_cluster, shards=shards, cluster=Cluster(cpus=jobs, options=options, **cluster)
            )
        }
    shard = parse_shard(shards, shard_index, " (or --shards with --slurm)")
    return {"jobs": jobs} if shard is None else {"jobs": jobs, "shard": shard}


def parse_shard(shards: int | None, shard_index: int | None, alternative: str = "") -> Shard | None:
    """The shard given by --shards and --shard-index; None without them.

    Raises:
        UserError: one of them is missing (`alternative` is added to the message), or the index is out of range.
    """
    from ..data.corpora.locking import Shard

    if shards is None and shard_index is None:
        return None
    if shards is None or shard_index is None:
        raise UserError(f"--shards and --shard-index go together{alternative}: give both or neither")
    return Shard(shard_index, shards)


def _name_and_value(text: str) -> tuple[str, str]:
    """Parse an option of sbatch."""
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
            help="Render and extract the training clips too, instead of unpacking their features.",
        ),
    ] = False,
    jobs: Jobs = CORES,
) -> None:
    """The embedded corpus: synthetic dances with synthetic music.

    Example: `pn-diffusion prepare mini`
    """
    from .. import paths
    from ..data.corpora.synthetic.prepare import prepare_mini

    print_report(prepare_mini(dst or paths.outputs_dir() / "corpora" / "mini", rebuild=rebuild, jobs=jobs))


def print_report(report: Any) -> None:
    """Print a `PrepareReport`; exit code 1 if a video failed."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    outcome = f"splits: {splits}; songs shared between splits: {report.leak_check}"
    speed = f", {report.frames_per_second:.0f} frames/s" if report.frames else ""
    say(
        f"{len(report.done)} clips made{speed}, {len(report.skipped)} existed, {len(report.failed)} failed "
        f"in {report.seconds:.0f} s; {outcome if splits else 'no splits yet: run it without --shards'}"
    )
    for warning in report.warnings:
        complain(f"warning: {warning}")
    for _, reason in report.failed:
        complain(f"failed: {reason}")
    result = {
        "made": len(report.done),
        "existed": len(report.skipped),
        "failed": [{"video": str(video), "reason": reason} for video, reason in report.failed],
        "warnings": report.warnings,
        "seconds": round(report.seconds, 1),
        "frames": report.frames,
        "frames_per_second": round(report.frames_per_second, 1),
        "splits": dict(report.splits),
        "leak_check": report.leak_check,
    }
    finish(result, failed=bool(report.failed))
