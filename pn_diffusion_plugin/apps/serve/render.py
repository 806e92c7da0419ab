"""HTML of the page; every value is escaped."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from ...data.video.probe import VideoInfo
from ...models.pipeline import DECODE, DENOISE, EXTRACT, WRITE
from .progress import Progress
from .settings import ServeSettings
from .studio import JobResult

_HERE = Path(__file__).parent
STAGES = {
    EXTRACT: ("Watching the dance", "watch"),
    DENOISE: ("Making music", "make music"),
    DECODE: ("Turning it into sound", "sound"),
    WRITE: ("Writing the files", "write"),
}
IDLE = "Drop a dance video, then press “Make music”."
NO_PREVIEW = "Your browser may not show this video here; the result will play."


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def static(name: str) -> str:
    """Text of a file of the page."""
    return (_HERE / "static" / name).read_text(encoding="utf-8")


def address(token: str, name: str, root_path: str = "") -> str:
    """Path of a file of a result; relative to the page without `root_path`."""
    return f"{root_path}takes/{quote(token)}/{quote(name, safe='')}"


def top() -> str:
    """Head of the page."""
    return _environment().get_template("top.html").render()


def bottom(settings: ServeSettings, window: float) -> str:
    """Foot of the page; `window`: seconds of the shortest video."""
    return _environment().get_template("bottom.html").render(settings=settings, window=window)


def message(state: str, text: str) -> str:
    """Status with a sentence; `state`: `idle`, `done`, `stopped` or `failed`."""
    return _environment().get_template("status.html").render(state=state, title=text)


def waiting(before: int) -> str:
    """Status of a job that waits for others."""
    others = "one video is" if before == 1 else f"{before} videos are"
    text = f"Waiting: {others} before yours" if before else "Getting ready"
    return _running("waiting", text, "", 0.0, "", None)


def running(progress: Progress) -> str:
    """Status of a running job."""
    title, _ = STAGES[progress.stage]
    done, total = progress.done, progress.total
    detail = {
        EXTRACT: f"{done:.1f} of {total:.1f} s",
        DENOISE: f"step {done:.0f} of {total:.0f}",
    }.get(progress.stage, "")
    return _running("running", title, time_left(progress.left), progress.share, detail, progress.stage)


def _running(state: str, title: str, left: str, share: float, detail: str, stage: str | None) -> str:
    names = list(STAGES)
    now = names.index(stage) if stage else -1
    stages = [
        {"label": STAGES[name][1], "state": "over" if i < now else "now" if i == now else "later"}
        for i, name in enumerate(names)
    ]
    values: dict[str, Any] = {"percent": round(100 * share, 1), "left": left, "detail": detail}
    return (
        _environment().get_template("status.html").render(state=state, title=title, stages=stages, **values)
    )


def time_left(seconds: float) -> str:
    """Seconds in words.

    >>> [time_left(s) for s in (0.4, 7.2, 61, 200)]
    ['a moment left', 'about 7 s left', 'about 1 min left', 'about 3 min left']
    """
    if seconds < 1.5:
        return "a moment left"
    return f"about {seconds:.0f} s left" if seconds < 60 else f"about {round(seconds / 60)} min left"


def takes(result: JobResult, root_path: str = "") -> str:
    """Players, charts, downloads and commands."""
    template = _environment().get_template("takes.html")
    return template.render(
        token=result.token,
        takes=result.takes,
        address=lambda token, name: address(token, name, f"{root_path}/" if root_path else ""),
    )


def facts(info: VideoInfo, name: str, has_preview: bool = True) -> str:
    """What a video is, and what may be wrong with it."""
    text = f"{name}: {info.seconds:.1f} s, {info.width} × {info.height}, {info.fps:.3g} frames per second"
    remarks = [
        *replace(info, playback=None).warnings("The video"),
        info.playback,
        None if has_preview else NO_PREVIEW,
    ]
    return _line("pn-facts", ". ".join([text, *filter(None, remarks)]))


def refused(sentence: str) -> str:
    """Why a video cannot be used, in a line."""
    return _line("pn-facts pn-failed", sentence)


def _line(kind: str, text: str) -> str:
    template = _environment().from_string('<div class="{{ kind }}" role="status">{{ text }}</div>')
    return template.render(kind=kind, text=text)
