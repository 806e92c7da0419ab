"""`pn-diffusion generate`: music for dance videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import failure_text
from ..paths import DEFAULT_WEIGHTS
from ..utils.progress import progress_bar
from .common import Dancer, complain, finish, say, warn
from .generation_options import with_generation_options

_STAGES = {
    "extract": "extracting features",
    "denoise": "denoising",
    "decode": "decoding",
    "write": "writing files",
}  # of models.pipeline, which is not imported for --help


@with_generation_options
def generate(
    videos: Annotated[
        list[Path], typer.Argument(help="The dances; of folders, all videos in them.", metavar="VIDEO|DIR…")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The video with its new music (mp4), or a folder for one or several."
        ),
    ],
    params: dict[str, Any],
    checkpoint: Annotated[
        str,
        typer.Option(
            "--checkpoint",
            "-c",
            help="Folder of an exported model, Dora signature, bundled name, or OWNER/NAME on the hub.",
        ),
    ] = DEFAULT_WEIGHTS,
    wav: Annotated[
        Path | None, typer.Option(help="Write the music alone, too: a file (wav, flac) or a folder.")
    ] = None,
    stems: Annotated[
        Path | None,
        typer.Option(help="Of models that write notes: write drums, bass, chords and lead into this folder."),
    ] = None,
    midi: Annotated[
        Path | None,
        typer.Option(help="Of models that write notes: write them as MIDI, a file (mid) or a folder."),
    ] = None,
    markers: Annotated[
        Path | None,
        typer.Option(
            help="Write the beats for a video editor: a file (csv: a table, edl: DaVinci Resolve, fcpxml: Final Cut) "
            "or a folder."
        ),
    ] = None,
    soundfont: Annotated[
        Path | None,
        typer.Option(help="Of models that write notes: play them with this SoundFont (sf2)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Takes of each video, from --seed on, named NAME_seed0.mp4 and so on; the best aligned is named.",
        ),
    ] = 1,
    start: Annotated[float | None, typer.Option(min=0.0, help="Begin here (seconds).")] = None,
    end: Annotated[float | None, typer.Option(min=0.0, help="End here (seconds).")] = None,
    keep_audio_db: Annotated[
        float | None,
        typer.Option(
            help="Mix the original sound with the music, at this level relative to it in dB, e.g. -12."
        ),
    ] = None,
    compatible: Annotated[
        bool,
        typer.Option(
            "--compatible",
            help="Re-encode frames that some phones or browsers do not play, as H.264 (yuv420p).",
        ),
    ] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="The music as generated: no stereo, ending or loudness, and its own sample rate."
        ),
    ] = False,
    dancer: Dancer = "prominent",
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Skip takes whose files exist.")
    ] = False,
    visual_weights: Annotated[
        Path | None, typer.Option(help="File with the visual encoder's weights.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make music for dance videos.

    Of any length from the model's window on: a long video is denoised in overlapping windows.

    Example: `pn-diffusion generate dance.mp4 -o dance_with_music.mp4 --seed 3`

    A folder, four takes of each video: `pn-diffusion generate dances -o with_music --seeds 4 --skip-existing`

    The right one of two dancers: `pn-diffusion generate duet.mp4 -o out.mp4 --dancer right`

    In a style and a key, with the parts for a studio: `pn-diffusion generate dance.mp4 -o out.mp4
    --style funk --key "A minor" --stems stems --midi dance.mid`

    With its beats as markers for DaVinci Resolve: `pn-diffusion generate dance.mp4 -o out.mp4 --markers beats.edl`

    A part, with its original sound: `pn-diffusion generate dance.mp4 -o out.mp4 --end 15 --keep-audio-db -12`
    """
    from ..apps.generate import generate_takes, plan_takes
    from ..data.features.dancers import parse_dancer
    from ..models.pipeline import Edit, Take

    parse_dancer(dancer)  # fails before a model is loaded
    takes = plan_takes(
        videos, output, wav, range(seed, seed + seeds), midi=midi, stems=stems, markers=markers
    )
    there = {take: skip_existing and all(file.is_file() for file in take.files) for take in takes}
    warnings, failed = _check_videos({take.video for take in takes if not there[take]}, compatible)
    for warning in warnings:
        warn(warning)
    todo = [take for take in takes if not there[take] and take.video not in failed]
    made: dict[Take, float | None] = {}
    if todo:
        from ..models.pn_diffusion import PNDiffusion

        model = PNDiffusion.get_pretrained(checkpoint, device)
        model.set_generation_params(**params)
        edit = Edit(start, end, keep_audio_db, compatible, not raw, soundfont)
        number = {video: n for n, video in enumerate(dict.fromkeys(take.video for take in todo), 1)}
        with progress_bar() as bar:

            def report(video: Path, stage: str, done: float, total: float) -> None:
                name = (
                    _STAGES[stage]
                    if len(number) == 1
                    else f"{number[video]} of {len(number)}: {_STAGES[stage]}"
                )
                if name not in [task.description for task in bar.tasks]:
                    for task in bar.task_ids:
                        bar.remove_task(task)
                    bar.add_task(name)
                bar.update(bar.task_ids[-1], completed=done, total=total)

            for video, written, error in generate_takes(
                model, todo, edit, visual_weights, report, dancer, checkpoint
            ):
                made |= written
                if error is not None:
                    failed[video] = error
                for take, fit in written.items():
                    aligned = "" if fit is None else f" (beat alignment with the dance {fit:.2f})"
                    say("wrote " + " and ".join(map(str, take.files)) + aligned)
                fits = {take: fit for take, fit in written.items() if fit is not None}
                if len(fits) > 1:
                    say(f"best aligned of {len(fits)}: {max(fits, key=fits.__getitem__).output}")
    if failed and len({take.video for take in takes}) == 1:
        raise next(iter(failed.values()))
    for video, error in failed.items():
        complain(f"failed: {failure_text(video, error)}")
    if skipped := [take for take in takes if there[take]]:
        say(f"{len(skipped)} takes exist and were skipped")
    result = {
        "made": [{**vars(take), "alignment": fit} for take, fit in made.items()],
        "skipped": [vars(take) for take in skipped],
        "failed": [{"video": video, "reason": failure_text(video, error)} for video, error in failed.items()],
        "warnings": warnings,
    }
    finish(result, failed=bool(failed))


def _check_videos(videos: set[Path], compatible: bool) -> tuple[list[str], dict[Path, Exception]]:
    """Check videos before a model is loaded: warnings, and the error of each that cannot be used."""
    from ..data.video.probe import probe

    warnings: list[str] = []
    failed: dict[Path, Exception] = {}
    for video in sorted(videos):
        try:
            info = probe(video)
        except Exception as error:
            failed[video] = error
        else:
            warnings += (replace(info, playback=None) if compatible else info).warnings(video)
    return warnings, failed
