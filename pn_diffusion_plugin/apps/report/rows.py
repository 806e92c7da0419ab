"""Rows of several evaluations in one table: systems, then bounds, then null rows.

Evaluations of one split share their null and ceiling rows; a row shared by several appears once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...metrics.report import (
    SATURATED,
    STRICT,
    difference_lines,
    format_metric,
    not_run_lines,
    quality_columns,
)
from .blocks import Block, Figure, Points, Table, Text
from .figures import interval_figure
from .sources import Source

CEILING, REFERENCE = "ceiling", "reference"
_PLACE = {"ceiling": 1, "reference": 2, "shuffled": 3, "click": 4, "silence": 5}
INTERVALS = ("beat_f70", "onset_f50", "bas_dance_to_music", "bas_music_to_dance")


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        label: what the page calls it, unique in its split.
        kind: "system", "bound" or "null".
        short: the same where there is little room, unique too.
        name: its name in report.json.
        content: its row there.
        waves: clip name → sound file; empty where there is no sound.
    """

    label: str
    short: str
    kind: str
    name: str
    content: Mapping[str, Any]
    waves: Mapping[str, Path]


def kind_of(name: str) -> str:
    """Kind of the row called `name`: "bound" is the best possible, "null" ignores the dance."""
    if name in (CEILING, REFERENCE):
        return "bound"
    return "null" if name in _PLACE else "system"


def by_split(sources: Sequence[Source]) -> dict[str, list[Source]]:
    """Sources by the split they were evaluated on, in their order."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(str(source.report["split"]), []).append(source)
    return groups


def collect_rows(sources: Sequence[Source]) -> list[Row]:
    """All rows of evaluations of one split, in the order of the table."""
    rows: list[Row] = []
    for source in sources:
        waves = source.waves()
        systems = [row for row in source.rows if kind_of(row["name"]) == "system"]
        for row in source.rows:
            kind, label = kind_of(row["name"]), str(row["label"])
            short = row["name"] if kind != "system" else label
            if kind == "system" and len(sources) > 1:
                short = label = source.label if len(systems) == 1 else f"{source.label}: {label}"
            elif kind != "system":
                if any(r.name == row["name"] and r.content["metrics"] == row["metrics"] for r in rows):
                    continue
                label = label if label == short else f"{short}: {label}"
                if any(r.name == row["name"] for r in rows):
                    label, short = f"{label} ({source.label})", f"{short} ({source.label})"
            label = _unique(label, [r.label for r in rows])
            short = _unique(short, [r.short for r in rows])
            rows.append(Row(label, short, kind, row["name"], row, waves.get(row["name"], {})))
    return sorted(rows, key=lambda row: _PLACE.get(row.name, 0))


def score_blocks(sources: Sequence[Source], rows: Sequence[Row]) -> list[Block]:
    """Tables and figure of one split's scores."""
    contents = [{**row.content, "name": row.short} for row in rows]
    blocks: list[Block] = [
        Text(
            "Mean over clips [95 % bootstrap interval]. A system's row means something only between the rows "
            "that ignore the dance (shuffled, click, silence) and those that show what can be "
            "reached (ceiling, reference)."
        )
    ]
    counts = {source.label: source.report["clips"] for source in sources}
    if len(set(counts.values())) > 1:
        counted = ", ".join(f"{label} {count}" for label, count in counts.items())
        blocks.append(
            Text(f"Not on the same clips ({counted}): the rows can hardly be compared.", strong=True)
        )
    blocks.append(_table(rows, STRICT))
    shown = {name: STRICT[name] for name in INTERVALS}
    if any("mean" in row.content["metrics"].get(name, {}) for row in rows for name in shown):
        figure = interval_figure([(r.short, r.kind, r.content["metrics"]) for r in rows], shown)
        blocks.append(
            Figure(
                "intervals",
                figure,
                "Strict scores with their intervals: systems, what can be reached, nulls",
            )
        )
    differences = difference_lines(contents)
    if differences:
        blocks += [Text("Difference to shuffled, clip by clip:"), Points(differences)]
    blocks += [
        Text(
            "Scores of earlier papers: one-second bins, which almost any drum loop fills; for comparison only."
        ),
        _table(rows, SATURATED),
    ]
    quality = quality_columns(contents)
    if quality:
        blocks += [Text("Quality and honesty:"), _table(rows, quality)]
    missing = not_run_lines(contents)
    if missing:
        blocks += [Text("Not run:"), Points(missing)]
    return blocks


def _table(rows: Sequence[Row], columns: Mapping[str, str]) -> Table:
    cells = [
        [row.label, *(format_metric(row.content["metrics"].get(name)) for name in columns)] for row in rows
    ]
    return Table(["", *columns.values()], cells, [row.kind for row in rows])


def _unique(label: str, taken: Sequence[str]) -> str:
    name, number = label, 1
    while name in taken:
        number += 1
        name = f"{label} ({number})"
    return name
