"""The sound track of a video: read on the clock of its frames, mixed, and encoded beside them."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soxr
from av.audio.stream import AudioStream
from av.container import OutputContainer

from ...errors import AudioError
from ...utils.sound import to_mono, to_stereo
from .container import decode, open_media
from .probe import read_timing

PEAK = 0.99
"""Of a mix that would clip otherwise."""
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


def read_audio(path: str | Path, sample_rate: int) -> np.ndarray:
    """The sound on the clock of the frames, mono.

    Args:
        path: video file with a sound track (several channels are mixed by `to_mono`).
        sample_rate: of the result, Hz.

    Returns:
        (N,) float32, N = round(seconds of the frames * sample_rate); silence where the track has nothing.

    Raises:
        VideoError: as `probe`.
        AudioError: there is no sound track, or nothing of it can be decoded.
    """
    path = Path(path)
    timing = read_timing(path)
    with open_media(path) as container:
        if not container.streams.audio:
            raise AudioError(f"{path} has no sound track: give a video with music")
        source_rate = 0
        line = np.zeros((1, 0), dtype=np.float32)
        end: int | None = None  # where the next block goes if its time stamp agrees
        for frame in decode(container, container.streams.audio[0]):
            if frame.format.is_planar and len(frame.planes) != frame.layout.nb_channels:
                raise AudioError(
                    f"{path} has a damaged sound track: convert the file first"
                )  # reading it would crash
            samples = to_stereo(_samples(frame), [channel.name for channel in frame.layout.channels])
            if not source_rate:
                source_rate = frame.sample_rate
                line = np.zeros((len(samples), math.ceil(timing.seconds * source_rate)), dtype=np.float32)
            if frame.pts is not None and frame.time_base is not None:
                stamp = round(float((frame.pts * frame.time_base - timing.zero) * source_rate))
                if end is None or abs(stamp - end) > 0.02 * source_rate:  # coarse stamps jitter by a few ms
                    end = stamp
            end = end or 0
            if len(samples) > len(line):  # the layout changes within the track
                samples = to_mono(samples)[None]
            low, high = max(end, 0), min(end + samples.shape[1], line.shape[1])
            if low < high:
                line[:, low:high] = samples[:, low - end : high - end]
            end += samples.shape[1]
    if not source_rate:
        raise AudioError(f"{path} has a sound track that cannot be decoded: convert the file first")
    wav = to_mono(line)
    if source_rate != sample_rate:
        wav = soxr.resample(wav, source_rate, sample_rate)
    return fit_length(wav, round(timing.seconds * sample_rate))


def _samples(frame: Any) -> np.ndarray:
    """(C, n) float32 in [-1, 1]."""
    samples = frame.to_ndarray()
    scale = 1.0
    if samples.dtype == np.uint8:
        samples, scale = samples.astype(np.float32) - 128.0, 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        scale = -float(np.iinfo(samples.dtype).min)
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    return samples.astype(np.float32) / np.float32(scale)


def fit_length(wav: np.ndarray, length: int) -> np.ndarray:
    """Cut or pad with silence: (..., N) → (..., length)."""
    if wav.shape[-1] >= length:
        return wav[..., :length]
    return np.pad(wav, [(0, 0)] * (wav.ndim - 1) + [(0, length - wav.shape[-1])])


def mix_beneath(music: np.ndarray, sound: np.ndarray, level_db: float) -> np.ndarray:
    """Music with another sound beneath it.

    Args:
        music: (N,) or (C, N) float.
        sound: (N,) float, the same in every channel; silence adds nothing.
        level_db: mean power of the sound relative to the music's, dB.

    Returns:
        As `music`, float32, turned down as a whole where it would clip.
    """
    power, beneath = float(np.mean(music**2)), float(np.mean(sound**2))
    gain = 10 ** (level_db / 20) * (power / beneath) ** 0.5 if beneath else 0.0
    mixed = music + gain * sound
    return (mixed * min(1.0, PEAK / max(float(np.abs(mixed).max()), 1e-12))).astype(np.float32)


class AudioTrack:
    """A sound track encoded beside the frames, so that the file is interleaved however long it is.

    Args:
        container: file to write to.
        wav: (N,) mono or (C, N), C 1 or 2, float in [-1, 1].
        sample_rate: of `wav`, Hz. A rate AAC does not have is resampled to the next one it has.
        codec: `aac`, or `alac` (lossless at 16 bits).

    Raises:
        AudioError: another shape, or values that are not finite.
    """

    def __init__(
        self, container: OutputContainer, wav: np.ndarray, sample_rate: int, codec: str = "aac"
    ) -> None:
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
            stream.bit_rate = 128000 * wav.shape[0]
        self.integer = stream.codec_context.format.name.startswith("s16")
        self.stream = stream

    def fit(self, seconds: float) -> None:
        """Make the track exactly as long as the frames are shown."""
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
        self.advance(self.wav.shape[1] / self.sample_rate)
        self.container.mux(self.stream.encode(None))
