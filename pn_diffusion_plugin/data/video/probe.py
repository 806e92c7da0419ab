"""The properties of a video: its streams, the times of its frames, and which players can play it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from ...errors import VideoError
from .container import codec_name, decode, open_media, orientation, shown_size, video_stream

LOWEST_FPS = 8.0
"""With fewer frames per second the time of a move cannot be read to a quarter of a beat."""
_MAX_SECONDS = 6 * 3600.0  # a longer video is a damaged time stamp, and would take gigabytes


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` finds.

    Attributes:
        seconds: how long the frames are shown.
        fps: mean frames per second.
        width, height: pixels as shown (rotation and pixel aspect applied).
        rotation: degrees (0, 90, 180, 270) the stored frame is turned counterclockwise to be shown.
        has_audio: whether there is a sound track.
        playback: which players cannot play a copy of the frames, and why; None: all common ones can.
    """

    seconds: float
    fps: float
    width: int
    height: int
    rotation: int
    has_audio: bool
    playback: str | None = None

    def warnings(self, name: str | Path) -> list[str]:
        """Warnings for the user of the video `name`, one sentence each."""
        found = []
        if self.fps < LOWEST_FPS:
            found.append(
                f"{name} has {self.fps:.2g} frames per second: the timing of moves cannot be read from fewer than "
                f"{LOWEST_FPS:g}, the music may not follow the dance"
            )
        if self.playback:
            found.append(f"{name}: {self.playback}; --compatible re-encodes it as H.264")
        return found


