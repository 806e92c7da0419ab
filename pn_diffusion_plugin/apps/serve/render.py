"""What the page shows, as HTML; everything put into it is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from ...data.video.probe import VideoInfo
from .progress import Progress
from .settings import ServeSettings
from .studio import Takes

_HERE = Path(__file__).parent
STAGES = {
    "watching": ("Watching the dance", "watch"),
    "denoising": ("Making music", "make music"),
    "sounding": ("Turning it into sound", "sound"),
    "finishing": ("Putting it under the dance", "finish"),
}
IDLE = "Drop a dance video, then press “Make music”."


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


def address(token: str, name: str) -> str:
    """Where a file of a result is found, from the page."""
    return f"takes/{quote(token)}/{quote(name, safe='')}"


def top() -> str:
    """The head of the page."""
    return _environment().get_template("top.html").render()


def bottom(settings: ServeSettings, least: float) -> str:
    """Its foot; `least`: seconds of the shortest video."""
    return _environment().get_template("bottom.html").render(settings=settings, least=least)


def message(state: str, text: str) -> str:
    """A sentence: `idle`, `done`, `stopped` or `failed`."""
    return _environment().get_template("status.html").render(state=state, title=text)


def waiting(before: int) -> str:
    """A job that has not begun."""
    others = "one video is" if before == 1 else f"{before} videos are"
    text = f"Waiting: {others} before yours" if before else "Getting ready"
    return _running("waiting", text, "", 0.0, "", None)


def running(progress: Progress) -> str:
    """A job at work."""
    title, _ = STAGES[progress.stage]
    done, total = progress.done, progress.total
    detail = {
        "watching": f"{done:.1f} of {total:.1f} s seen",
        "denoising": f"step {done:.0f} of {total:.0f}",
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
    """Seconds as people say them.

    >>> [time_left(s) for s in (0.4, 7.2, 61, 200)]
    ['a moment left', 'about 7 s left', 'about 1 min left', 'about 3 min left']
    """
    if seconds < 1.5:
        return "a moment left"
    return f"about {seconds:.0f} s left" if seconds < 60 else f"about {round(seconds / 60)} min left"


def takes(result: Takes) -> str:
    """Players, pictures, downloads and commands."""
    template = _environment().get_template("takes.html")
    return template.render(token=result.token, takes=result.takes, address=address)


def facts(info: VideoInfo, name: str) -> str:
    """What a video is, in a line."""
    text = f"{name}: {info.seconds:.1f} s, {info.width} × {info.height}, {info.fps:.3g} pictures a second"
    return _line("pn-facts", text)


def refused(sentence: str) -> str:
    """Why a video cannot be used, in a line."""
    return _line("pn-facts pn-failed", sentence)


def _line(kind: str, text: str) -> str:
    return (
        _environment().from_string('<div class="{{ k }}" role="status">{{ t }}</div>').render(k=kind, t=text)
    )
