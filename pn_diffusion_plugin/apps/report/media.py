"""Audio and video small enough to embed in a page."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from ...data.video.probe import probe
from ...data.video.read import read_frames
from ...data.video.write import write_video
from ...errors import AudioError
from ...metrics.beats import as_mono, resample

EXCERPT = 30.0
"""Seconds of a longer clip that a report shows."""
VIDEO_SIDE = 192
"""Pixels of the longer side of a video inside a page."""

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def read_wave(path: str | Path, seconds: float | None = None) -> tuple[NDArray[np.float32], int]:
    """The first `seconds` of a sound file, mono (N,), and its rate (Hz); AudioError for an unreadable one."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            frames = -1 if seconds is None else round(seconds * rate)
            return as_mono(file.read(frames, dtype="float32", always_2d=True).T), rate
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise AudioError(f"{path} cannot be read as sound ({error}): generate it again") from error


def encode_mp3(wav: object, sample_rate: int) -> bytes:
    """MP3 of a sound (N,) or (C, N), mono, about 8 kB a second; at the next sample rate that MP3 supports."""
    mono = as_mono(wav)
    rate = next((rate for rate in _MP3_RATES if rate >= sample_rate), _MP3_RATES[-1])
    mono = np.clip(resample(mono, sample_rate, rate), -1.0, 1.0)
    with io.BytesIO() as stream:
        soundfile.write(stream, mono, rate, format="MP3", subtype="MPEG_LAYER_III")
        return stream.getvalue()


def small_video(path: str | Path, seconds: float = EXCERPT, side: int = VIDEO_SIDE) -> bytes:
    """The first `seconds` of a video as an mp4 without sound, its longer side at most `side` pixels.

    Raises:
        VideoError: it cannot be read.
    """
    info = probe(path)
    fps = min(info.fps, 25.0)
    frames = read_frames(path, fps, size=side, seconds=min(seconds, info.seconds))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "dance.mp4"
        write_video(file, frames, fps)
        return file.read_bytes()
