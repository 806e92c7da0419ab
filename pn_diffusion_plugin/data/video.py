"""Video files in and out, through PyAV alone: pictures at a constant rate, sound on that clock, muxing.

One clock for everything: time zero is the moment the first picture of the video stream is shown, whatever the
container's own time stamps say. Picture i of a stream at `fps` stands at time i / fps, sample n of the sound
at time n / sample_rate. Both are exactly as long as the picture: round(seconds * rate).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ..errors import AudioError, VideoError
from ..utils.files import atomic_path
from .media import Clock, decode, open_media, orientation, read_clock, shown_size, video_stream

_MP4_CODECS = frozenset({"h264", "hevc", "mpeg4", "av1", "vp9"})
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_MISSING_SHARE = 0.2  # more undecodable pictures than this and the file counts as damaged
_TICK = 1e-6  # seconds; times closer than this are the same


@dataclass(frozen=True)
class VideoInfo:
    """What `probe` finds out.

    Attributes:
        seconds: how long the picture runs.
        fps: mean pictures a second.
        width, height: pixels as shown (rotation and pixel aspect applied).
        rotation: degrees (0, 90, 180, 270) the stored picture is turned counterclockwise to be shown.
        has_audio: whether there is a sound track.
    """

    seconds: float
    fps: float
    width: int
    height: int
    rotation: int
    has_audio: bool


def probe(path: str | Path) -> VideoInfo:
    """Look at a video: every time stamp is read, the first picture is decoded.

    Raises:
        VideoError: missing or empty, not a media file, a picture, sound only, cut off, nothing decodable.
    """
    path = Path(path)
    clock = read_clock(path)
    with open_media(path) as container:
        stream = video_stream(container, path)
        frame = next(decode(container, stream), None)
        if frame is None:
            raise VideoError(f"{path} is damaged: no picture could be decoded; copy or download it again")
        width, height = shown_size(frame, stream)
        if orientation(frame)[0]:
            width, height = height, width
        return VideoInfo(
            seconds=clock.seconds,
            fps=len(clock.times) / clock.seconds,
            width=width,
            height=height,
            rotation=round(frame.rotation / 90) * 90 % 360,
            has_audio=bool(container.streams.audio),
        )


def read_frames(
    path: str | Path, fps: float, *, size: int | None = None, start: float = 0.0, seconds: float | None = None
) -> Iterator[np.ndarray]:
    """Pictures at a constant rate, upright, with square pixels.

    Picture i is the one nearest to time start + i / fps (at a variable rate: the one on the screen then).

    Args:
        path: video file.
        fps: pictures a second wanted, Hz.
        size: greatest length of the longer side in pixels (aspect kept, never enlarged); None: as stored.
        start: where to begin, seconds.
        seconds: how much; None: up to the end. Past the end of the video the last picture is repeated.

    Yields:
        round(seconds * fps) arrays (H, W, 3) uint8 RGB, at least one.

    Raises:
        VideoError: as `probe`, and when a large part of the pictures cannot be decoded.
    """
    path = Path(path)
    if not fps > 0 or start < 0 or (seconds is not None and seconds < 0):
        raise ValueError(f"fps must be > 0, start and seconds >= 0, not {fps}, {start} and {seconds}")
    clock = read_clock(path)
    length = max(clock.seconds - start, 0.0) if seconds is None else seconds
    count = max(1, round(length * fps))
    wanted = start + np.arange(count) / fps + _ahead(clock)
    shown: _Shown | None = None
    given = decoded = 0
    first = last = 0.0
    for frame in _decoded(path, clock, size, start):
        if not decoded:
            first = frame.time
        decoded, last = decoded + 1, frame.time
        while shown is not None and given < count and wanted[given] < frame.time:
            yield shown.picture
            given += 1
        if given == count:
            break
        shown = frame
    expected = int(np.count_nonzero(clock.times >= (first if start else 0.0) - _TICK))
    if given < count and (shown is None or decoded < (1 - _MISSING_SHARE) * expected):
        raise VideoError(
            f"{path} is damaged: only {decoded} of {expected} pictures could be decoded"
            f" (the last at {last:.1f} s of {clock.seconds:.1f} s); copy or download it again"
        )
    for _ in range(given, count):
        assert shown is not None
        yield shown.picture


def frame_times(path: str | Path, fps: float) -> np.ndarray:
    """When the pictures that `read_frames` gives were taken: (round(seconds * fps),) seconds, at least one.

    Raises:
        VideoError: as `probe`.
    """
    clock = read_clock(Path(path))
    wanted = np.arange(max(1, round(clock.seconds * fps))) / fps + _ahead(clock)
    return clock.times[(np.searchsorted(clock.times, wanted, side="right") - 1).clip(0)]


def _ahead(clock: Clock) -> float:
    """A picture counts from half a frame before its time: nearest at constant rate, on screen in long holds."""
    return 0.5 * clock.frame_seconds - _TICK


class _Shown:
    """A decoded frame, made a picture of only if somebody asks: at 60 a second most are passed over."""

    def __init__(
        self, time: float, frame: VideoFrame, size: tuple[int, int], scaler: VideoReformatter
    ) -> None:
        self.time, self._frame, self._size, self._scaler = time, frame, size, scaler

    @cached_property
    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright."""
        frame, (width, height) = self._frame, self._size
        how = "BILINEAR" if (width, height) == (frame.width, frame.height) else "AREA"
        picture = self._scaler.reformat(frame, width, height, "rgb24", interpolation=how).to_ndarray()
        swap, mirror_x, mirror_y = orientation(frame)
        if swap:
            picture = picture.transpose(1, 0, 2)
        return np.ascontiguousarray(picture[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1])


