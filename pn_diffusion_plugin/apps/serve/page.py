"""Layout and events of the page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import gradio as gr

from ...data.features.dancers import MAX_PEOPLE
from ...errors import UserError
from ...models.builders import negative_in_words
from ...modules.sampling import SAMPLERS
from ...modules.style import ANY
from . import render
from .settings import MAX_TAKES, GenerationRequest
from .studio import JobResult, MusicJob, Studio
from .uploads import plays_in_browsers

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
BROKEN = "An error of the server, not of your video: try again, or look into the server's log."
DANCERS = (
    ("The most prominent", "prominent"),
    ("The largest", "largest"),
    ("The one farthest to the left", "left"),
    ("The one farthest to the right", "right"),
    *((f"Number {number} from the left", str(number)) for number in range(1, MAX_PEOPLE + 1)),
)
ANY_STYLE, ANY_KEY = ("Any: the dance decides", ANY), ("Any", ANY)
KEYS = (
    *(f"{tonic} major" for tonic in ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")),
    *(f"{tonic} minor" for tonic in ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")),
)


def build_page(studio: Studio) -> gr.Blocks:
    """The page of a studio."""
    settings = studio.settings
    first = settings.models[0]
    sessions: dict[str, MusicJob] = {}

    def show_facts(video: str | None) -> str:
        """What the uploaded video is, or why it cannot be used."""
        if video is None:
            return ""
        try:
            info = studio.check_upload(video)
            return render.facts(info, Path(video).name, plays_in_browsers(Path(video)))
        except UserError as error:
            return render.refused(str(error))

    async def make(
        video: str | None,
        model: str,
        takes: int,
        seed: int,
        steps: int,
        sampler: str,
        guidance: float,
        negative_cfg: float,
        start: float | None,
        end: float | None,
        dancer: str,
        style: str,
        key: str,
        request: gr.Request,
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Generate takes of music for a video; the third value is the result for programs."""
        params = {
            "steps": steps,
            "sampler": sampler,
            "guidance": guidance,
            "negative_cfg": negative_cfg,
            "style": style,
            "key": key,
        }
        session, began = str(request.session_hash), time.monotonic()
        running = gr.update(visible=False), gr.update(visible=True)
        try:
            seeds = tuple(int(seed or 0) + number for number in range(int(takes)))
            wanted = GenerationRequest(model, seeds, params, start or None, end or None, dancer)
            job = await asyncio.to_thread(studio.submit, video, wanted)
        except UserError as error:
            yield failed(str(error))
            return
        sessions[session] = job
        try:
            shown = ""
            while not job.future.done():
                if job.progress is None:
                    status = render.waiting(studio.queue.count_before(job))
                else:
                    status = render.running(job.progress)
                if status != shown:
                    yield status, "", None, *running
                    shown = status
                await asyncio.sleep(POLL_SECONDS)
            try:
                result = job.future.result(timeout=0)
            except CancelledError:
                yield ended(render.message("stopped", "Stopped."), "", {"error": "stopped"})
            except UserError as error:
                yield failed(str(error))
            except Exception:
                logger.exception("a job failed")
                yield failed(BROKEN)
            else:
                done = render.message("done", f"Made in {time.monotonic() - began:.0f} s.")
                yield ended(done, render.takes(result, settings.root_path), for_programs(result))
        finally:
            job.cancel()  # the page may have been closed
            if sessions.get(session) is job:
                del sessions[session]

    def stop(request: gr.Request) -> None:
        """Cancel the job of a page."""
        job = sessions.get(str(request.session_hash))
        if job is not None:
            job.cancel()

    def of_model(model: str) -> tuple[Any, ...]:
        """Defaults and limits of a model."""
        properties = (*controls_of(studio, model), *sound_controls_of(studio, model))
        return tuple(gr.update(**one) for one in properties)

    with gr.Blocks(title="Music for dance videos", analytics_enabled=False) as page:
        gr.HTML(render.top())
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=330):
                video = gr.Video(
                    label="Dance video",
                    sources=["upload", "webcam"],
                    webcam_options=gr.WebcamOptions(mirror=False),
                    include_audio=True,
                    height=360,
                    buttons=[],
                    elem_id="video",
                )
                about = gr.HTML("", elem_id="facts")
                of_sound = sound_controls_of(studio, first)
                with gr.Row(elem_id="sound", **of_sound[0]) as sound:
                    # All styles, since programs may choose another model; a page shows those of its model.
                    style = gr.Dropdown(
                        style_choices({name for one in studio.models.values() for name in one.styles}),
                        label="Style",
                        elem_id="style",
                        scale=3,
                        min_width=230,
                        **{name: of_sound[1][name] for name in ("value", "visible")},
                    )
                    key = gr.Dropdown(
                        [ANY_KEY, *((key.replace("#", "♯").replace("b ", "♭ "), key) for key in KEYS)],
                        label="Key",
                        elem_id="key",
                        scale=2,
                        min_width=130,
                        **of_sound[2],
                    )
                with gr.Row(elem_id="seeds"):
                    takes = gr.Radio(
                        list(range(1, MAX_TAKES + 1)),
                        value=1,
                        label="Takes to compare",
                        elem_id="takes",
                        scale=4,
                        min_width=200,
                    )
                    seed = gr.Number(
                        0,
                        label="First seed",
                        precision=0,
                        minimum=0,
                        maximum=2**31 - 1 - MAX_TAKES,
                        elem_id="seed",
                        scale=2,
                        min_width=90,
                    )
                    dice = gr.Button("↻", size="md", elem_id="dice", min_width=40, scale=0)
                button = gr.Button("Make music", variant="primary", size="lg", elem_id="make")
                stopping = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_id="stop")
                with gr.Accordion("More settings", open=False, elem_id="more"):
                    model = gr.Dropdown(
                        list(settings.models),
                        value=first,
                        label="Model",
                        visible=len(settings.models) > 1,
                        elem_id="model",
                    )
                    with gr.Row():
                        start = gr.Number(0, label="From (s)", minimum=0, min_width=100, elem_id="start")
                        end = gr.Number(
                            0, label="To (s)", info="0: the end", minimum=0, min_width=100, elem_id="end"
                        )
                    dancer = gr.Dropdown(
                        DANCERS,
                        value="prominent",
                        label="Dancer to follow",
                        info="Where there are several. Prominent: large, central, visible for long.",
                        elem_id="dancer",
                    )
                    initial, shown = controls_of(studio, first), studio.defaults[first]["steps"]
                    steps = gr.Slider(
                        1, max(200, shown), step=1, label="Steps", elem_id="steps", **initial[0]
                    )
                    sampler = gr.Dropdown(list(SAMPLERS), label="Sampler", elem_id="sampler", **initial[1])
                    guidance = gr.Slider(0, 10, step=0.1, label="Guidance", elem_id="guidance", **initial[2])
                    negative = gr.Slider(
                        0, 10, step=0.1, label="Negative guidance", elem_id="negative", **initial[3]
                    )
                    controls = [steps, sampler, guidance, negative, sound, style, key]
            with gr.Column(scale=6, min_width=360):
                status = gr.HTML(render.message("idle", render.IDLE), elem_id="status")
                results = gr.HTML("", elem_id="results")
                result = gr.JSON(visible=False)
        gr.HTML(render.bottom(settings, studio.models[first].sequence.seconds))
        inputs = [
            video,
            model,
            takes,
            seed,
            steps,
            sampler,
            guidance,
            negative,
            start,
            end,
            dancer,
            style,
            key,
        ]
        outputs = [status, results, result, button, stopping]
        made = button.click(
            make,
            inputs,
            outputs,
            show_progress="hidden",
            concurrency_limit=None,  # the studio has its own queue
            api_name="make",
        )
        quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        made.failure(lambda: failed(BROKEN), None, outputs, **quiet)
        stopping.click(stop, **quiet)
        dice.click(None, None, seed, js="() => Math.floor(Math.random() * 1e6)", **quiet)
        video.change(show_facts, [video], [about], **{**quiet, "queue": True, "concurrency_limit": 4})
        gr.on([page.load, model.change], of_model, [model], controls, **quiet)
        page.unload(stop)
    return page


