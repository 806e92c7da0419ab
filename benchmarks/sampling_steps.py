"""Scores by sampler and number of steps, against the 1000 steps that the model was trained with.

    python benchmarks/sampling_steps.py -o docs/sampling_steps                       # every cell
    python benchmarks/sampling_steps.py --cells ddpm,1000 dpm++,6 -o docs/sampling_steps
    python benchmarks/sampling_steps.py --cells ddim,10,guidance=1.5 -o docs/sampling_steps

A cell is a sampler, a number of steps and generation parameters. Every cell makes music for the same clips with the
same seeds, from the *validation* split, since the default is chosen by it. Finished cells are stored in
outputs/sampling_steps, one file each, so several processes can work at once; they are reused for the same weights.

A cell holds the reference's quality if no mean is worse than the worse end of the reference's own 95 % interval.
Writes OUTPUT.md and OUTPUT.png from all stored cells.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import nn

from benchmarks.common import Clock, command_line, publish, table
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.metrics import statistics
from pn_diffusion_plugin.metrics.corpus import CorpusClip, evaluation_clip, read_split
from pn_diffusion_plugin.metrics.embedding import Embedder
from pn_diffusion_plugin.metrics.frechet import MIN_CLIPS, frechet_clips
from pn_diffusion_plugin.metrics.scoring import row_sounds, score_sounds
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.modules.windows import window_starts
from pn_diffusion_plugin.solvers.loaders import weights_hash
from pn_diffusion_plugin.utils.files import atomic_path

RUN_LONG = "ddpm,1000"
STEPS = (50, 24, 20, 10, 6, 4, 2)
CELLS = (RUN_LONG, *(f"{sampler},{steps}" for sampler in ("ddim", "dpm++", "unipc") for steps in STEPS))
SCORES = {"beat_f70": "strict beat F", "onset_f50": "onset F", "bas_dance_to_music": "dance → music"}
FRECHET = "Fréchet distance"
DECIDING = ("strict beat F", "dance → music", FRECHET)
Value = dict[str, Any]  # mean, low, high


@dataclass
class Cell:
    """Scores of the music of one cell.

    Attributes:
        scores: score → (clips,).
        embedding: (clips, windows, 200) of musicnn.
        evaluations: U-Net rows a window.
        seconds: processor time of the generation.
    """

    name: str
    scores: dict[str, np.ndarray]
    embedding: np.ndarray
    evaluations: int
    seconds: float

    def values(self, reference: np.ndarray) -> dict[str, Value]:
        """Title → mean and interval over clips."""
        values: dict[str, Value] = {}
        for name, title in SCORES.items():
            interval = statistics.bootstrap(self.scores[name])
            assert interval is not None
            values[title] = interval.as_dict()
        return values | {FRECHET: frechet_clips(list(self.embedding), list(reference))}


def parameters(cell: str) -> dict[str, Any]:
    """Generation parameters of a cell.

    >>> parameters("dpm++,10,guidance=1.5")
    {'sampler': 'dpm++', 'steps': 10, 'guidance': 1.5}
    """
    sampler, steps, *more = cell.split(",")
    named = (item.split("=", 1) for item in more)
    return {"sampler": sampler, "steps": int(steps)} | {key: yaml.safe_load(value) for key, value in named}


def make_cell(model: PNDiffusion, name: str, clips: list[CorpusClip], embed: Embedder) -> Cell:
    """Generate and score the music of a cell."""
    before = model.params
    rows = 0

    def count(_: Any, args: tuple[Any, ...], __: Any) -> None:
        nonlocal rows
        rows += len(args[0])

    model.set_generation_params(**parameters(name))
    handle = model.networks()[0].unet.register_forward_hook(count)
    clock, features = Clock(), [clip.features for clip in clips]
    waves = clock.measure("music", model.generate_from_features, features, list(range(len(clips))))
    handle.remove()
    model.params = before
    made = {clip.info.name: wave[0].numpy() for clip, wave in zip(clips, waves, strict=True)}
    references = [evaluation_clip(clip) for clip in clips]
    sounds = row_sounds(references, {name: made})
    scored = score_sounds(references, {name: sounds[name]})[name]
    embedding = np.stack([embed(wav, model.sample_rate) for wav in sounds[name]])
    return Cell(
        name,
        {key: scored[key] for key in SCORES},
        embedding,
        rows // windows(model, clips),
        clock.processor["music"],
    )


def windows(model: PNDiffusion, clips: list[CorpusClip]) -> int:
    """Overlapping windows that the clips are denoised in."""
    sequence, hop = model.sequence, round(model.sequence.latent_columns * (1 - model.params.overlap))
    columns = [sequence.columns_for(clip.info.n_samples) for clip in clips]
    return sum(len(window_starts(n, sequence.latent_columns, hop)) for n in columns)


def write_cell(cell: Cell, file: Path) -> None:
    """Store a cell."""
    about = json.dumps({"name": cell.name, "evaluations": cell.evaluations, "seconds": cell.seconds})
    arrays: dict[str, Any] = {"about": np.array(about), "embedding": cell.embedding, **cell.scores}
    with atomic_path(file) as temporary:
        np.savez(temporary, **arrays)


def read_cell(file: Path) -> Cell:
    """A stored cell."""
    with np.load(file) as stored:
        about = json.loads(str(stored["about"]))
        scores = {key: stored[key] for key in SCORES}
        return Cell(about["name"], scores, stored["embedding"], about["evaluations"], about["seconds"])


def reference_embedding(clips: list[CorpusClip], embed: Embedder, file: Path) -> np.ndarray:
    """Embedding (clips, windows, 200) of the reference music, stored in a file."""
    if not file.is_file():
        with atomic_path(file) as temporary:
            np.save(temporary, np.stack([embed(clip.reference, clip.info.sample_rate) for clip in clips]))
    return np.load(file)


def holds(values: dict[str, Value], reference: dict[str, Value]) -> bool:
    """Whether no deciding mean is worse than the worse end of the reference's interval."""
    return all(
        values[title]["mean"] <= reference[title]["high"]
        if title == FRECHET
        else values[title]["mean"] >= reference[title]["low"]
        for title in DECIDING
    )


