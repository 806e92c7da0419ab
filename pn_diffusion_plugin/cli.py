"""The command `pn-diffusion`. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .errors import UserError
from .utils.progress import progress_bar

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Music for dance videos: PN-Diffusion (CVPR 2025) as a plugin of audiocraft.",
)
prepare_app = typer.Typer(no_args_is_help=True, help="Make a corpus to train on.")
app.add_typer(prepare_app, name="prepare")

stderr = Console(stderr=True)
_debug = False


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""
    global _debug
    _debug = debug
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING)
    if not debug:
        import warnings

        warnings.filterwarnings("ignore")  # of the libraries: a user can do nothing about them
        logging.disable(logging.WARNING)


def command_line() -> str:
    """This call, for reports."""
    return shlex.join(["pn-diffusion", *sys.argv[1:]])


def _check_output(path: Path, *suffixes: str) -> None:
    """Tell before the work what would only be found when its result is written."""
    if path.is_dir() or path.suffix.lower() not in suffixes:
        raise UserError(
            f"{path} cannot be written: give the name of a file that ends in {' or '.join(suffixes)}"
        )


@app.command()
def generate(
    video: Annotated[Path, typer.Argument(help="The dance.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The video with its new music (mp4).")],
    checkpoint: Annotated[
        str,
        typer.Option(
            "--checkpoint", "-c", help="Folder of an exported model, Dora signature, or bundled name."
        ),
    ] = "mini",
    wav: Annotated[Path | None, typer.Option(help="Write the music alone, too.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other music.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    sampler: Annotated[str | None, typer.Option(help="ddim, ddpm or dpm++.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance; 1: off.")] = None,
    negative_guidance: Annotated[
        float | None, typer.Option(help="Push away from the reversed dance; 0: off.")
    ] = None,
    visual_weights: Annotated[
        Path | None, typer.Option(help="File with the visual encoder's weights.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make music for a dance video.

    Example: `pn-diffusion generate dance.mp4 -o dance_with_music.mp4 --seed 3`
    """
    import soundfile

    from .data.video import mux, probe
    from .models.pn_diffusion import PNDiffusion
    from .utils.files import atomic_path

    _check_output(output, ".mp4")
    if wav is not None:
        _check_output(wav, ".wav", ".flac")
    probe(video)  # a video that cannot be used is told before the model is loaded
    model = PNDiffusion.get_pretrained(checkpoint, device)
    given = {"steps": steps, "sampler": sampler, "guidance": guidance, "negative_guidance": negative_guidance}
    model.set_generation_params(**{name: value for name, value in given.items() if value is not None})
    with progress_bar() as bar:
        task = bar.add_task("looking at the dance", total=None)

        def step(done: int, total: int) -> None:
            bar.update(task, description="making music", completed=done, total=total)

        music = model.generate([video], [seed], step, visual_weights)[0]
    if wav is not None:
        with atomic_path(wav) as temporary:
            soundfile.write(temporary, music[0].numpy(), model.sample_rate)
    mux(video, music.numpy(), model.sample_rate, output)
    stderr.print(f"wrote {output}")


@app.command()
def evaluate(
    generated: Annotated[Path, typer.Option(help="Folder of generated wav files.")],
    reference: Annotated[
        Path,
        typer.Option(
            help="Folder of reference wav files of the same names (and, if there are, "
            "json files with beats and song)."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="report.json; report.md is written beside it.")
    ],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of the dances, for the alignment of dance and music.")
    ] = None,
    features: Annotated[Path | None, typer.Option(help="Folder of feature files, instead of videos.")] = None,
    ceiling: Annotated[
        Path | None, typer.Option(help="Folder of the reference through autoencoder and vocoder.")
    ] = None,
    split: Annotated[str, typer.Option(help="Name of the split, for the report.")] = "unknown",
    partial: Annotated[
        bool, typer.Option("--partial", help="Score only the references that have generated music.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of shuffle and bootstrap.")] = 0,
) -> None:
    """Score generated music against its dance and the reference, between null rows. Needs no model.

    Example: `pn-diffusion evaluate --reference ref --generated out --videos dances -o report.json`
    """
    from .metrics.evaluate import evaluate_folders
    from .metrics.report import render_markdown, write_report

    _check_output(output, ".json")
    report = evaluate_folders(
        reference,
        generated,
        videos,
        features,
        ceiling=ceiling,
        partial=partial,
        seed=seed,
        split=split,
        command=command_line(),
    )
    write_report(report, output)
    print(render_markdown(report))


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="Dora signature or experiment folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for safetensors and YAML.")],
    hardware: Annotated[str | None, typer.Option(help="What it was trained on, for training.json.")] = None,
) -> None:
    """Write a trained model as a folder that `generate --checkpoint` loads, with nothing pickled in it.

    Example: `pn-diffusion export 1a2b3c4d -o models/mine`
    """
    from .models.checkpoint import resolve_checkpoint
    from .models.pn_diffusion import PNDiffusion
    from .models.training_card import training_card, write_card

    model = PNDiffusion.get_pretrained(checkpoint)
    folder = model.save_pretrained(output)
    experiment = resolve_checkpoint(checkpoint)
    if (experiment / "history.json").is_file():
        write_card(folder, training_card(experiment, hardware))
    stderr.print(f"wrote {folder}")


