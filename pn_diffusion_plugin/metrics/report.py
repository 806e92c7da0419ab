"""report.json, whose form is fixed so that other programs can read it, and the same as a table, report.md.

    {"schema": 1, "split": …, "clips": …, "leak_check": …, "command": …, "seeds": […],
     "rows": [{"name": …, "label": …, "metrics": {name: {"mean", "low", "high", "n"} | {"not_run": why}}}]}

Scores are fractions, times are seconds, `low` and `high` the 95 % bootstrap interval over clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pn_diffusion_plugin.utils.files import atomic_path, write_json

SCHEMA = 1

STRICT = {
    "beat_f70": "beat F ±70 ms",
    "onset_f50": "onset F ±50 ms",
    "tempo_error": "tempo error",
    "tempo_octave": "octave errors",
    "bas_dance_to_music": "alignment dance→music",
    "bas_music_to_dance": "alignment music→dance",
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


def write_report(report: Mapping[str, Any], json_path: str | Path) -> None:
    """Write the report to `json_path` and its table beside it, as .md; each whole or not at all."""
    json_path = Path(json_path)
    write_json(json_path, dict(report))
    with atomic_path(json_path.with_suffix(".md")) as temporary:
        temporary.write_text(render_markdown(report), encoding="utf-8")


def render_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown: what was scored, the strict scores, the saturated ones, what was not run."""
    rows = report["rows"]
    known = {*STRICT, *SATURATED}
    quality: dict[str, str] = {}
    for row in rows:
        for name, value in row["metrics"].items():
            if name not in known and "not_run" not in value:
                quality[name] = name
    leak = report["leak_check"]
    bold = f"**{leak}**"
    seeds = f" Seeds: {', '.join(map(str, report['seeds']))}." if report["seeds"] else ""
    parts = [
        "# Evaluation",
        f"{report['clips']} clips of {report['split']}. Leak check: {leak if leak == 'ok' else bold}.{seeds}",
        *([f"`{report['command']}`"] if report["command"] else []),
        "Mean over clips [95 % bootstrap interval]. A model's row means something only between the rows "
        "`shuffled`, `click`, `silence` below it and `ceiling`, `reference` above it.",
        "## Strict scores",
        _table(rows, STRICT),
        *_differences(rows),
        "## Scores of earlier papers",
        "One-second bins, which almost any drum loop fills: for comparison with papers only.",
        _table(rows, SATURATED),
    ]
    if quality:
        parts += ["## Quality", _table(rows, quality)]
    missing = _not_run(rows)
    if missing:
        parts += ["## Not run", "\n".join(missing)]
    return "\n\n".join(parts) + "\n"


def format_metric(value: Mapping[str, Any] | None) -> str:
    """`0.69 [0.62, 0.75]`, or a dash for a metric that was not run."""
    if value is None or "not_run" in value:
        return "–"
    return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def _table(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> str:
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---|" * len(columns)]
    for row in rows:
        cells = (format_metric(row["metrics"].get(name)) for name in columns)
        label = row["name"] if row["label"] == row["name"] else f"**{row['name']}**: {row['label']}"
        lines.append(f"| {label.replace('|', '/')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _differences(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"- {row['name']}: "
        + ", ".join(f"{STRICT[name]} {format_metric(value)}" for name, value in pairs.items())
        for row in rows
        if (pairs := row.get("minus_shuffled"))
    ]
    return ["Difference to `shuffled`, clip by clip:", "\n".join(lines)] if lines else []


def _not_run(rows: list[dict[str, Any]]) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, value in row["metrics"].items():
            if "not_run" in value:
                reasons.setdefault((name, value["not_run"]), []).append(row["name"])
    everywhere = len(rows)
    return [
        f"- {name}{'' if len(names) == everywhere else ' (' + ', '.join(names) + ')'}: {why}"
        for (name, why), names in reasons.items()
    ]