def number(value: Value) -> str:
    """Mean and interval as text."""
    return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def render(cells: list[Cell], reference: np.ndarray, setting: str, command: str, picture: str) -> str:
    """The cells as a Markdown table, most evaluations first."""
    values = {cell.name: cell.values(reference) for cell in cells}
    titles = list(next(iter(values.values())))
    rows = []
    for cell in sorted(cells, key=lambda cell: -cell.evaluations):
        own = values[cell.name]
        held = "–"
        if RUN_LONG in values:
            held = "yes" if holds(own, values[RUN_LONG]) else "no"
        scores = [number(own[title]) for title in titles]
        rows.append([cell.name, str(cell.evaluations), f"{cell.seconds:.0f}", *scores, held])
    head = ["sampler, steps", "U-Net rows a window", "processor seconds", *titles, "holds"]
    note = (
        f"*holds*: {', '.join(DECIDING)} all no worse than the worse end of {RUN_LONG}'s interval. "
        "Fréchet distance in musicnn's embedding, corrected for the number of clips. Processor seconds of one core "
        "for all clips, U-Net, decoder and mel inversion together; other programs shared the machine."
    )
    plot = f"![Scores over rows of the U-Net]({picture})"
    return "\n\n".join([f"`{command}`", setting, plot, table(head, rows), note]) + "\n"


def draw(cells: list[Cell], reference: np.ndarray, file: Path) -> None:
    """The curve: scores over U-Net rows a window, a line a sampler."""
    from matplotlib import figure as figures
    from matplotlib import ticker

    plain = [cell for cell in cells if cell.name.count(",") == 1]
    figure = figures.Figure(figsize=(12, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    values = {cell.name: cell.values(reference) for cell in plain}
    for title, axis in zip(DECIDING, axes, strict=True):
        if RUN_LONG in values:
            long = values[RUN_LONG][title]
            axis.axhspan(long["low"], long["high"], color="0.9", label=f"{RUN_LONG}, 95 %")
        for sampler in ("ddim", "dpm++", "unipc"):
            line = sorted(
                (c.evaluations, values[c.name][title]) for c in plain if c.name.startswith(f"{sampler},")
            )
            if line:
                x = [evaluations for evaluations, _ in line]
                mean = np.array([v["mean"] for _, v in line])
                spread = np.array([[v["mean"] - v["low"], v["high"] - v["mean"]] for _, v in line]).T
                axis.errorbar(x, mean, spread, marker="o", markersize=3, capsize=2, label=sampler)
        axis.set(title=title, xlabel="U-Net rows a window", xscale="log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes[0].legend()
    with atomic_path(file) as temporary:
        figure.savefig(temporary, dpi=90)


def main() -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--corpus", type=Path, default=paths.outputs_dir() / "corpora/mini")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--clips", type=int, default=None, help="the first so many of the split")
    parser.add_argument(
        "--cells", nargs="*", default=CELLS, help="SAMPLER,STEPS[,KEY=VALUE…]; none: only draw"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="file name without its suffix")
    args = parser.parse_args()
    clips = read_split(args.corpus / "egs" / args.split, args.clips)
    if len(clips) < MIN_CLIPS:
        parser.error(f"{len(clips)} clips are too few for a Fréchet distance: give at least {MIN_CLIPS}")
    model, embed = PNDiffusion.get_pretrained(args.model), Embedder()
    weights = weights_hash(nn.ModuleList(model.parts()))[:8]
    of = f"{args.model.replace('/', '_')}-{weights}-{args.corpus.name}-{args.split}-{len(clips)}"
    folder = paths.outputs_dir() / "sampling_steps" / of
    for name in args.cells:
        if (file := folder / f"{name}.npz").is_file():
            continue
        cell = make_cell(model, name, clips, embed)
        write_cell(cell, file)
        print(f"{name}: {cell.seconds:.0f} s", flush=True)
    reference = reference_embedding(clips, embed, folder / "reference.npy")
    cells = [read_cell(file) for file in sorted(folder.glob("*.npz"))]
    setting = (
        f"Model {args.model}, {len(clips)} clips of {args.corpus.name}/{args.split}, "
        "mean [95 % bootstrap interval over clips]."
    )
    command = shlex.join(["python", "benchmarks/sampling_steps.py", *sys.argv[1:]])
    text = render(cells, reference, setting, command, args.output.with_suffix(".png").name)
    draw(cells, reference, args.output.with_suffix(".png"))
    publish(text, args.output.with_suffix(".md"))


if __name__ == "__main__":
    main()
