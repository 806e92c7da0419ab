"""Cells of a grid against their positive-only twins: paired differences over clips and seeds.

    pn-diffusion grid mini.negatives
    python benchmarks/paired.py mini.negatives --manifest outputs/corpora/mini/egs/valid -o outputs/negatives/mini_valid

The twin of a cell has the same seed and the same number of training clips, and no negatives (negative.alpha=1). All
cells make music for the same whole clips with the same seeds. Intervals are 95 % bootstrap intervals over clips and
training seeds, both drawn with replacement. Choose on *validation* clips. Scores are stored in OUTPUT.json and not
computed again. Writes OUTPUT.json and OUTPUT.md.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.common import command_line, publish, table
from benchmarks.guidance_study import METRICS, NULLS
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.apps.local_grid import is_finished, list_cells
from pn_diffusion_plugin.metrics.corpus import evaluation_clip, read_split
from pn_diffusion_plugin.metrics.scoring import EventCache, row_sounds, score_sounds
from pn_diffusion_plugin.models.pretrained import get_pretrained
from pn_diffusion_plugin.utils.files import write_json

RESAMPLES = 4000


def labels(cfg: Any) -> dict[str, str]:
    """What a cell and its twin are trained with, without the seed."""
    clips = cfg.dataset.train.clips
    suffix = "" if clips is None else f", {clips} clips"
    twin = f"positive only{suffix}"
    negative = f"{cfg.negative.latent}, {cfg.negative.cue}, α = {cfg.negative.alpha:g}{suffix}"
    return {"label": twin if cfg.negative.alpha == 1 else negative, "twin": twin}


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (seeds, clips) and the interval over both; a clip with a nan is left out.

    >>> interval(np.array([[0.0, 1.0], [0.0, 1.0]]))[0]
    0.5
    """
    values = values[:, ~np.isnan(values).any(axis=0)]
    random = np.random.default_rng(0)
    seeds, clips = values.shape
    means = [
        values[random.integers(seeds, size=seeds)][:, random.integers(clips, size=clips)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def text(values: np.ndarray, sign: bool = False) -> str:
    """`.87 [.82, .91]`, or `+.01 [−.02, .04]` for a difference."""
    mean, low, high = (
        f"{value:.2f}".replace("-0.00", "0.00").replace("0.", ".") for value in interval(values)
    )
    plus = "+" if sign and not mean.startswith("-") else ""
    return f"{plus}{mean} [{low}, {high}]".replace("-", "−")


def render(result: dict[str, Any]) -> str:
    """The study as Markdown: for each setting the forms and their differences to the twins."""
    parts = [f"`{result['command']}`", result["setting"]]
    nulls = [
        [name, *(text(np.array([row[metric]])) for metric in METRICS)]
        for name, row in result["nulls"].items()
    ]
    parts.append(table(["null row", *METRICS.values()], nulls))
    for setting in result["settings"]:
        rows: dict[str, dict[int, dict[str, list[float]]]] = {}
        twins = {cell["label"]: cell["twin"] for cell in result["cells"].values()}
        for cell in result["cells"].values():
            if setting in cell["scores"]:
                rows.setdefault(cell["label"], {})[cell["seed"]] = cell["scores"][setting]
        lines = []
        for name, by_seed in rows.items():
            twin = rows.get(twins[name], {})
            seeds = [seed for seed in by_seed if seed in twin]
            line = [name, str(len(by_seed))]
            for metric in METRICS:
                values = np.array([scores[metric] for scores in by_seed.values()], dtype=float)
                shown = text(values)
                if seeds and twin is not by_seed:
                    pairs = [(by_seed[seed][metric], twin[seed][metric]) for seed in seeds]
                    difference = np.array(
                        [np.subtract(np.array(a, float), np.array(b, float)) for a, b in pairs]
                    )
                    shown = f"{shown}; {text(difference, sign=True)}"
                line.append(shown)
            lines.append(line)
        parts += [f"### {setting}", table(["trained with", "seeds", *METRICS.values()], lines)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("grid", help="e.g. mini.negatives")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/valid")
    parser.add_argument("--clips", type=int, help="the first so many only")
    parser.add_argument("--cells", nargs="*", default=[], help="only cells whose name contains one of these")
    parser.add_argument(
        "--settings", nargs="+", default=["guidance=1,steps=4", "guidance=2,steps=4"], help="KEY=VALUE,…"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="file name without its suffix")
    args = parser.parse_args()
    json_path = args.output.with_suffix(".json")
    clips = read_split(args.manifest, args.clips)
    names = [clip.info.name for clip in clips]
    result: dict[str, Any] = {"cells": {}}
    if json_path.is_file():
        result = json.loads(json_path.read_text(encoding="utf-8"))
        if result["clips"] != names:
            parser.error(f"{json_path} is about other clips: give another --output")
    root = args.manifest.parent.parent.name
    result |= {
        "command": shlex.join(["python", "benchmarks/paired.py", *sys.argv[1:]]),
        "setting": f"{len(clips)} whole clips of {root}/{args.manifest.name}. Mean [95 % interval]; difference to the "
        "twin [95 % interval].",
        "clips": names,
        "settings": list(dict.fromkeys([*result.get("settings", []), *args.settings])),
    }
    truth, events = [evaluation_clip(clip) for clip in clips], EventCache()

    def score(rows: Mapping[str, Sequence[np.ndarray]]) -> dict[str, dict[str, list[float]]]:
        found = score_sounds(truth, rows, events)
        return {row: {metric: scores[metric].tolist() for metric in METRICS} for row, scores in found.items()}

    rows = row_sounds(truth, {})
    result["nulls"] = result.get("nulls") or score({null: rows[null] for null in NULLS})
    for sheep in list_cells(args.grid, args.cells):
        cfg, sig = sheep.xp.cfg, sheep.xp.sig
        cell = result["cells"].setdefault(sig, {**labels(cfg), "seed": cfg.seed, "scores": {}})
        missing = [setting for setting in args.settings if setting not in cell["scores"]]
        if not missing or not is_finished(sheep):
            continue
        for setting in missing:
            model = get_pretrained(sig)  # anew: with no parameter of the setting before
            model.set_generation_params(**yaml.safe_load("{" + setting.replace("=", ": ") + "}"))
            waves = model.generate_from_features([clip.features for clip in clips], list(range(len(clips))))
            sounds = [wave[0].numpy()[: clip.reference.size] for clip, wave in zip(truth, waves, strict=True)]
            cell["scores"] |= {setting: score({"model": sounds})["model"]}
            write_json(json_path, result)
    publish(render(result), args.output.with_suffix(".md"))


if __name__ == "__main__":
    main()
