"""Opening media files safely, and the clock of their picture: what reading and writing stand on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..errors import VideoError

# A file handed in by a stranger may be a playlist in disguise: only local files, only real containers.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,h264,hevc,m4v,mxf,wav,mp3,flac,aac,"
    "amr,aiff,w64,au,image2,png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,apng"
)
_MOST_SECONDS = 6 * 3600.0  # a longer video is a damaged time stamp, and would ask for gigabytes
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}


@dataclass(frozen=True)
class Clock:
    """The time stamps of a video stream, read without decoding it."""

    zero: Fraction  # container time of the first picture, seconds
    times: np.ndarray  # (n,) seconds from `zero`, sorted
    seconds: float
    frame_seconds: float  # nominal time between pictures
    copyable: bool  # every packet has a time stamp and none is hidden by an edit list


@contextlib.contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file, or say in one sentence why it cannot be opened."""
    if not path.exists():
        raise VideoError(f"{path} does not exist: check the path")
    if path.is_dir():
        raise VideoError(f"{path} is a folder: give a video file")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes): copy or download it again")
    # FFmpeg's threads must not log into Python, as torchvision 0.21 makes them: a stream freed while one of them
    # waits for the interpreter's lock waits for it for ever.
    av.logging.set_level(None)
    try:
        container = av.open(f"file:{path}", options=dict(_OPTIONS), metadata_errors="replace")
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise VideoError(
            f"{path} cannot be read as a video (not a media file, or cut off or damaged):"
            " give a complete video file"
        ) from error
    with container:
        yield container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream of moving pictures (cover art is none), or a sentence that says what the file is instead."""
    if "_pipe" in container.format.name or container.format.name in ("image2", "apng"):
        raise VideoError(f"{path} is a picture: give a video file")
    streams = [s for s in container.streams.video if not int(s.disposition) & 0x400]  # 0x400: cover art
    if not container.streams:
        raise VideoError(f"{path} holds nothing to play (cut off or damaged): give a complete video file")
    if not streams:
        what = "it is an audio file" if container.streams.audio else f"it holds {container.format.long_name}"
        raise VideoError(f"{path} has no video stream ({what}): give a video file")
    stream = streams[0]
    if stream.codec_context is None or not stream.codec_context.width:
        raise VideoError(f"{path} has a video stream that cannot be decoded here: convert it to H.264 first")
    stream.thread_type = "AUTO"
    return stream


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long the header says the video stream is; 0 where it does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    text = stream.metadata.get("DURATION", "")
    with contextlib.suppress(ValueError):
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return 0.0


def read_clock(path: Path) -> Clock:
    """Read every time stamp of the picture (no decoding) and check the file against its own header."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        base = Fraction(stream.time_base or Fraction(1, 1000))
        rate = Fraction(stream.guessed_rate or stream.average_rate or 25)
        stamps: list[tuple[Fraction, Fraction]] = []
        copyable = True
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                if packet.is_discard:
                    copyable = False
                    continue
                if packet.pts is None:
                    copyable = False
                    start = len(stamps) / rate  # a raw stream has no time stamps: constant rate
                else:
                    start = packet.pts * base
                stamps.append((start, packet.duration * base if packet.duration else 1 / rate))
        except av.error.FFmpegError:
            pass  # judged below by what is missing
        promised = _promised_seconds(container, stream)
    if not stamps:
        raise VideoError(f"{path} holds no pictures (cut off or damaged): give a complete video file")
    if len(stamps) == 1:
        raise VideoError(f"{path} holds a single picture: give a video file")
    stamps.sort()
    zero = stamps[0][0]
    seconds = float(max(start + length for start, length in stamps) - zero)
    if promised - seconds > max(0.5, 0.05 * promised):
        raise VideoError(
            f"{path} is cut off: its header promises {promised:.1f} s and {seconds:.1f} s are there;"
            " copy or download it again"
        )
    if seconds > _MOST_SECONDS:
        raise VideoError(f"{path} claims to last {seconds / 3600:.1f} hours: cut it, or mend its time stamps")
    return Clock(
        zero=zero,
        times=np.array([float(start - zero) for start, _ in stamps]),
        seconds=seconds,
        frame_seconds=float(1 / rate),
        copyable=copyable,
    )


def decode(container: InputContainer, stream: Any) -> Iterator[Any]:
    """Decoded frames of a stream; broken packets are passed over (callers judge by what is missing)."""
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
    # Not `frame.side_data`, which the frame keeps, as it keeps the frame: such a cycle holds the picture (12 MB at 4K)
    # until Python looks for cycles.
    try:
        matrix = cast(Any, SideDataContainer)(frame)["DISPLAYMATRIX"]
    except KeyError:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5].tolist()
    swap = abs(b) > abs(a)
    return swap, (c if swap else a) < 0, (b if swap else d) < 0


def shown_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """(width, height) with square pixels, before any turn."""
    aspect = stream.sample_aspect_ratio
    return round(frame.width * float(aspect)) if aspect else frame.width, frame.height
