"""The report on one or more evaluations, as a page."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from .blocks import Block, Code, Page, Section, Table, Text
from .clips import clip_sections
from .curves import alpha, curve_blocks, network_evaluations
from .media import EXCERPT
from .rows import by_split, collect_rows, score_blocks
from .sources import Source, differing, flat

SAMPLING = ("sampling.steps", "sampling.guidance", "sampling.negative_guidance")


def build_page(
    sources: Sequence[Source],
    *,
    clips: int = 4,
    wanted: Sequence[str] = (),
    video: bool = True,
    command: str = "",
) -> Page:
    """Everything that is known of the evaluations.

    Args:
        sources: what to report on.
        clips: number of clips of each split to show.
        wanted: names of the clips to show instead.
        video: put the dances beside the players.
        command: that makes this page.

    Raises:
        UserError: see `clips.choose`, `read_dances`; a sound or video is damaged.
    """
    groups = by_split(sources)
    page = Page(f"Dance to music: {', '.join(s.label for s in sources)}")
    page.sections.append(Section("What was evaluated", _overview(sources)))
    rows = {split: collect_rows(group) for split, group in groups.items()}
    for split, group in groups.items():
        page.sections.append(Section(f"Scores on {split}", score_blocks(group, rows[split])))
    curves = curve_blocks(
        sources, alpha, ["negative.alpha"], "α (weight of the positive stream)", ("beat_f70",)
    )
    if curves:
        page.sections.append(Section("Sensitivity to α", curves))
    effort = curve_blocks(sources, network_evaluations, SAMPLING, "network evaluations a clip")
    if effort:
        page.sections.append(Section("Quality against steps", effort))
    for split, group in groups.items():
        manifest = next((source.manifest for source in group if source.manifest), None)
        shown = clip_sections(rows[split], manifest, clips, wanted if len(groups) == 1 else (), video)
        about = (
            f"Clips spread evenly over the split, not chosen by ear; at most the first {EXCERPT:g} s."
            if not wanted
            else "The requested clips."
        )
        if not shown:
            about = "There are no sound files beside the report."
        page.sections += [Section(f"Music for {split}", [Text(about)]), *shown]
    page.sections += _configurations(sources)
    page.sections.append(Section("Commands", _commands(sources, command)))
    return page


def _overview(sources: Sequence[Source]) -> list[Block]:
    header = ["", "split", "clips", "leak check", "seeds"]
    table = []
    for source in sources:
        report = source.report
        seeds = _seeds([int(seed) for seed in report["seeds"]])
        table.append(
            [source.label, str(report["split"]), str(report["clips"]), str(report["leak_check"]), seeds]
        )
    blocks: list[Block] = [Table(header, table)]
    for source in sources:
        leak = str(source.report["leak_check"])
        if leak != "ok":
            blocks.append(Text(f"{source.label}: {leak}", strong=True))
    return blocks


def _configurations(sources: Sequence[Source]) -> list[Section]:
    """What differs between experiments, then each one's whole configuration, folded away."""
    known = [source for source in sources if source.config]
    if not known:
        return []
    blocks: list[Block] = []
    keys = differing([source.config for source in known]) if len(known) > 1 else []
    if keys:
        values = [flat(source.config) for source in known]
        rows = [[key, *(_value(one.get(key, "–")) for one in values)] for key in keys]
        blocks += [
            Text("What the experiments differ in:"),
            Table(["", *(source.label for source in known)], rows),
        ]
    for source in known:
        text = yaml.safe_dump(source.config, sort_keys=False, allow_unicode=True)
        blocks.append(Code(text, f"Configuration of {source.label}"))
    return [Section("Configuration", blocks)]


def _commands(sources: Sequence[Source], command: str) -> list[Block]:
    blocks: list[Block] = []
    for source in sources:
        lines = [source.training, str(source.report["command"])]
        text = "\n".join(dict.fromkeys(line for line in lines if line))
        if text:
            blocks += [Text(f"{source.label}:"), Code(text)]
    if command:
        blocks += [Text("This page:"), Code(command)]
    return blocks


def _seeds(seeds: Sequence[int]) -> str:
    """Seeds, shorter where they follow each other.

    >>> _seeds([3, 4, 5]), _seeds([1, 7]), _seeds([])
    ('3 … 5', '1, 7', '–')
    """
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} … {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "–"


def _value(value: object) -> str:
    return (
        value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()
    )
