"""A part of a video as a video of its own, and an old sound beneath a new one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from ..errors import UserError
from .video import VideoInfo, probe, read_audio, read_frames, write_video

PEAK = 0.99
"""Of a mixture that would clip otherwise."""

_SOUND_RATE = 44100


def part_seconds(
    video: str | Path, info: VideoInfo, start: float | None, end: float | None
) -> tuple[float, float]:
    """Where a part of a video begins and ends, in seconds; None: where the video does.

    Raises:
        UserError: the part is empty, or not within the video.
    """
    first, last = start or 0.0, info.seconds if end is None else end
    if not 0 <= first < last:
        raise UserError(
            f"the part from {first:g} s to {last:g} s of {video} is empty: give --start before --end"
        )
    if last > info.seconds + 0.5 / info.fps:
        raise UserError(
            f"the part from {first:g} s to {last:g} s of {video} ends after the video ({info.seconds:.2f} s): "
            "give an earlier --end"
        )
    return first, last


def cut_video(
    video: str | Path, out: str | Path, start: float | None = None, end: float | None = None
) -> None:
    """Write what is shown from `start` to `end` as an mp4, with its sound.

    The picture is encoded again: packets could be copied from key pictures on only, which may be seconds apart.

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
    fps = float(Fraction(info.fps).limit_denominator(1001))
    sound = None
    if info.has_audio:
        sound = read_audio(video, _SOUND_RATE)[round(first * _SOUND_RATE) : round(last * _SOUND_RATE)]
    pictures = read_frames(video, fps, start=first, seconds=last - first)
    write_video(out, pictures, fps, sound, _SOUND_RATE)


def mix_beneath(music: np.ndarray, sound: np.ndarray, level_db: float) -> np.ndarray:
    """Music with another sound beneath it.

    Args:
        music: (N,) float.
        sound: (N,) float; silence adds nothing.
        level_db: mean power of the sound against the music's, dB; -12 is well beneath it.

    Returns:
        (N,) float32, turned down as a whole where it would clip.
    """
    power, beneath = float(np.mean(music**2)), float(np.mean(sound**2))
    gain = 10 ** (level_db / 20) * (power / beneath) ** 0.5 if beneath else 0.0
    mixed = music + gain * sound
    return (mixed * min(1.0, PEAK / max(float(np.abs(mixed).max()), 1e-12))).astype(np.float32)
