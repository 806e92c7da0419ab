"""Opening media files safely, and the packets and frames of their streams."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av
import av.logging
import numpy as np
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ...errors import VideoError

# An uploaded file may be a playlist in disguise: only local files, only real containers.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,h264,hevc,m4v,mxf,wav,mp3,flac,aac,"
    "amr,aiff,w64,au,image2,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,apng"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}


@contextlib.contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading.

    Raises:
        VideoError: missing, empty, a folder, or not a media file.
    """
    if not path.exists():
        raise VideoError(f"{path} does not exist: check the path")
    if path.is_dir():
        raise VideoError(f"{path} is a folder: give a video file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes): copy or download it again")
    _no_logging()
    try:
        container = av.open(f"file:{path}", options=dict(_OPTIONS), metadata_errors="replace")
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise VideoError(
            f"{path} cannot be read as a video (not a media file, or cut off or damaged):"
            " give a complete video file"
        ) from error
    with container:
        yield container


@contextlib.contextmanager
def create_mp4(path: Path) -> Iterator[OutputContainer]:
    """Open an mp4 file for writing."""
    _no_logging()
    # `strict`: without it the muxer drops the configuration of Dolby Vision, which phones write.
    options = {"strict": "unofficial"}
    # An absolute path: FFmpeg would read a relative one with a colon as a protocol.
    with av.open(f"file:{path.absolute()}", "w", format="mp4", container_options=options) as container:
        yield container


def _no_logging() -> None:
    """Keep FFmpeg's threads from logging into Python, as torchvision 0.21 makes them.

    A stream freed while one of them waits for the interpreter's lock waits for it for ever.
    """
    av.logging.set_level(None)


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The video stream that players show: the one flagged as default, else the first. Cover art is none.

    Raises:
        VideoError: an image, a sound file, or a codec that is not known.
    """
    if "_pipe" in container.format.name or container.format.name in ("image2", "apng"):
        raise VideoError(f"{path} is an image: give a video file")
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not container.streams:
        raise VideoError(f"{path} holds nothing to play (cut off or damaged): give a complete video file")
    if not streams:
        what = "it is an audio file" if container.streams.audio else f"it holds {container.format.long_name}"
        raise VideoError(f"{path} has no video stream ({what}): give a video file")
    stream = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if stream.codec_context is None or not stream.codec_context.width:
        raise VideoError(f"{path} has a video stream that cannot be decoded here: convert it to H.264 first")
    stream.thread_type = "AUTO"
    return stream


def codec_name(stream: VideoStream) -> str:
    """Name of the codec, whichever decoder reads it: av1, not libdav1d."""
    return stream.codec_context.codec.canonical_name


def decode(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decoded frames of a stream; broken packets are skipped (callers judge by what is missing)."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """(swap x and y, then mirror x, mirror y) from the display matrix: x' = a x + c y, y' = b x + d y."""
    # Not `frame.side_data`, which the frame keeps, as it keeps the frame: such a cycle holds the frame (12 MB at 4K)
    # until Python's garbage collector runs.
    try:
        matrix = cast(Any, SideDataContainer)(frame)["DISPLAYMATRIX"]
    except KeyError:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    swap = abs(b) > abs(a)
    return swap, (c if swap else a) < 0, (b if swap else d) < 0


def shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """(width, height) with square pixels, before any rotation."""
    aspect = stream.sample_aspect_ratio
    return round(frame.width * float(aspect)) if aspect else frame.width, frame.height
