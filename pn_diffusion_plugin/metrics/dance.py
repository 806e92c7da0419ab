"""Kinematic beats of a dance and their alignment with the beats of music.

A kinematic beat is a local minimum of the mean joint speed: a move arrives, the body rests for an instant
(AIST++, arXiv 2101.08779). With D the kinematic beats, M the music beats and σ = 3 frames at 60 fps = 50 ms,

    dance → music:  1/|D| Σ_{d∈D} exp(−min_{m∈M} (d − m)² / 2σ²)
    music → dance:  1/|M| Σ_{m∈M} exp(−min_{d∈D} (m − d)² / 2σ²)

The first alone rewards dense clicks (every kinematic beat has a click near it), the second alone rewards
sparse ones; read them together. No reference music is needed. Times are seconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from .beats import Times, as_times

if TYPE_CHECKING:
    from ..data.features.feature_file import Features

ALIGNMENT_SIGMA = 3 / 60

SMOOTHING = 0.05
"""Standard deviation (s) of the Gaussian over the speed."""
PROMINENCE = 0.1
"""A minimum must lie this share of the speed's range (10th to 90th percentile) below its surroundings."""
VISIBLE = 0.5


def joint_speed(keypoints: object, fps: float, *, aspect: float = 1.0) -> NDArray[np.float64]:
    """Mean speed of the visible joints, in frame heights a second.

    Value i is the speed between frames i and i + 1, at time (i + ½) / fps. A joint counts over
    the whole clip or not at all (its median visibility must reach ½): joints that come and go would put
    steps into the mean.

    Args:
        keypoints: (T, J, 3): x, y in [0, 1] of the frame, visibility in [0, 1].
        fps: frames a second.
        aspect: width / height of the frame.
    Shape:
        returns (T − 1,); zeros where no joint is visible.
    """
    points = np.asarray(keypoints, dtype=np.float64)
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"keypoints must be (T, J, 3) with x, y and visibility, not {points.shape}")
    if not fps > 0:
        raise ValueError(f"fps must be above 0, not {fps}")
    if len(points) < 2:
        return np.zeros(0)
    seen = points[..., 2].max(axis=1) > 0  # interpolated frames carry visibility 0 and do not judge a joint
    if not seen.any():
        return np.zeros(len(points) - 1)
    visible = np.median(points[seen, :, 2], axis=0) >= VISIBLE
    if not visible.any():
        return np.zeros(len(points) - 1)
    steps = np.diff(points[:, visible, :2], axis=0) * (aspect, 1.0)
    return np.linalg.norm(steps, axis=-1).mean(axis=1) * fps


def kinematic_beats(
    keypoints: object,
    fps: float,
    *,
    smoothing: float = SMOOTHING,
    prominence: float = PROMINENCE,
    aspect: float = 1.0,
) -> Times:
    """Times (s) of the local minima of the smoothed mean joint speed, finer than a frame by a parabola.

    Args:
        keypoints: (T, J, 3), see `joint_speed`.
        fps: frames a second.
        smoothing: standard deviation of the Gaussian over the speed, seconds.
        prominence: smallest depth of a minimum, as a share of the speed's 10–90 % range: jitter of the
            pose estimate of a motionless dancer must not count as beats.
        aspect: width / height of the frame.
    """
    speed = joint_speed(keypoints, fps, aspect=aspect)
    if speed.size < 3:
        return np.zeros(0)
    if smoothing > 0:
        speed = gaussian_filter1d(speed, smoothing * fps, mode="nearest")
    low, high = np.percentile(speed, (10, 90))
    if high <= 1e-6:  # no motion
        return np.zeros(0)
    minima, _ = find_peaks(-speed, prominence=max(prominence * (high - low), 1e-9))
    return as_times([(_vertex(speed, i) + 0.5) / fps for i in minima])


def dance_beats(features: Features) -> NDArray[np.float64]:
    """Kinematic beats (s) of a clip's features."""
    header = features.header
    return kinematic_beats(features.keypoints, header.pose_fps, aspect=header.aspect)


def _vertex(values: NDArray[np.float64], i: int) -> float:
    """Position of the extremum of the parabola through values i − 1, i, i + 1 (i itself on a plateau)."""
    left, middle, right = values[i - 1 : i + 2]
    curvature = left - 2 * middle + right
    return i + (float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5)) if curvature > 0 else 0.0)


def beat_alignment(events: object, targets: object, sigma: float = ALIGNMENT_SIGMA) -> float:
    """Mean over `events` of exp(−Δt² / 2σ²), Δt the distance (s) to the nearest of `targets`.

    nan when there are no events (nothing to align), 0 when there are events but no targets.

    >>> round(beat_alignment([1.0, 2.0], [1.0, 2.05, 3.0]), 3)  # on the beat, and one sigma late
    0.803
    """
    sources, nearest = as_times(events), as_times(targets)
    if not sources.size:
        return math.nan
    if not nearest.size:
        return 0.0
    distances = np.abs(sources[:, None] - nearest[None, :]).min(axis=1)
    return float(np.exp(-(distances**2) / (2 * sigma**2)).mean())


def dance_music_alignment(
    dance: object, music: object, sigma: float = ALIGNMENT_SIGMA
) -> tuple[float, float]:
    """(dance → music, music → dance) Beat Alignment Scores of kinematic beats and music beats, both
    (events,) in seconds.

    Both nan when the dance has no beats; both 0 when only the music has none: silence fits no dance.

    >>> dense = [0.1 * k for k in range(50)]  # hits every move, and most of its beats hit none
    >>> [round(score, 2) for score in dance_music_alignment([1.0, 2.0, 3.0, 4.0], dense)]
    [1.0, 0.1]
    """
    if not as_times(dance).size:
        return math.nan, math.nan
    if not as_times(music).size:
        return 0.0, 0.0
    return beat_alignment(dance, music, sigma), beat_alignment(music, dance, sigma)
