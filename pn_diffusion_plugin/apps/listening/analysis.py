"""What the answers say: means with intervals, differences with a paired test, and who did not listen.

    {"schema": 1, "test": …, "split": …, "listeners": n, "clips": n, "left_out": [listener, …],
     "ratings": [{"system", "label", "rhythm": {"mean", "low", "high", "n"}, "quality": …}],
     "differences" | "preferences": [{"first", "second", "question", "mean", "low", "high", "n", "p_listeners",
                                      "p_clips", "p"}],
     "attention": [{"listener", "reference_minus_anchor", "listens"}], "comments": […]}

A difference is first − second in points of the scale; a preference the share of answers for the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...utils.files import atomic_path, write_json
from ..report.blocks import escape_markdown
from .answers import Answers, Array
from .design import ANCHOR, QUESTIONS, REFERENCE, SCHEMA, Design
from .statistics import crossed_bootstrap, holm, paired_test


def analyse(design: Design, answers: Answers, *, screen: bool = False, seed: int = 0) -> dict[str, Any]:
    """The analysis of a test.

    Args:
        design: of the test.
        answers: to it.
        screen: leave out the listeners who do not rate the hidden reference above the hidden anchor for rhythm.
        seed: of bootstrap and tests.

    Raises:
        UserError: no listener is left.
    """
    gaps = _means(answers.ratings["rhythm"][REFERENCE]) - _means(answers.ratings["rhythm"][ANCHOR])
    listens = [bool(gap > 0) for gap in gaps]
    attention = [
        {"listener": name, "reference_minus_anchor": None if np.isnan(gap) else float(gap), "listens": good}
        for name, gap, good in zip(answers.listeners, gaps, listens, strict=True)
    ]
    left_out = [name for name, good in zip(answers.listeners, listens, strict=True) if screen and not good]
    if screen:
        answers = answers.keep([row for row, good in enumerate(listens) if good])
    if not answers.listeners:
        raise UserError(
            "no listener rates the hidden reference above the hidden anchor: analyse without --screen"
        )
    differences: list[dict[str, Any]] = []
    preferences: list[dict[str, Any]] = []
    for question, table in answers.ratings.items():
        pairs = {pair: table[pair[0]] - table[pair[1]] for pair in combinations(design.systems, 2)}
        differences += _compared(question, pairs, 0.0, seed)
    for question, chosen in answers.preferences.items():
        preferences += _compared(question, chosen, 0.5, seed)
    return {
        "schema": SCHEMA,
        "test": design.test,
        "split": design.split,
        "command": design.command,
        "listeners": len(answers.listeners),
        "clips": len(answers.clips),
        "left_out": left_out,
        "ratings": [
            {"system": system, "label": label}
            | {q: _interval(answers.ratings[q][system], seed) for q in QUESTIONS}
            for system, label in design.systems.items()
        ],
        "differences": differences,
        "preferences": preferences,
        "attention": attention,
        "comments": answers.comments,
    }


def _compared(
    question: str, pairs: Mapping[tuple[str, str], Array], even: float, seed: int
) -> list[dict[str, Any]]:
    """One entry a pair that somebody judged; `even` is the value that says "no difference"."""
    entries: list[dict[str, Any]] = []
    for (first, second), values in pairs.items():
        interval = crossed_bootstrap(values, seed=seed)
        if interval is None:
            continue
        listeners, clips = paired_test(values - even, seed=seed)
        assert listeners is not None and clips is not None  # there is an answer
        entry: dict[str, Any] = {"first": first, "second": second, "question": question, **interval.as_dict()}
        entries.append({**entry, "p_listeners": listeners, "p_clips": clips})
    corrected = holm([max(entry["p_listeners"], entry["p_clips"]) for entry in entries])
    return [{**entry, "p": p} for entry, p in zip(entries, corrected, strict=True)]


def _interval(values: Array, seed: int) -> dict[str, Any]:
    interval = crossed_bootstrap(values, seed=seed)
    return {"not_run": "needs an answer"} if interval is None else interval.as_dict()


def _means(values: Array) -> Array:
    """Mean over clips of every listener (S,); nan where there is no answer."""
    return np.array([row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else np.nan for row in values])


def render_analysis(analysis: Mapping[str, Any]) -> str:
    """The analysis as Markdown."""
    ratings = [
        [
            entry["label"],
            *(_cell(entry[question]) for question in QUESTIONS),
            str(entry["rhythm"].get("n", 0)),
        ]
        for entry in analysis["ratings"]
    ]
    parts = [
        "# Listening test",
        f"{analysis['listeners']} listeners, {analysis['clips']} clips of {escape_markdown(analysis['split'])}. "
        "Means [95 % interval over other listeners and other clips].",
        "## Ratings, 1 to 5",
        _table(["", *QUESTIONS.values(), "answers"], ratings),
        "## Differences of ratings",
        "Paired by listener and clip. p: the larger of the two sign-flip tests, corrected by Holm's method for the "
        "pairs of a question.",
        _tested(analysis["differences"], "−", "difference"),
    ]
    if analysis["preferences"]:
        parts += ["## Comparisons", _tested(analysis["preferences"], "over", "share for the first")]
    parts += ["## Attention", _attention(analysis)]
    if analysis["comments"]:
        parts += ["## Comments", "\n".join(f"- {escape_markdown(text)}" for text in analysis["comments"])]
    return "\n\n".join(parts) + "\n"


def _cell(value: Mapping[str, Any]) -> str:
    return "–" if "not_run" in value else f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def _tested(entries: Sequence[Mapping[str, Any]], sign: str, heading: str) -> str:
    p_values = {"p_listeners": "p over listeners", "p_clips": "p over clips", "p": "p"}
    rows = [
        [f"{entry['first']} {sign} {entry['second']}", QUESTIONS[entry["question"]], _cell(entry)]
        + [f"{entry[p]:.3f}" for p in p_values]
        for entry in entries
    ]
    return _table(["", "question", heading, *p_values.values()], rows)


def _attention(analysis: Mapping[str, Any]) -> str:
    careless = [entry["listener"] for entry in analysis["attention"] if not entry["listens"]]
    names = f" ({', '.join(map(escape_markdown, careless))})" if careless else ""
    left_out = len(analysis["left_out"]) or "none"
    return (
        f"{len(careless)} of {len(analysis['attention'])} listeners do not rate the dance's own music above another "
        f"song's for rhythm{names}; left out: {left_out}."
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([escape_markdown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_analysis(analysis: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write `analysis.json` and `analysis.md` into the test's folder."""
    files = folder / "analysis.json", folder / "analysis.md"
    write_json(files[0], dict(analysis))
    with atomic_path(files[1]) as temporary:
        temporary.write_text(render_analysis(analysis), encoding="utf-8")
    return files