def _decoded(path: Path, clock: Clock, size: int | None, start: float) -> Iterator[_Shown]:
    """Every decodable frame, from the key picture before `start` on; pictures are at most `size` long."""
    scaler = VideoReformatter()
    with open_media(path) as container:
        stream = video_stream(container, path)
        base = Fraction(stream.time_base or Fraction(1, 1000))
        if start > 1.0 and clock.copyable:  # without true time stamps there is nothing to seek by
            with contextlib.suppress(av.error.FFmpegError):
                container.seek(int((Fraction(start) + clock.zero) / base), stream=stream, backward=True)
        for index, frame in enumerate(decode(container, stream)):
            if frame.is_corrupt:
                continue
            time = index * clock.frame_seconds
            if frame.pts is not None:
                time = float(frame.pts * base - clock.zero)
            width, height = shown_size(frame, stream)
            scale = min(1.0, size / max(width, height)) if size else 1.0
            yield _Shown(time, frame, (max(1, round(width * scale)), max(1, round(height * scale))), scaler)


def read_audio(path: str | Path, sample_rate: int) -> np.ndarray:
    """The sound on the picture's clock, mono.

    Args:
        path: video file with a sound track (several channels are averaged).
        sample_rate: wanted, Hz.

    Returns:
        (N,) float32, N = round(seconds of the picture * sample_rate); silence where the track has nothing.

    Raises:
        VideoError: as `probe`.
        AudioError: there is no sound track, or nothing of it can be decoded.
    """
    path = Path(path)
    clock = read_clock(path)
    with open_media(path) as container:
        if not container.streams.audio:
            raise AudioError(f"{path} has no sound track: give a video with music")
        stream = container.streams.audio[0]
        source_rate = 0
        line = np.zeros(0, dtype=np.float32)
        end: int | None = None  # where the next block goes if its time stamp agrees
        for frame in decode(container, stream):
            if frame.format.is_planar and len(frame.planes) != frame.layout.nb_channels:
                raise AudioError(
                    f"{path} has a damaged sound track: convert the file first"
                )  # reading it would crash
            if not source_rate:
                source_rate = frame.sample_rate
                line = np.zeros(math.ceil(clock.seconds * source_rate), dtype=np.float32)
            samples = _mono(frame)
            if frame.pts is not None and frame.time_base is not None:
                stamp = round(float((frame.pts * frame.time_base - clock.zero) * source_rate))
                if end is None or abs(stamp - end) > 0.02 * source_rate:  # coarse stamps jitter by a few ms
                    end = stamp
            end = end or 0
            low, high = max(end, 0), min(end + len(samples), len(line))
            if low < high:
                line[low:high] = samples[low - end : high - end]
            end += len(samples)
    if not source_rate:
        raise AudioError(f"{path} has a sound track that cannot be decoded: convert the file first")
    if source_rate != sample_rate:
        line = soxr.resample(line, source_rate, sample_rate)
    return fit_length(line, round(clock.seconds * sample_rate))