@prepare_app.command("folder")
def prepare_folder_command(
    src: Annotated[
        Path, typer.Argument(help="Folder of videos with their music, searched through and through.")
    ],
    dst: Annotated[Path, typer.Argument(help="Folder of the corpus.")],
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Table with columns file and song (and split, choreography, "
            "dancer, genre, bpm); SRC/metadata.csv is found by itself."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Put all clips of SRC into this split: train, valid or test.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    visual_encoder: Annotated[str, typer.Option(help="inception_i3d or i3d_r50.")] = "inception_i3d",
    visual_weights: Annotated[Path | None, typer.Option(help="File with the encoder's weights.")] = None,
) -> None:
    """Videos → features, sound, splits that share no song, manifests. Interrupted, it goes on where it was.

    Example: `pn-diffusion prepare folder my_videos outputs/corpora/mine`
    """
    from .data.features import FeatureSpec
    from .data.prepare import prepare_folder

    report = prepare_folder(
        src,
        dst,
        spec=FeatureSpec(visual_encoder=visual_encoder),
        metadata=metadata,
        jobs=jobs,
        seed=seed,
        splits=split,
        visual_weights=visual_weights,
    )
    _tell(report)


@prepare_app.command("mini")
def prepare_mini_command(
    dst: Annotated[Path | None, typer.Argument(help="Folder of the corpus.")] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Render and extract the training part too, instead of unpacking its ready-made features.",
        ),
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """The embedded corpus: generated dances with generated music.

    Example: `pn-diffusion prepare mini`
    """
    from . import paths
    from .data.corpora.mini.prepare import prepare_mini

    _tell(prepare_mini(dst or paths.outputs_dir() / "corpora" / "mini", rebuild=rebuild, jobs=jobs))


def _tell(report: Any) -> None:
    """What `prepare` did; exit code 1 when a video failed."""
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    stderr.print(
        f"{len(report.done)} clips made, {len(report.skipped)} were there, {len(report.failed)} failed "
        f"in {report.seconds:.0f} s; splits: {splits}; songs shared between splits: {report.leak_check}"
    )
    for _, reason in report.failed:
        stderr.print(f"failed: {reason}", markup=False, highlight=False, soft_wrap=True)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def demo(
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Train autoencoder and model here, instead of "
            "starting from the weights that ship with the project.",
        ),
    ] = False,
    clips: Annotated[int, typer.Option(min=1, max=32, help="Test dances.")] = 32,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the results.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes of the extraction.")] = os.cpu_count() or 1,
) -> None:
    """The whole chain on generated dances: videos with their new music, pictures and an honest report.

    Example: `pn-diffusion demo`
    """
    from . import paths
    from .demo import run_demo

    start = time.monotonic()
    folder = run_demo(
        output or paths.outputs_dir() / "demo",
        from_scratch=from_scratch,
        clips=clips,
        jobs=jobs,
        console=stderr,
        command=command_line(),
    )
    stderr.print(f"done in {(time.monotonic() - start) / 60:.1f} minutes: {folder}")


def main() -> None:
    """Entry point: one sentence on stderr and exit code 1 for a user's mistake."""
    try:
        app(standalone_mode=True)
    except (UserError, OSError) as error:  # a folder that cannot be written to is no bug either
        if _debug:
            raise
        stderr.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
