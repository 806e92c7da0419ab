"""What may be given: real videos within bounds. Everything a stranger sends is looked at here before it is used."""

from __future__ import annotations

from pathlib import Path

from ...data.video.cut import part_seconds
from ...data.video.probe import VideoInfo, probe
from ...errors import UserError, VideoError
from ...models.validation import check_length
from .settings import ServeSettings

MEGABYTE = 1e6


def check_upload(path: str | Path | None, settings: ServeSettings) -> VideoInfo:
    """Look at a file somebody sent; cheap tests come first.

    The content decides what a file is, never its name: playlists and other files that name further files or
    addresses are opened by nothing here (see `data.video.container`).

    Raises:
        VideoError: no file, too large, too big a picture, or no video that can be used. The message names the
            file as its owner knows it, without the folder it is kept in here.
    """
    if path is None:
        raise VideoError("there is no video yet: drop one on the page, or record one")
    path = Path(path)
    if path.is_file() and path.stat().st_size > settings.max_upload_mb * MEGABYTE:
        raise VideoError(
            f"{path.name} has {path.stat().st_size / MEGABYTE:.0f} MB and this page takes "
            f"{settings.max_upload_mb:g} MB: give a shorter or smaller video"
        )
    try:
        info = probe(path)
    except UserError as error:
        raise VideoError(without_folder(str(error), path)) from error
    if max(info.width, info.height) > settings.max_side:
        raise VideoError(
            f"{path.name} has a picture of {info.width} x {info.height} and this page takes up to "
            f"{settings.max_side} pixels a side: make it smaller (the model sees 256)"
        )
    return info


def check_stretch(
    name: str, info: VideoInfo, settings: ServeSettings, start: float | None, end: float | None, least: float
) -> tuple[float, float]:
    """The part of a video that is given music: (start, end) in seconds; None: an end of the video.

    Raises:
        UserError: outside the video, longer than the page takes, or shorter than the model's window `least`.
    """
    first, last = part_seconds(name, info, start, end)
    if last - first > settings.max_seconds:
        raise VideoError(
            f"{last - first:.0f} s of {name} is asked for and this page takes {settings.max_seconds:g} s: "
            "choose a shorter part"
        )
    check_length(f"the part of {name}" if (start, end) != (None, None) else name, last - first, least)
    return first, last


def without_folder(sentence: str, path: Path) -> str:
    """A message about a file, with the name its owner knows instead of where it is kept here."""
    return sentence.replace(str(path), path.name).replace(f"{path.parent}/", "")
