"""`pn-diffusion prepare generated`: the large generated corpus."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .prepare import parse_shard, print_report


def prepare_generated(
    dst: Annotated[Path | None, typer.Argument(help="Folder of the corpus.")] = None,
    keypoints: Annotated[
        bool,
        typer.Option(
            "--keypoints",
            help="Make training clips without videos, at half the cost: their joints are the true ones with "
            "BlazePose's measured errors. Valid and test clips are always rendered.",
        ),
    ] = False,
    train: Annotated[int, typer.Option(min=0, help="Training clips.")] = 2000,
    valid: Annotated[int, typer.Option(min=0, help="Validation clips.")] = 60,
    test: Annotated[int, typer.Option(min=0, help="Test clips.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all clips.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="Number of parts of the clips, for several machines with a shared folder."),
    ] = None,
    shard_index: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Make only the clips of this part, from 0. When all parts are done, the same command without "
            "--shards and --shard-index writes the manifests.",
        ),
    ] = None,
) -> None:
    """Synthetic dances with synthetic music, 2 180 clips by default. The same command continues an interrupted call.

    Example: `pn-diffusion prepare generated --keypoints`

    On two machines: `pn-diffusion prepare generated CORPUS --shards 2 --shard-index 0`, with 1 on the other, then once
    `pn-diffusion prepare generated CORPUS`.
    """
    from .. import paths
    from ..data.corpora.synthetic.generated import GeneratedSpec
    from ..data.corpora.synthetic.prepare import prepare_generated as prepare

    if train + valid + test == 0:
        raise UserError("the corpus would have no clips: set --train, --valid or --test above 0")
    shard = parse_shard(shards, shard_index)
    spec = GeneratedSpec(train=train, valid=valid, test=test, seed=seed)
    print_report(
        prepare(
            dst or paths.outputs_dir() / "corpora" / "generated",
            spec,
            keypoints=keypoints,
            jobs=jobs,
            shard=shard,
        )
    )
