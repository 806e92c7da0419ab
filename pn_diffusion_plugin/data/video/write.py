"""Encoding frames as H.264, with or without sound."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from ...errors import VideoError
from ...utils.files import atomic_path
from .container import create_mp4
from .sound import AudioTrack

_CRF = {"crf": "18", "preset": "veryfast"}


def add_h264(container: OutputContainer, rate: Fraction, like: VideoFrame, **options: str) -> VideoStream:
    """A stream of H.264 in yuv420p, with the size and the colour tags of the frame `like`."""
    stream: VideoStream = container.add_stream("libx264", rate=rate, options={**_CRF, **options})
    stream.pix_fmt, stream.width, stream.height = "yuv420p", like.width, like.height
    context = stream.codec_context
    context.colorspace, context.color_range = like.colorspace, like.color_range
    context.color_primaries, context.color_trc = like.color_primaries, like.color_trc
    return stream


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None = None,
    sample_rate: int = 22050,
    audio_codec: str = "aac",
) -> None:
    """Write RGB frames as an H.264 mp4, with sound exactly as long as they are shown (cut or padded), atomically.

    Args:
        path: mp4 file to write.
        frames: arrays (H, W, 3) uint8 RGB of one size. An odd side gets one more row or column, repeated.
        fps: frames per second, Hz.
        audio: (N,) mono or (C, N), C 1 or 2, float in [-1, 1]; None: no sound track.
        sample_rate: of `audio`, Hz. A rate AAC does not have is resampled to the next one it has.
        audio_codec: `aac`, or `alac` (lossless at 16 bits).

    Raises:
        VideoError: no frames, or frames of another shape.
        AudioError: the sound has another shape or is not finite.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with atomic_path(path) as temporary, create_mp4(temporary) as container:
        stream: VideoStream | None = None
        sound: AudioTrack | None = None
        shape: tuple[int, ...] = ()
        for image in frames:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise VideoError(f"{path}: a frame is (H, W, 3) uint8, not {image.shape} {image.dtype}")
            shape = shape or image.shape
            if image.shape != shape:
                raise VideoError(f"{path}: frame {count} is {image.shape}, not {shape} as the first")
            frame = _to_yuv(image)
            if stream is None:
                stream = add_h264(container, rate, frame)
                sound = AudioTrack(container, audio, sample_rate, audio_codec) if audio is not None else None
            frame.pts, frame.time_base = count, 1 / rate
            count += 1
            container.mux(stream.encode(frame))
            if sound is not None:
                sound.advance(float(count / rate))
        if stream is None:
            raise VideoError(f"{path}: there are no frames to write")
        container.mux(stream.encode(None))
        if sound is not None:
            sound.fit(float(count / rate))
            sound.finish()


def _to_yuv(image: np.ndarray) -> VideoFrame:
    """(H, W, 3) uint8 RGB as yuv420p, by the matrix of BT.601, with its tags."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv420p")
    frame.colorspace, frame.color_range = Colorspace.ITU601, ColorRange.MPEG
    frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return frame
