"""A part of a video as a video of its own, re-encoded as H.264 that every player shows."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from ...errors import UserError
from ...sequence import LENGTH_TOLERANCE
from ...utils.files import atomic_path
from .container import create_mp4, orientation
from .hdr import TRANSFERS, write_table
from .probe import VideoInfo, probe, read_timing
from .read import decoded_frames, lead
from .sound import AudioTrack, read_audio
from .write import add_h264

_SOUND_RATE = 44100
_BASE = Fraction(1, 90000)  # seconds of a tick of re-encoded frames
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED


def part_seconds(
    video: str | Path, info: VideoInfo, start: float | None, end: float | None
) -> tuple[float, float]:
    """Where a part of a video begins and ends, in seconds; None: where the video does.

    Raises:
        UserError: the part is empty, or not within the video.
    """
    first, last = start or 0.0, info.seconds if end is None else end
    if not (0 <= first < last <= info.seconds + LENGTH_TOLERANCE and first < info.seconds):
        raise UserError(
            f"the part from {first:g} s to {last:g} s of {video} is empty or not within the video (0 s to "
            f"{info.seconds:.2f} s): give a start before the end, both within it"
        )
    return first, min(last, info.seconds)


def cut_video(
    video: str | Path, out: str | Path, start: float | None = None, end: float | None = None
) -> None:
    """Write what is shown from `start` to `end` as an mp4, with its sound.

    The frames are re-encoded: packets could be copied from key frames on only, which may be seconds apart.

    Args:
        video: video file.
        out: mp4 file to write, atomically.
        start, end: seconds; None: from its beginning, to its end.

    Raises:
        UserError: the part is empty, or not within the video.
        VideoError: as `probe`.
    """
    info = probe(video)
    first, last = part_seconds(video, info, start, end)
    sound = None
    if info.has_audio:
        sound = read_audio(video, _SOUND_RATE)[round(first * _SOUND_RATE) : round(last * _SOUND_RATE)]
    encode_part(video, out, first, last, audio=sound, sample_rate=_SOUND_RATE)


def encode_part(
    video: str | Path,
    out: str | Path,
    start: float = 0.0,
    end: float | None = None,
    *,
    size: int | None = None,
    audio: np.ndarray | None = None,
    sample_rate: int = _SOUND_RATE,
    comment: str | None = None,
) -> None:
    """Re-encode what is shown from `start` to `end` as H.264 in yuv420p: every frame at its own time, upright.

    Colours and their tags stay; HDR (HLG and PQ) is mapped to BT.709. Pixels become square, a side that is odd gets one
    more.

    Args:
        video: video file.
        out: mp4 file to write, atomically.
        start, end: seconds within the video; None: to its end.
        size: greatest length of the longer side in pixels (aspect kept, never enlarged); None: as stored.
        audio: (N,) mono or (C, N), C 1 or 2, float in [-1, 1], made as long as the part; None: no sound track.
        sample_rate: of `audio`, Hz.
        comment: stored in the file's metadata.

    Raises:
        VideoError: as `probe`, and when a large part of the frames cannot be decoded.
        AudioError: the sound has another shape or is not finite.
    """
    video = Path(video)
    timing = read_timing(video)
    seconds = (timing.seconds if end is None else end) - start
    rate = Fraction(1 / timing.frame_seconds).limit_denominator(1001)
    with atomic_path(out) as temporary, create_mp4(temporary) as container:
        if comment:
            container.metadata["comment"] = comment
        convert = _Converter(size)
        stream: VideoStream | None = None
        sound: AudioTrack | None = None

        def write(frame: VideoFrame, aspect: float, first: float, last: float) -> None:
            nonlocal stream, sound
            frame = convert(frame, aspect)
            if stream is None:
                # Without B-frames the durations that the file stores are those of the frames, at any rate.
                stream = add_h264(container, rate, frame, bf="0")
                stream.codec_context.time_base = _BASE
                sound = AudioTrack(container, audio, sample_rate) if audio is not None else None
                if sound is not None:
                    sound.fit(seconds)
            frame.time_base, frame.pts = _BASE, round(first / _BASE)
            frame.duration = round(last / _BASE) - frame.pts
            container.mux(stream.encode(frame))
            if sound is not None:
                sound.advance(last)

        waiting: tuple[VideoFrame, float, float] | None = (
            None  # till the next frame says how long it is shown
        )
        for time, frame, aspect in decoded_frames(video, timing, start):
            at = time - start
            after = end is not None and waiting is not None and at >= seconds - lead(timing)
            if waiting is not None and at > lead(timing):
                write(*waiting, seconds if after else at)
            waiting = None if after else (frame, aspect, max(at, 0.0))
            if after:
                break
        if waiting is not None:
            write(*waiting, seconds)
        assert stream is not None  # decoded_frames raises where there are no frames
        container.mux(stream.encode(None))
        if sound is not None:
            sound.finish()


class _Converter:
    """Frames of any format to yuv420p in limited range, all of one size: upright, square pixels, even sides.

    Args:
        size: greatest length of the longer side; None: as stored.
    """

    def __init__(self, size: int | None) -> None:
        self._most = size
        self._size: tuple[int, int] | None = None
        self._input: tuple[object, ...] = ()
        self._graph = Graph()

    def __call__(self, frame: VideoFrame, aspect: float) -> VideoFrame:
        """Convert a frame with pixels of `aspect` (width by height)."""
        hdr = frame.color_trc in TRANSFERS
        colour: tuple[int, int, int] = (Colorspace.ITU709, ColorPrimaries.BT709, ColorTrc.BT709)
        if not hdr:
            colour = (_matrix(frame), frame.color_primaries, frame.color_trc)
        found = (frame.width, frame.height, frame.format.name, aspect, orientation(frame), colour)
        if found != self._input:
            self._input, self._graph = found, self._build(frame, aspect)
        self._graph.vpush(frame)
        result = self._graph.vpull()
        result.color_range = ColorRange.MPEG
        result.colorspace, result.color_primaries, result.color_trc = colour
        return result

    def _build(self, frame: VideoFrame, aspect: float) -> Graph:
        swap, mirror_x, mirror_y = orientation(frame)
        if self._size is None:
            width, height = frame.width * aspect, frame.height
            scale = min(1.0, self._most / max(width, height)) if self._most else 1.0
            width, height = (2 * max(1, round(side * scale / 2 + 1e-9)) for side in (width, height))
            self._size = (height, width) if swap else (width, height)
        width, height = reversed(self._size) if swap else self._size
        source = {
            "video_size": f"{frame.width}x{frame.height}",
            "pix_fmt": frame.format.name,
            "time_base": str(_BASE),
            "colorspace": str(frame.colorspace if frame.format.is_rgb else _matrix(frame)),
            "range": str(ColorRange.JPEG if _full_range(frame) else ColorRange.MPEG),
        }
        hdr = frame.color_trc in TRANSFERS
        target = {"w": str(width), "h": str(height), "out_range": "limited"}
        if hdr or frame.format.is_rgb:
            target["out_color_matrix"] = "bt709"
        steps: list[tuple[str, dict[str, str]]] = [("scale", target)]
        with tempfile.NamedTemporaryFile(suffix=".cube") as table:
            if hdr:
                write_table(table.name, ColorTrc(frame.color_trc))
                steps[:0] = [
                    ("scale", {}),
                    ("format", {"pix_fmts": "gbrp16"}),
                    ("lut3d", {"file": table.name}),
                ]
            steps.append(("format", {"pix_fmts": "yuv420p"}))
            turns: tuple[tuple[str, bool, dict[str, str]], ...] = (
                ("transpose", swap, {"dir": "cclock_flip"}),
                ("hflip", mirror_x, {}),
                ("vflip", mirror_y, {}),
            )
            steps += [(name, options) for name, wanted, options in turns if wanted]
            graph = Graph()
            nodes = [graph.add("buffer", **source), *(graph.add(name, **options) for name, options in steps)]
            graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph


def _matrix(frame: VideoFrame) -> int:
    """Colour matrix of a frame; where it has no tag, the one that players assume at its size."""
    if frame.format.is_rgb:
        return Colorspace.ITU709
    if frame.colorspace == _UNTAGGED:
        return Colorspace.ITU709 if min(frame.width, frame.height) >= 720 else Colorspace.ITU601
    return frame.colorspace


def _full_range(frame: VideoFrame) -> bool:
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj") or frame.format.is_rgb
