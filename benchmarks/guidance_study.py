"""Guidance weights x readings x cues of the negative stream, at equal numbers of network evaluations.

    python benchmarks/guidance_study.py "mirrored, reversed=SIG" "positive only=SIG" … -o docs/guidance_study

Every model makes music for the same segments with the same seeds, once for every pair of weights: w, negative guidance,
and g, classifier-free guidance. A cell costs `--evaluations` U-Net rows a segment whatever its branches: P alone takes
that many steps, P with N or O half, all three a third. Weights are chosen on the *validation* split, the default;
`--cells w,g …` scores the chosen ones, on `--split test` and on whole clips (`--whole`).

Finished models are stored in the JSON file and reused. Writes OUTPUT.json and OUTPUT.md.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import command_line, publish, table
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.metrics.corpus import CorpusClip, evaluation_clip, read_split
from pn_diffusion_plugin.metrics.dance import dance_beats
from pn_diffusion_plugin.metrics.evaluate import evaluate_systems
from pn_diffusion_plugin.metrics.scoring import EvaluationClip
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.utils.files import write_json

NEGATIVE_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
GUIDANCE_WEIGHTS = (1.0, 2.0, 4.0)
METRICS = {
    "beat_f70": "strict beat F",
    "onset_f50": "onset F",
    "bas_dance_to_music": "dance → music",
    "bas_music_to_dance": "music → dance",
}
NULLS = ("reference", "shuffled", "click")
Cell = tuple[float, float]  # w, g


def name(w: float, g: float) -> str:
    """Name of a cell's row in a report."""
    return f"w={w:g} g={g:g}"


def branches(cell: Cell) -> int:
    """U-Net rows a step: P, and N and O if their weights are not 0."""
    w, g = cell
    return 1 + (w != 0) + (g != 1)


def cut(clip: CorpusClip, start: float, seconds: float) -> CorpusClip:
    """`seconds` of a clip as a clip of its own."""
    rate = clip.info.sample_rate
    features = clip.features.segment(start, seconds)
    begin, length = round(start * rate), round(seconds * rate)
    beats = clip.info.beats
    if beats is not None:
        beats = [beat - start for beat in beats if start <= beat < start + seconds]
    info = replace(clip.info, seconds=seconds, n_samples=length, beats=beats)
    return CorpusClip(info, features, clip.reference[begin : begin + length])


def evaluation_of(clip: CorpusClip) -> EvaluationClip:
    """As `evaluation_clip`, with the beats of these seconds of the dance."""
    return replace(evaluation_clip(clip), kinematic_beats=dance_beats(clip.features))


def possible(model: PNDiffusion, cells: Sequence[Cell]) -> list[Cell]:
    """The cells that the model was trained for."""
    dropout = model.config["conditioning"]["dropout"] > 0
    return [(w, g) for w, g in cells if (w == 0 or model.trained_negative) and (g == 1 or dropout)]


def run_model(
    model: PNDiffusion, clips: list[CorpusClip], cells: Sequence[Cell], evaluations: int, rescale: float
) -> dict[str, Any]:
    """Metrics of every cell and of the null rows, as in report.json."""
    features = [clip.features for clip in clips]
    systems: dict[str, dict[str, np.ndarray]] = {}
    for w, g in possible(model, cells):
        model.set_generation_params(
            steps=evaluations // branches((w, g)),
            negative_guidance=w if g == 1 else 0.0,
            negative_cfg=0.0 if g == 1 else w,
            guidance=g,
            guidance_rescale=rescale,
        )
        waves = model.generate_from_features(features, list(range(len(clips))))
        systems[name(w, g)] = {
            clip.info.name: wave[0].numpy()[: len(clip.reference)]
            for clip, wave in zip(clips, waves, strict=True)
        }
    report = evaluate_systems([evaluation_of(clip) for clip in clips], systems)
    return {
        row["name"]: {metric: row["metrics"][metric] for metric in METRICS if metric in row["metrics"]}
        for row in report["rows"]
    }


def render(result: dict[str, Any]) -> str:
    """The study as Markdown: a table for each metric, models and g down, w across."""
    cells: list[Cell] = [(w, g) for w, g in result["cells"]]
    columns = sorted({w for w, _ in cells})

    def number(value: dict[str, float] | None) -> str:
        if not value or "mean" not in value:
            return "–"
        return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"

    text = [f"`{result['command']}`", result["setting"]]
    for metric, title in METRICS.items():
        lines, nulls = [], ""
        for label, model in result["models"].items():
            rows = model["rows"]
            for g in sorted({g for _, g in cells}):
                shown = [number(rows.get(name(w, g), {}).get(metric)) for w in columns]
                if set(shown) != {"–"}:
                    lines.append([label, f"{g:g}", *shown])
            names = [null for null in NULLS if null in rows]
            nulls = ", ".join(f"{null} {number(rows[null][metric])}" for null in names)
        head = ["model", "g", *(f"w = {w:g}" for w in columns)]
        text += [f"### {title}", table(head, lines), f"For comparison: {nulls}."]
    return "\n\n".join(text) + "\n"


def main() -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("models", nargs="+", help="LABEL=SIG or LABEL=FOLDER")
    parser.add_argument("--corpus", type=Path, default=paths.outputs_dir() / "corpora/mini")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--clips", type=int, default=None, help="the first so many of the split")
    parser.add_argument("--evaluations", type=int, default=48, help="U-Net rows a segment")
    parser.add_argument("--cells", nargs="+", help="pairs w,g; default: all")
    parser.add_argument("--rescale", type=float, default=0.0, help="guidance_rescale")
    parser.add_argument("--whole", action="store_true", help="whole clips instead of a window of each")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file name without its suffix")
    args = parser.parse_args()
    cells: list[Cell] = [(w, g) for g in GUIDANCE_WEIGHTS for w in NEGATIVE_WEIGHTS]
    if args.cells:
        pairs = (cell.split(",") for cell in args.cells)
        cells = [(float(w), float(g)) for w, g in pairs]
    named = dict(model.rsplit("=", 1) for model in args.models)
    clips = read_split(args.corpus / "egs" / args.split, args.clips)
    json_path = args.output.with_suffix(".json")
    setting = (
        f"{len(clips)} {'clips' if args.whole else 'segments of one window'} of {args.corpus.name}/{args.split}, "
        f"{args.evaluations} U-Net rows each a window whatever the branches, mean [95 % bootstrap interval over clips]."
    )
    command = shlex.join(["python", "benchmarks/guidance_study.py", *sys.argv[1:]])
    result: dict[str, Any] = {"command": command, "setting": setting, "cells": cells, "models": {}}
    if json_path.is_file():
        before = json.loads(json_path.read_text(encoding="utf-8"))
        if before["setting"] == setting and [tuple(cell) for cell in before["cells"]] == cells:
            result["models"] = before["models"]
    for label, source in named.items():
        if result["models"].get(label, {}).get("source") == source:
            continue
        model = PNDiffusion.get_pretrained(source)
        window = model.sequence.seconds
        taken = clips if args.whole else [cut(c, (c.info.seconds - window) / 2, window) for c in clips]
        rows = run_model(model, taken, cells, args.evaluations, args.rescale)
        result["models"][label] = {"source": source, "rows": rows}
        write_json(json_path, result)
    publish(render(result), args.output.with_suffix(".md"))


if __name__ == "__main__":
    main()