def _mono(frame: Any) -> np.ndarray:
    """(n,) float32 in [-1, 1], the mean of the channels."""
    samples = frame.to_ndarray()
    scale = 1.0
    if samples.dtype == np.uint8:
        samples, scale = samples.astype(np.float32) - 128.0, 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        scale = -float(np.iinfo(samples.dtype).min)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    return (samples.astype(np.float32) / np.float32(scale)).mean(axis=0, dtype=np.float32)


def fit_length(wav: np.ndarray, length: int) -> np.ndarray:
    """Cut or pad with silence: (..., N) → (..., length)."""
    if wav.shape[-1] >= length:
        return wav[..., :length]
    return np.pad(wav, [(0, 0)] * (wav.ndim - 1) + [(0, length - wav.shape[-1])])


def reverse(frames: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
    """The pictures played backward: (T, ...) → (T, ...)."""
    array = frames if isinstance(frames, np.ndarray) else np.stack(list(frames))
    return np.ascontiguousarray(array[::-1])


class _Sound:
    """A sound track being encoded beside the picture, so that the file is interleaved however long it is."""

    def __init__(self, container: OutputContainer, wav: np.ndarray, sample_rate: int, codec: str) -> None:
        wav = np.atleast_2d(np.asarray(wav, dtype=np.float32))
        if wav.ndim != 2 or wav.shape[0] not in (1, 2) or not np.isfinite(wav).all():
            raise AudioError(f"sound must be finite and of shape (N,), (1, N) or (2, N), not {wav.shape}")
        if codec == "aac" and sample_rate not in _AAC_RATES:
            wanted = next((rate for rate in _AAC_RATES[4:9] if rate > sample_rate), 48000)
            wav = np.stack([soxr.resample(channel, sample_rate, wanted) for channel in wav])
            sample_rate = wanted
        layout = "mono" if wav.shape[0] == 1 else "stereo"
        self.container, self.wav, self.sample_rate, self.position = container, wav.clip(-1, 1), sample_rate, 0
        stream = cast(AudioStream, container.add_stream(codec, rate=sample_rate, layout=layout))
        if codec == "aac":
            stream.bit_rate = 96000 * wav.shape[0]
        self.integer = stream.codec_context.format.name.startswith("s16")
        self.stream = stream

    def fit(self, seconds: float) -> None:
        """Make the track exactly as long as the picture."""
        self.wav = fit_length(self.wav, round(seconds * self.sample_rate))

    def advance(self, seconds: float) -> None:
        """Encode up to `seconds`."""
        end = min(round(seconds * self.sample_rate), self.wav.shape[1])
        while self.position < end:
            block = self.wav[:, self.position : min(self.position + 4096, end)]
            if self.integer:
                block = np.round(block * 32768.0).clip(-32768, 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block),
                format="s16p" if self.integer else "fltp",
                layout="mono" if block.shape[0] == 1 else "stereo",
            )
            frame.sample_rate, frame.pts = self.sample_rate, self.position
            frame.time_base = Fraction(1, self.sample_rate)
            self.position += block.shape[1]
            self.container.mux(self.stream.encode(frame))

    def finish(self) -> None:
        """Encode what is left and flush."""
        self.advance(math.inf if not self.wav.size else self.wav.shape[1] / self.sample_rate)
        self.container.mux(self.stream.encode(None))


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None = None,
    sample_rate: int = 22050,
    audio_codec: str = "aac",
) -> None:
    """Write an H.264 video, with sound exactly as long as the picture (cut or padded), atomically.

    Args:
        path: where to; the suffix chooses the container (.mp4).
        frames: arrays (H, W, 3) uint8 RGB of one size. An odd side gets one more row or column, repeated.
        fps: pictures a second, Hz.
        audio: (N,) mono or (C, N), C 1 or 2, float in [-1, 1]; None: no sound track.
        sample_rate: of `audio`, Hz. A rate AAC does not have is resampled to the next one it has.
        audio_codec: `aac`, or `alac` (lossless at 16 bits).

    Raises:
        VideoError: no pictures, or pictures of another shape.
        AudioError: the sound has another shape or is not finite.
    """
    path = Path(path)
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        options = {"crf": "18", "preset": "veryfast"}
        stream: VideoStream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        sound = _Sound(container, audio, sample_rate, audio_codec) if audio is not None else None
        shape: tuple[int, ...] | None = None
        for picture in frames:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
                raise VideoError(f"{path}: a picture is (H, W, 3) uint8, not {picture.shape} {picture.dtype}")
            if shape is None:
                shape = picture.shape
                stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
            elif picture.shape != shape:
                raise VideoError(f"{path}: picture {count} is {picture.shape}, not {shape} as the first")
            if shape[0] % 2 or shape[1] % 2:
                picture = np.pad(picture, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = count, 1 / rate
            count += 1
            container.mux(stream.encode(frame))
            if sound is not None:
                sound.advance(float(count / rate))
        if not count:
            raise VideoError(f"{path}: there are no pictures to write")
        container.mux(stream.encode(None))
        if sound is not None:
            sound.fit(float(count / rate))
            sound.finish()


def mux(video_path: str | Path, wav: np.ndarray, sample_rate: int, out_path: str | Path) -> None:
    """Put a sound track under a video: the picture is copied untouched, its own sound is left out.

    A picture whose codec or time stamps an mp4 cannot carry is encoded again as H.264. The sound is AAC and
    exactly as long as the picture (cut or padded with silence).

    Args:
        video_path: video file.
        wav: (N,) mono or (C, N), C 1 or 2, float in [-1, 1].
        sample_rate: of `wav`, Hz.
        out_path: mp4 file to write, atomically; may be `video_path` itself.

    Raises:
        VideoError: as `probe`.
        AudioError: the sound has another shape or is not finite.
    """
    video_path, out_path = Path(video_path), Path(out_path)
    clock = read_clock(video_path)
    with open_media(video_path) as source:
        stream = video_stream(source, video_path)
        copy = clock.copyable and stream.codec_context.name in _MP4_CODECS
        fps = Fraction(1 / clock.frame_seconds).limit_denominator(1001)
        if copy:
            with atomic_path(out_path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
                _copy(source, stream, clock, container, wav, sample_rate)
            return
    write_video(out_path, read_frames(video_path, float(fps)), float(fps), wav, sample_rate)


def _copy(
    source: InputContainer,
    stream: VideoStream,
    clock: Clock,
    container: OutputContainer,
    wav: np.ndarray,
    sample_rate: int,
) -> None:
    """Copy the picture's packets, moved to time zero, with `wav` beside them."""
    target = container.add_stream_from_template(stream)
    sound = _Sound(container, wav, sample_rate, "aac")
    sound.fit(clock.seconds)
    base = Fraction(stream.time_base or Fraction(1, 1000))
    shift = round(clock.zero / base)
    for packet in source.demux(stream):
        if packet.size == 0 or packet.pts is None:
            continue
        packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        packet.stream = target
        time = float(packet.pts * base)
        container.mux(packet)
        sound.advance(time)
    sound.finish()
