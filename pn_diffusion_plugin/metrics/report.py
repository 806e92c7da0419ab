"""report.json, whose form is fixed so that other programs can read it, and the same as a table, report.md.

    {"schema": 1, "split": …, "clips": …, "leak_check": …, "command": …, "seeds": […],
     "rows": [{"name": …, "label": …, "metrics": {name: {"mean", "low", "high", "n"} | {"not_run": why}}}]}

Scores are fractions, times are seconds, `low` and `high` the 95 % bootstrap interval over clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..utils.files import atomic_path, write_json

SCHEMA = 1

STRICT = {
    "beat_f70": "beat F ±70 ms",
    "onset_f50": "onset F ±50 ms",
    "tempo_error": "tempo error",
    "tempo_octave": "octave errors",
    "bas_dance_to_music": "alignment dance→music",
    "bas_music_to_dance": "alignment music→dance",
    "beat_variation": "variation of beats",
}
SATURATED = {
    "loris_bcs": "loris BCS",
    "loris_csd": "loris CSD",
    "loris_bhs": "loris BHS",
    "loris_hsd": "loris HSD",
    "loris_f1": "loris F1",
    "d2m_bcs": "d2m BCS",
    "d2m_bhs": "d2m BHS",
}
QUALITY = {
    "fad": "fad (VGGish)",
    "frechet_musicnn": "frechet_musicnn (not VGGish)",
    "kad_musicnn": "kad_musicnn (x 100)",
    "kld": "kld (PaSST)",
}
"""What the tables call the quality metrics; one that is not here goes by its own name."""


def write_report(report: Mapping[str, Any], json_path: str | Path) -> None:
    """Write the report to `json_path` and its table beside it, as .md; each whole or not at all."""
    json_path = Path(json_path)
    write_json(json_path, dict(report))
    with atomic_path(json_path.with_suffix(".md")) as temporary:
        temporary.write_text(render_markdown(report), encoding="utf-8")


def render_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: what was scored, the strict scores, the saturated ones, what was not run."""
    rows = report["rows"]
    quality = quality_columns(rows)
    leak = report["leak_check"]
    bold = f"**{leak}**"
    differences = [f"- {line}" for line in difference_lines(rows)]
    seeds = f" Seeds: {', '.join(map(str, report['seeds']))}." if report["seeds"] else ""
    parts = [
        "# Evaluation",
        f"{report['clips']} clips of {report['split']}. Leak check: {leak if leak == 'ok' else bold}.{seeds}",
        *([f"`{report['command']}`"] if report["command"] else []),
        "Mean over clips [95 % bootstrap interval]. A model's row means something only between the rows "
        "`shuffled`, `click`, `silence` below it and `ceiling`, `reference` above it.",
        "## Strict scores",
        _table(rows, STRICT),
        *(["Difference to `shuffled`, clip by clip:", "\n".join(differences)] if differences else []),
        "## Scores of earlier papers",
        "One-second bins, which almost any drum loop fills: for comparison with papers only.",
        _table(rows, SATURATED),
    ]
    if quality:
        parts += ["## Quality", _table(rows, quality)]
    missing = [f"- {line}" for line in not_run_lines(rows)]
    if missing:
        parts += ["## Not run", "\n".join(missing)]
    if report.get("left_out"):
        parts += ["## Left out", "\n".join(f"- {name}: {why}" for name, why in report["left_out"].items())]
    return "\n\n".join(parts) + "\n"


def format_metric(value: Mapping[str, Any] | None) -> str:
    """`0.69 [0.62, 0.75]`, or a dash for a metric that was not run."""
    if value is None or "not_run" in value:
        return "–"
    return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def quality_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name and heading of every metric that some row has and that is neither strict nor of an earlier paper."""
    return {
        name: QUALITY.get(name, name)
        for row in rows
        for name, value in row["metrics"].items()
        if name not in STRICT and name not in SATURATED and "not_run" not in value
    }


def difference_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """For every row that has it, its strict scores minus those of `shuffled`, clip by clip."""
    return [
        f"{row['name']}: "
        + ", ".join(f"{STRICT.get(name, name)} {format_metric(value)}" for name, value in pairs.items())
        for row in rows
        if (pairs := row.get("minus_shuffled"))
    ]


def not_run_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every metric that was not run, with what it needs, and of which rows when not of all."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, value in row["metrics"].items():
            if "not_run" in value:
                reasons.setdefault((name, value["not_run"]), []).append(row["name"])
    everywhere = len(rows)
    return [
        f"{name}{'' if len(names) == everywhere else ' (' + ', '.join(names) + ')'}: {why}"
        for (name, why), names in reasons.items()
    ]


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---|" * len(columns)]
    for row in rows:
        cells = (format_metric(row["metrics"].get(name)) for name in columns)
        label = row["name"] if row["label"] == row["name"] else f"**{row['name']}**: {row['label']}"
        lines.append(f"| {label.replace('|', '/')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
