"""`pn-diffusion listening-test`: what people hear, asked blindly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import command_line, finish, say, show


def listening_test(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Folders with report.json and waves, or Dora signatures; with --analyse the answers (json).",
            metavar="REPORT_DIR…",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the test: page/ to be shared, key.json to be kept."),
    ],
    analyse: Annotated[
        bool, typer.Option("--analyse", help="Turn answers into means with intervals and a paired test.")
    ] = False,
    clips: Annotated[int, typer.Option(min=2, help="Dances, spread evenly over the split.")] = 8,
    seconds: Annotated[float, typer.Option(min=1.0, help="Of each dance, at most.")] = 10.0,
    ceiling: Annotated[
        bool, typer.Option("--ceiling", help="Rate the reference through autoencoder and vocoder, too.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="Manifest of the clips (…/egs/test), where it is not found by itself."),
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Does the music fit the dance?",
    screen: Annotated[
        bool, typer.Option("--screen", help="Leave out listeners who do not prefer the hidden reference.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the anchors, of bootstrap and tests.")] = 0,
) -> None:
    """A blind, randomised listening test as a static web page, and the analysis of its answers.

    Example: `pn-diffusion listening-test outputs/compare/aligned_pooled -o my_test`, then
    `pn-diffusion listening-test --analyse answers-*.json -o my_test`
    """
    if analyse:
        _analyse([Path(source) for source in sources], output, screen, seed)
        return
    from ..apps.listening.design import make_design
    from ..apps.listening.page import check_empty, write_test
    from ..apps.listening.stimuli import gather
    from ..apps.report.rows import by_split, collect_rows
    from ..apps.report.sources import read_sources
    from ..errors import UserError

    check_empty(output)
    evaluations = read_sources(sources, manifest)
    splits = by_split(evaluations)
    if len(splits) > 1:
        raise UserError(
            f"the evaluations are of {len(splits)} splits ({', '.join(splits)}): name those of one"
        )
    (split,) = splits
    found = next((source.manifest for source in evaluations if source.manifest), None)
    material = gather(
        collect_rows(evaluations), found, clips, seconds=seconds, ceiling=ceiling, seed=seed
    )  # fmt: skip
    design = make_design(
        {name: row.label for name, row in material.systems.items()},
        material.anchors,
        seconds=min(seconds, max(material.dances[clip].info.seconds for clip in material.anchors)),
        title=title,
        split=split,
        command=command_line(),
    )
    page = write_test(design, material, output)
    say(f"wrote {page}: share the folder {page.parent}, keep {output / 'key.json'} to yourself")
    finish({"page": page, "key": output / "key.json"})


def _analyse(files: list[Path], folder: Path, screen: bool, seed: int) -> None:
    from ..apps.listening.analysis import analyse, render_analysis, write_analysis
    from ..apps.listening.answers import read_answers
    from ..apps.listening.design import Design

    design = Design.load(folder)
    analysis = analyse(design, read_answers(files, design), screen=screen, seed=seed)
    written = write_analysis(analysis, folder)
    show(render_analysis(analysis))
    for file in written:
        say(f"wrote {file}")
    finish({"analysis": analysis, "files": written})
