"""Decoding: frames at a constant rate, or at their own times."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ...errors import VideoError
from .container import decode, open_media, orientation, video_stream
from .probe import Timing, read_timing

_MISSING_SHARE = 0.2  # with more undecodable frames than this the file counts as damaged
_TICK = 1e-6  # seconds; times closer than this are the same


def read_frames(
    path: str | Path, fps: float, *, size: int | None = None, start: float = 0.0, seconds: float | None = None
) -> Iterator[np.ndarray]:
    """Frames at a constant rate, upright, with square pixels.

    Frame i is the one nearest to time start + i / fps (at a variable rate: the one on the screen then).

    Args:
        path: video file.
        fps: frames per second to return, Hz.
        size: greatest length of the longer side in pixels (aspect kept, never enlarged); None: as stored.
        start: where to begin, seconds.
        seconds: how much; None: up to the end. Past the end of the video the last frame is repeated.

    Yields:
        round(seconds * fps) arrays (H, W, 3) uint8 RGB, at least one.

    Raises:
        VideoError: as `probe`, and when a large part of the frames cannot be decoded.
    """
    path = Path(path)
    if not fps > 0 or start < 0 or (seconds is not None and seconds < 0):
        raise ValueError(f"fps must be > 0, start and seconds >= 0, not {fps}, {start} and {seconds}")
    timing = read_timing(path)
    length = max(timing.seconds - start, 0.0) if seconds is None else seconds
    count = max(1, round(length * fps))
    wanted = start + np.arange(count) / fps + lead(timing)
    scaler = VideoReformatter()
    shown: VideoFrame | None = None
    image: np.ndarray | None = (
        None  # of `shown`, converted only if it is yielded: at 60 Hz most frames are not
    )
    given = 0
    for time, frame, aspect in decoded_frames(path, timing, start):
        while shown is not None and given < count and wanted[given] < time:
            image = _image(shown, size, aspect, scaler) if image is None else image
            yield image
            given += 1
        if given == count:
            return
        shown, image = frame, None
    assert shown is not None  # decoded_frames raises where there are none
    image = _image(shown, size, aspect, scaler) if image is None else image
    for _ in range(given, count):
        yield image


def frame_times(path: str | Path, fps: float) -> np.ndarray:
    """Capture times of the frames that `read_frames` yields: (round(seconds * fps),) seconds, at least one.

    Raises:
        VideoError: as `probe`.
    """
    timing = read_timing(Path(path))
    wanted = np.arange(max(1, round(timing.seconds * fps))) / fps + lead(timing)
    return timing.times[(np.searchsorted(timing.times, wanted, side="right") - 1).clip(0)]


def lead(timing: Timing) -> float:
    """Seconds before its time from which a frame counts: nearest at constant rate, on screen in long holds."""
    return 0.5 * timing.frame_seconds - _TICK


def decoded_frames(
    path: Path, timing: Timing, start: float = 0.0
) -> Iterator[tuple[float, VideoFrame, float]]:
    """Every decodable frame, from the key frame before `start` on.

    Yields:
        Time in seconds, frame as stored, and width by height of its pixels.

    Raises:
        VideoError: at the end of the stream, when a large part could not be decoded.
    """
    first: float | None = None
    decoded, time = 0, 0.0
    with open_media(path) as container:
        stream = video_stream(container, path)
        base = Fraction(stream.time_base or Fraction(1, 1000))
        if start > 1.0 and timing.stamped:
            with contextlib.suppress(av.error.FFmpegError):
                container.seek(int((Fraction(start) + timing.zero) / base), stream=stream, backward=True)
        for index, frame in enumerate(decode(container, stream)):
            if frame.is_corrupt:
                continue
            time = index * timing.frame_seconds
            if frame.pts is not None:
                time = float(frame.pts * base - timing.zero)
            first = time if first is None else first
            decoded += 1
            yield time, frame, float(stream.sample_aspect_ratio or 1)
    expected = int(np.count_nonzero(timing.times >= ((first or 0.0) if start else 0.0) - _TICK))
    if decoded < max(1, (1 - _MISSING_SHARE) * expected):
        raise VideoError(
            f"{path} is damaged: only {decoded} of {expected} frames could be decoded"
            f" (the last at {time:.1f} s of {timing.seconds:.1f} s); copy or download it again"
        )


def _image(frame: VideoFrame, size: int | None, aspect: float, scaler: VideoReformatter) -> np.ndarray:
    """(H, W, 3) uint8 RGB, upright, with square pixels."""
    width, height = round(frame.width * aspect), frame.height
    scale = min(1.0, size / max(width, height)) if size else 1.0
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    method = "BILINEAR" if (width, height) == (frame.width, frame.height) else "AREA"
    image = scaler.reformat(frame, width, height, "rgb24", interpolation=method).to_ndarray()
    swap, mirror_x, mirror_y = orientation(frame)
    if swap:
        image = image.transpose(1, 0, 2)
    return np.ascontiguousarray(image[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1])


def reverse(frames: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
    """The frames played backward: (T, ...) → (T, ...)."""
    array = frames if isinstance(frames, np.ndarray) else np.stack(list(frames))
    return np.ascontiguousarray(array[::-1])