def ended(status: str, takes: str, result: dict[str, Any]) -> tuple[Any, ...]:
    """Outputs of a job that is done; *Make music* replaces *Stop*."""
    return status, takes, result, gr.update(visible=True), gr.update(visible=False)


def failed(sentence: str) -> tuple[Any, ...]:
    """Outputs of a job without takes."""
    return ended(render.message("failed", sentence), "", {"error": sentence})


def controls_of(studio: Studio, name: str) -> tuple[dict[str, Any], ...]:
    """Properties of the controls of steps, sampler, guidance and negative guidance for a model."""
    model, params = studio.models[name], studio.defaults[name]
    guided, effect = bool(model.config["conditioning"]["dropout"]), negative_in_words(model.config)
    return (
        {"value": params["steps"]},
        {"value": params["sampler"]},
        {
            "value": params["guidance"],
            "interactive": guided,
            "info": "How strictly the music follows the dance; 1: off."
            if guided
            else "This model was not trained for it.",
        },
        {
            "value": params["negative_cfg"],
            "interactive": effect is not None,
            "info": f"In training the network {effect}. How far to push away from that dance here; 0: off."
            if effect
            else "This model was trained without negatives.",
        },
    )


def sound_controls_of(studio: Studio, name: str) -> tuple[dict[str, Any], ...]:
    """Properties of the row of style and key, and of these two, for a model."""
    model, params = studio.models[name], studio.defaults[name]
    styled, keyed = bool(model.styles), model.writes_scores
    return (
        {"visible": styled or keyed},
        {"choices": style_choices(model.styles), "value": params["style"], "visible": styled},
        {"value": params["key"], "visible": keyed},
    )


def style_choices(styles: Iterable[str]) -> list[tuple[str, str]]:
    """Styles of a selector by their labels, the free choice first.

    >>> style_choices(["drum_and_bass"])
    [('Any: the dance decides', 'any'), ('Drum and bass', 'drum_and_bass')]
    """
    return [ANY_STYLE, *((name.replace("_", " ").capitalize(), name) for name in styles)]


def for_programs(result: JobResult) -> dict[str, Any]:
    """A result as JSON; paths are relative to the page. Null: the model generates no such file."""

    def address(name: str | None) -> str | None:
        return None if name is None else render.address(result.token, name)

    return {
        "takes": [
            {
                "seed": take.seed,
                "seconds": take.seconds,
                "video": address(take.video),
                "wav": address(take.wav),
                "midi": address(take.midi),
                "stems": address(take.stems),
                "chart": address(take.chart),
                "command": take.command,
            }
            for take in result.takes
        ]
    }
