"""Giving a video other sound: the frames are copied, only the sound is encoded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from ...utils.files import atomic_path
from .container import create_mp4, open_media, video_stream
from .cut import encode_part
from .probe import Timing, copyable, mp4_tag, playback_problem, read_timing
from .sound import AudioTrack


def mux(
    video_path: str | Path,
    wav: np.ndarray,
    sample_rate: int,
    out_path: str | Path,
    *,
    compatible: bool = False,
    comment: str | None = None,
) -> None:
    """Put a sound track under a video; its own sound is left out.

    The packets of the frames are copied with everything that says how to show them: codec tag, rotation, colour, HDR
    metadata, pixel aspect, order and times. A video whose codec or time stamps an mp4 file cannot hold is re-encoded as
    H.264 (see `encode_part`). The sound is AAC, exactly as long as the frames are shown (cut or padded with silence).

    Args:
        video_path: video file.
        wav: (N,) mono or (C, N), C 1 or 2, float in [-1, 1].
        sample_rate: of `wav`, Hz.
        out_path: mp4 file to write, atomically; may be `video_path` itself.
        compatible: re-encode also what some common players cannot play (see `playback_problem`).
        comment: stored in the file's metadata.

    Raises:
        VideoError: as `probe`.
        AudioError: the sound has another shape or is not finite.
    """
    video_path = Path(video_path)
    timing = read_timing(video_path)
    with open_media(video_path) as source:
        stream = video_stream(source, video_path)
        if copyable(stream, timing) and not (compatible and playback_problem(stream)):
            with atomic_path(out_path) as temporary, create_mp4(temporary) as container:
                if comment:
                    container.metadata["comment"] = comment
                _copy(source, stream, timing, container, wav, sample_rate)
            return
    encode_part(video_path, out_path, audio=wav, sample_rate=sample_rate, comment=comment)


def _copy(
    source: InputContainer,
    stream: VideoStream,
    timing: Timing,
    container: OutputContainer,
    wav: np.ndarray,
    sample_rate: int,
) -> None:
    """Copy the packets of the frames, moved to time zero, with `wav` beside them."""
    assert timing.dts is not None
    target = container.add_stream_from_template(stream, opaque=True)  # needs no encoder of the codec
    target.codec_context.codec_tag = mp4_tag(stream)
    if stream.sample_aspect_ratio:  # the container's, which may differ from the codec's
        target.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio
    sound = AudioTrack(container, wav, sample_rate)
    sound.fit(timing.seconds)
    base = Fraction(stream.time_base or Fraction(1, 1000))
    zero = round(timing.zero / base)
    tail = round(
        (timing.seconds - timing.times[-1]) / base
    )  # of the last frame, in whatever order it is stored
    packets = (packet for packet in source.demux(stream) if packet.size)
    for packet, dts in zip(packets, timing.dts.tolist(), strict=False):
        assert packet.pts is not None
        packet.pts, packet.dts, packet.duration = packet.pts - zero, dts - zero, tail
        time = float(packet.dts * base)
        packet.stream = target
        container.mux(packet)
        sound.advance(time)
    sound.finish()
