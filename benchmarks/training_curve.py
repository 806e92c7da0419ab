"""Strict beat F against training steps and minutes, out of experiments that evaluated themselves on the way.

    dora run solver=pn_diffusion optim.epochs=40 evaluate.every=5
    python benchmarks/training_curve.py SIG [LABEL=SIG …] -o docs/training_curve

writes `docs/training_curve.md` and `.png`. Minutes are those of the train stages alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pn_diffusion_plugin.models.io.checkpoint import load_experiment, resolve_checkpoint
from pn_diffusion_plugin.utils.files import atomic_path

COLUMNS = {
    "beat_f70": "strict beat F",
    "bas_dance_to_music": "dance → music",
    "shuffled/beat_f70": "F, shuffled reference",
    "ceiling/beat_f70": "F, ceiling",
}


def read_curve(sig: str) -> list[dict[str, float]]:
    """Rows of steps, minutes and metrics at every epoch with an evaluate stage."""
    folder = resolve_checkpoint(sig)
    updates = load_experiment(folder, "pn_diffusion")["xp.cfg"]["optim"]["updates_per_epoch"]
    history: list[dict[str, Any]] = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    rows, minutes = [], 0.0
    for epoch, stages in enumerate(history, start=1):
        minutes += stages["train"]["duration"] / 60
        if "evaluate" in stages:
            row = {"steps": float(epoch * updates), "minutes": minutes}
            row |= {"loss_positive": stages["train"]["loss_positive"]}
            if "loss_negative" in stages["train"]:
                row |= {"loss_negative": stages["train"]["loss_negative"]}
            rows.append(row | {name: stages["evaluate"][name] for name in COLUMNS})
    return rows


def main() -> None:
    """Read, tabulate, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="SIG or LABEL=SIG")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file name without its suffix")
    args = parser.parse_args()
    runs = {}
    for run in args.runs:
        label, _, sig = run.rpartition("=")
        runs[label or sig] = read_curve(sig)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    lines = [
        "| run | steps | minutes | loss + | loss − | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (5 + len(COLUMNS)) + "|",
    ]
    for label, rows in runs.items():
        axes.plot([row["steps"] for row in rows], [row["beat_f70"] for row in rows], "o-", label=label)
        for row in rows:
            numbers = " | ".join(f"{row[name]:.3f}" for name in COLUMNS)
            negative = f"{row['loss_negative']:.3f}" if "loss_negative" in row else "–"
            lines.append(
                f"| {label} | {row['steps']:.0f} | {row['minutes']:.1f} | {row['loss_positive']:.3f} | "
                f"{negative} | {numbers} |"
            )
    last = next(iter(runs.values()))[-1]
    for name, style in (("ceiling/beat_f70", "--"), ("shuffled/beat_f70", ":")):
        axes.axhline(last[name], linestyle=style, color="0.5", label=COLUMNS[name])
    axes.set_xlabel("training steps")
    axes.set_ylabel("strict beat F (±70 ms)")
    axes.set_ylim(0, 1)
    axes.legend()
    with atomic_path(args.output.with_suffix(".png")) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    with atomic_path(args.output.with_suffix(".md")) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
