"""The whole pipeline on generated dances, run by `make demo`.

Test dances are rendered as videos and processed like a user's videos. The report compares the generated music with null
rows and a ceiling. The model is the bundled one or trained from scratch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

from .. import paths
from ..data.corpora.synthetic.prepare import prepare_mini
from ..data.manifest import CorpusPaths
from ..data.video.mux import mux
from ..metrics.beats import track_beats
from ..metrics.corpus import CorpusClip, evaluate_corpus, read_split
from ..metrics.dance import dance_beats
from ..metrics.figures import clip_figure
from ..metrics.report import render_markdown, write_report
from ..models.io.checkpoint import resolve_checkpoint
from ..models.io.training_card import read_card
from ..models.pn_diffusion import PNDiffusion
from ..utils.files import atomic_path
from ..utils.progress import progress_bar

BUNDLED = "mini"
SCRATCH = ["solver=pn_diffusion", "optim.epochs=4"]  # 400 updates; scores improve little after them


def run_demo(
    out: Path,
    *,
    from_scratch: bool = False,
    clips: int = 32,
    jobs: int = 2,
    console: Console | None = None,
    command: str = "pn-diffusion demo",
) -> Path:
    """Generate music for test dances of the embedded corpus.

    Args:
        out: folder of `<clip>.mp4`, `.wav`, `.png` and of `report.json`, `report.md`.
        from_scratch: train autoencoder and model.
        clips: number of test dances.
        jobs: processes for the extraction of features.

    Returns:
        `out`.
    """
    console = console or Console(stderr=True)
    corpus = paths.outputs_dir() / "corpora" / "mini"
    if not from_scratch:
        resolve_checkpoint(BUNDLED)  # fails before the extraction, which takes minutes
    console.print("1/3 corpus: dances → videos → features")
    prepare_mini(corpus, jobs=jobs)
    if from_scratch:
        from ..train import ensure_experiment

        console.print("2/3 training autoencoder and PN-Diffusion from scratch")
        source, label = str(ensure_experiment(SCRATCH)), "PN-Diffusion, trained from scratch"
    else:
        console.print("2/3 loading the bundled weights (`--from-scratch` trains them instead)")
        source, label = BUNDLED, "PN-Diffusion, bundled weights"
    model = PNDiffusion.get_pretrained(source)
    console.print(f"3/3 music for {clips} test dances")
    manifest = CorpusPaths(corpus).manifest("test")
    dances = read_split(manifest, clips)
    with progress_bar(console=console) as bar:
        task = bar.add_task("denoising", total=None)
        report = evaluate_corpus(
            model,
            manifest,
            out / "evaluation",
            command=command,
            label=label,
            clips=dances,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        show = bar.add_task("videos and figures", total=len(dances))
        for clip in dances:
            _present(clip, out, model.sample_rate)
            bar.update(show, advance=1)
    write_report(report, out / "report.json")
    with atomic_path(out / "report.md") as temporary:
        temporary.write_text(render_markdown(report) + _about(source), encoding="utf-8")
    return out


def _present(clip: CorpusClip, out: Path, sample_rate: int) -> None:
    """Write the dance with its new music, the music, and a figure of both."""
    name = clip.info.name
    wav, _ = soundfile.read(out / "evaluation" / "model" / f"{name}.wav", dtype="float32")
    with atomic_path(out / f"{name}.wav") as temporary:
        soundfile.write(temporary, wav, sample_rate)
    mux(clip.info.video, wav, sample_rate, out / f"{name}.mp4")
    clip_figure(
        out / f"{name}.png",
        wav,
        sample_rate,
        None,
        dance_beats(clip.features),
        track_beats(wav, sample_rate),
        None if clip.info.beats is None else np.asarray(clip.info.beats),
        title=f"{name}: {clip.info.genre}, {clip.info.bpm:g} BPM",
    )


def _about(source: str) -> str:
    """Paragraph of the report on the origin and training of the weights."""
    folder = resolve_checkpoint(source)
    if source != BUNDLED:
        return f"\nThe model was trained on this machine from scratch: `{folder.name}`.\n"
    card = read_card(folder)
    training = (
        f", the result of `{card['command']}` "
        f"({card['updates']} updates, {card['minutes']:.0f} minutes on {card['hardware']})"
        if card
        else ""
    )
    return (
        f"\nThe weights are those of the package{training}. "
        "`make demo-scratch` trains a model on this machine.\n"
    )
