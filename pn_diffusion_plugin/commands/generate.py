"""`pn-diffusion generate`: music for a dance video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..utils.progress import progress_bar
from .common import check_output, stderr


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
    sampler: Annotated[str | None, typer.Option(help="ddim, ddpm, dpm++ or unipc.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance; 1: off.")] = None,
    negative_guidance: Annotated[
        float | None, typer.Option(help="Push away from the negative dance; 0: off.")
    ] = None,
    guidance_rescale: Annotated[
        float | None, typer.Option(help="Share of the contrast that guidance adds to be taken back, 0 to 1.")
    ] = None,
    eta: Annotated[float | None, typer.Option(help="Noise on the way with ddim, 0 to 1.")] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Of neighbouring windows of a long video, in parts of a window.")
    ] = None,
    windows_per_call: Annotated[
        int | None, typer.Option(help="Windows denoised at once: fewer need less memory.")
    ] = None,
    visual_weights: Annotated[
        Path | None, typer.Option(help="File with the visual encoder's weights.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make music for a dance video.

    Of any length from the model's window on: a long video is denoised in overlapping windows.

    Example: `pn-diffusion generate dance.mp4 -o dance_with_music.mp4 --seed 3`
    """
    import soundfile

    from ..data.video import mux, probe
    from ..models.pn_diffusion import PNDiffusion
    from ..utils.files import atomic_path

    check_output(output, ".mp4")
    if wav is not None:
        check_output(wav, ".wav", ".flac")
    probe(video)  # a video that cannot be used is told before the model is loaded
    model = PNDiffusion.get_pretrained(checkpoint, device)
    given = {
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "negative_guidance": negative_guidance,
        "guidance_rescale": guidance_rescale,
        "eta": eta,
        "overlap": overlap,
        "windows_per_call": windows_per_call,
    }
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
