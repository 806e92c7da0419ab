"""Validation of uploads: what a stranger sends is checked here before it is used."""

from __future__ import annotations

from pathlib import Path

from ...data.video.container import codec_name, open_media, video_stream
from ...data.video.probe import VideoInfo, playback_problem, probe
from ...errors import VideoError
from ...models.pipeline import Edit
from .settings import ServeSettings

MEGABYTE = 1e6


def check_upload(path: str | Path | None, settings: ServeSettings) -> VideoInfo:
    """Validate an uploaded file; cheap checks come first.

    The content decides what a file is, not its name: playlists and other files that refer to further files or addresses
    are not opened (see `data.video.container`).

    Raises:
        VideoError: no file, too large, frames too large, or not a usable video.
    """
    if path is None:
        raise VideoError("there is no video yet: drop one on the page, or record one")
    path = Path(path)
    if path.is_file() and path.stat().st_size > settings.max_upload_mb * MEGABYTE:
        raise VideoError(
            f"{path.name} has {path.stat().st_size / MEGABYTE:.0f} MB and this page takes up to "
            f"{settings.max_upload_mb:g} MB: give a shorter or smaller video"
        )
    info = probe(path)
    if max(info.width, info.height) > settings.max_side:
        raise VideoError(
            f"{path.name} has frames of {info.width} x {info.height} and this page takes up to "
            f"{settings.max_side} pixels a side: make them smaller (the model sees 256)"
        )
    return info


def check_part(
    name: str, info: VideoInfo, settings: ServeSettings, edit: Edit, window: float
) -> tuple[float, float]:
    """(start, end) of a part in seconds.

    Raises:
        UserError: not within the video.
        VideoError: longer than the page takes, or shorter than the model's `window`.
    """
    start, end = edit.check(name, info, window)
    if end - start > settings.max_seconds:
        raise VideoError(
            f"the part of {name} is {end - start:.0f} s long and this page takes up to {settings.max_seconds:g} s: "
            "choose a shorter part"
        )
    return start, end


def plays_in_browsers(path: Path) -> bool:
    """Whether common browsers play a video."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        codec = codec_name(stream)
        if not any(name in container.format.name for name in ("mp4", "webm")):
            return False
        return codec in ("vp8", "vp9", "av1") or (codec == "h264" and playback_problem(stream) is None)
