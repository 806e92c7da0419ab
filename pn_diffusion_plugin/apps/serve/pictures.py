"""The picture of a take: what is heard and seen on one time axis, and where in the picture that axis runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.features.feature_file import Features
from ...metrics.beats import track_beats
from ...metrics.dance import dance_beats
from ...metrics.figures import clip_figure


@dataclass(frozen=True)
class Axis:
    """Where the first and the last second stand, in shares of the picture's width."""

    left: float
    right: float


def take_picture(path: Path, wav: np.ndarray, sample_rate: int, features: Features) -> Axis:
    """Write the PNG of a take: waveform, mel spectrogram, beats of the dance and of the music.

    Args:
        wav: (N,).
        features: of the dance.
    """
    left, right = clip_figure(
        path, wav, sample_rate, None, dance_beats(features), track_beats(wav, sample_rate)
    )
    return Axis(left, right)
