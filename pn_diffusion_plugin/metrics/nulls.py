"""Null rows, which ignore the dance: the baselines a model must beat.

A click every 0.5 s, the reference music of another clip, and silence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

CLICK_PERIOD = 0.5


def click_track(
    n_samples: int, sample_rate: int, *, period: float = CLICK_PERIOD, first: float = CLICK_PERIOD / 2
) -> NDArray[np.float32]:
    """A decaying 1 kHz tone of 50 ms at `first`, `first + period`, … seconds; (n_samples,), peak below 1.

    The first click is half a period in: a detector cannot see the rise of a click at time zero.
    """
    wav = np.zeros(n_samples, dtype=np.float32)
    time = np.arange(round(0.05 * sample_rate)) / sample_rate
    click = (0.9 * np.sin(2 * np.pi * 1000 * time) * np.exp(-time / 0.01)).astype(np.float32)
    for start in np.round(np.arange(first, n_samples / sample_rate, period) * sample_rate).astype(int):
        piece = click[: n_samples - start]
        wav[start : start + piece.size] += piece
    return wav


def silence(n_samples: int) -> NDArray[np.float32]:
    """(n_samples,) zeros."""
    return np.zeros(n_samples, dtype=np.float32)


def repeat_to(wav: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """`wav` (N,) cut to `n_samples`, or repeated from its beginning until it is that long."""
    if wav.size >= n_samples or not wav.size:
        return wav[:n_samples] if wav.size else silence(n_samples)
    return np.resize(wav, n_samples)


def shuffle_clips(songs: Sequence[str | None], seed: int = 0) -> list[int]:
    """For each clip the index of the clip whose music it gets: a permutation without a fixed point.

    No clip gets music of its own song as long as a permutation can avoid it (the fewest do, where it
    cannot). A song of None is unknown and taken as different from every other. The smallest-cost assignment
    under random costs with a penalty on the same song, so it depends on `seed` alone.

    Raises:
        ValueError: fewer than two clips.

    >>> sorted(shuffle_clips(["blue", "blue", "red", "red"])[:2])  # the blue ones get the red ones' music
    [2, 3]
    """
    n = len(songs)
    if n < 2:
        raise ValueError(f"the shuffled row needs at least two clips, not {n}")
    costs = np.random.default_rng(seed).random((n, n))
    same_song = np.array([[a is not None and a == b for b in songs] for a in songs])
    costs += n * same_song  # a single avoidable repetition outweighs all random costs together
    costs += 2 * n * n * np.eye(n)
    return [int(i) for i in linear_sum_assignment(costs)[1]]