def probe(path: str | Path) -> VideoInfo:
    """Read every time stamp of a video, and decode its first frame.

    Raises:
        VideoError: missing or empty, not a media file, an image, sound only, cut off, nothing decodable.
    """
    path = Path(path)
    timing = read_timing(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        frame = next(decode(container, stream), None)
        if frame is None:
            raise VideoError(f"{path} is damaged: no frame could be decoded; copy or download it again")
        width, height = shown_size(frame, stream)
        if orientation(frame)[0]:
            width, height = height, width
        return VideoInfo(
            seconds=timing.seconds,
            fps=len(timing.times) / timing.seconds,
            width=width,
            height=height,
            rotation=round(frame.rotation / 90) * 90 % 360,
            has_audio=bool(container.streams.audio),
            playback=playback_problem(stream) if copyable(stream, timing) else None,
        )


#: Codecs whose packets an mp4 file may hold, each with its tags there, the preferred one first.
MP4_TAGS = {
    "h264": ("avc1", "avc3"),
    "hevc": ("hvc1", "hev1"),
    "mpeg4": ("mp4v",),
    "av1": ("av01",),
    "vp9": ("vp09",),
}


def copyable(stream: VideoStream, timing: Timing) -> bool:
    """Whether an mp4 file can hold the frames as they are."""
    return timing.dts is not None and codec_name(stream) in MP4_TAGS


def mp4_tag(stream: VideoStream) -> str:
    """The tag of a copied stream: its own where mp4 has it, since players choose by it."""
    tags = MP4_TAGS[codec_name(stream)]
    return next((tag for tag in tags if tag == _tag(stream)), tags[0])


def playback_problem(stream: VideoStream) -> str | None:
    """Which players cannot play a copy of these frames in an mp4 file; None: all common ones can.

    HEVC tagged hvc1 is what phones record, and counts as playable.
    """
    codec, form = codec_name(stream), stream.codec_context.pix_fmt or ""
    if codec == "h264" and form not in ("yuv420p", "yuvj420p"):
        return f"H.264 in {form} is not played by phones and most browsers"
    if codec == "hevc" and mp4_tag(stream) != "hvc1":
        return "HEVC with the tag hev1 is not played by Apple's devices"
    if codec == "hevc" and form not in ("yuv420p", "yuvj420p", "yuv420p10le"):
        return f"HEVC in {form} is not played by phones and browsers"
    return {
        "mpeg4": "MPEG-4 part 2 is not played by browsers",
        "vp9": "VP9 in mp4 is not played by Apple's devices",
        "av1": "AV1 is not played by older phones and most of Apple's devices",
    }.get(codec)


def _tag(stream: VideoStream) -> str:
    with contextlib.suppress(UnicodeDecodeError):  # a number that is no text
        return stream.codec_context.codec_tag
    return ""


@dataclass(frozen=True)
class Timing:
    """The time stamps of a video stream, read without decoding.

    Attributes:
        zero: container time of the first shown frame, seconds.
        times: (n,) seconds from `zero`, sorted, of the shown frames.
        seconds: from the first frame to the end of the last.
        frame_seconds: nominal time between frames.
        stamped: whether every packet has a time stamp.
        dts: (m,) decoding times of the packets to copy, in stream order and units of the time base, as an mp4 file
            needs them; None: the packets cannot be copied.
    """

    zero: Fraction
    times: np.ndarray
    seconds: float
    frame_seconds: float
    stamped: bool
    dts: np.ndarray | None


def read_timing(path: Path) -> Timing:
    """Read every time stamp of the video stream (no decoding) and compare with the file's own header.

    Raises:
        VideoError: no frames or a single one, cut off, or an impossible length.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        base = Fraction(stream.time_base or Fraction(1, 1000))
        rate = Fraction(stream.guessed_rate or stream.average_rate or 25)
        packets: list[tuple[int, int, bool]] = []  # pts, duration, hidden by an edit list
        stamped, decoding_start, decoding_end = True, None, 0
        with contextlib.suppress(av.error.FFmpegError):  # judged below by what is missing
            for packet in container.demux(stream):
                if packet.size:
                    stamped &= packet.pts is not None
                    # a raw stream has no time stamps: constant rate
                    pts = round(len(packets) / rate / base) if packet.pts is None else packet.pts
                    packets.append((pts, packet.duration or 0, packet.is_discard))
                    if packet.dts is not None:
                        decoding_start = packet.dts if decoding_start is None else decoding_start
                        decoding_end = packet.dts + (packet.duration or 0)
        promised = _promised_seconds(container, stream)
    shown = [(pts, duration) for pts, duration, hidden in packets if not hidden]
    if not shown:
        raise VideoError(f"{path} holds no frames (cut off or damaged): give a complete video file")
    if len(shown) == 1:
        raise VideoError(f"{path} holds a single frame: give a video file")
    ordered = sorted(shown)
    first, (last, tail) = ordered[0][0], ordered[-1]
    times = np.array([pts - first for pts, _ in ordered]) * float(base)
    frame_seconds = _frame_seconds(times, float(1 / rate))
    if (
        ordered == shown and tail * base > 0.5 * frame_seconds
    ):  # a recorder's last frame lasts a tick of its clock
        seconds = float((last - first + tail) * base)
    else:  # with B-frames a packet's duration is that between decoding times: not of its frame, but right in their sum
        decoding = float((decoding_end - (decoding_start or 0)) * base) if len(shown) == len(packets) else 0.0
        seconds = max(float((last - first) * base) + frame_seconds, decoding)
    if promised - seconds > max(0.5, 0.05 * promised):
        raise VideoError(
            f"{path} is cut off: its header promises {promised:.1f} s and {seconds:.1f} s are there;"
            " copy or download it again"
        )
    if seconds > _MAX_SECONDS:
        raise VideoError(
            f"{path} claims to last {seconds / 3600:.1f} hours: cut it, or repair its time stamps"
        )
    dts = _decoding_times(packets, first) if stamped else None
    return Timing(first * base, times, seconds, frame_seconds, stamped, dts)


def _promised_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Length of the video stream according to the header; 0 where it has none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    text = stream.metadata.get("DURATION", "")
    with contextlib.suppress(ValueError):
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return 0.0


def _frame_seconds(times: np.ndarray, nominal: float) -> float:
    """Time between frames: `nominal`, or what most time stamps say where they disagree.

    A browser's recorder writes 1000 frames per second into the header, which is its clock, not its rate.
    """
    steps = np.diff(times)
    steps = steps[steps > 0]
    if not len(steps):
        return nominal
    median = float(np.median(steps))
    if abs(nominal - median) <= 0.1 * median:
        return nominal
    return float(steps[abs(steps - median) <= 0.5 * median].mean())


def _decoding_times(packets: list[tuple[int, int, bool]], first: int) -> np.ndarray | None:
    """Decoding times for packets in stream order: the sorted presentation times, all earlier by one delay.

    Their sum of durations is then the time that the frames are shown, which is not so for the decoding times that
    encoders write at a variable rate with B-frames. Frames that an edit list hides before the first shown one are
    kept, since others refer to them. None: hidden frames stand elsewhere, or two frames share a time.
    """
    while packets and packets[-1][2]:
        packets = packets[:-1]
    if any(hidden and pts >= first for pts, _, hidden in packets):
        return None
    stamps = np.array([pts for pts, _, _ in packets])
    ordered = np.sort(stamps)
    if (np.diff(ordered) <= 0).any():
        return None
    return ordered - (ordered - stamps).max()
