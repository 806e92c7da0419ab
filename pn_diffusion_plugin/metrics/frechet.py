r"""Fréchet distance between the music of two sets of clips, with few clips in mind.

Both sets are embedded window by window and taken as Gaussians (Dowson & Landau 1982):

    d²(X, Y) = |μx − μy|² + Tr Σx + Tr Σy − 2 Tr (Σx Σy)^½

**Rank.** With Σx = AᵀA and Σy = BᵀB (A, B the centred windows over √(n − 1)), Tr (Σx Σy)^½ is the sum of the
singular values of A Bᵀ. No square root of a matrix is taken, so fewer windows than dimensions do no harm.

**Few clips.** The distance of two small samples of the same music is far above 0: about c / n for n clips. The
estimate is therefore the jackknife's, which removes that term,

    d²ⱼ = n d² − (n − 1) · mean_i d²₍₋ᵢ₎,

leaving out clip i in both sets (windows of a clip are not independent, clips are). It can come out a little below
0: then no difference can be seen. The interval is the percentile bootstrap over clips, moved to the estimate
(resampling adds the same bias once more, so the plain percentiles would be too high).

The number depends on the embedding: `frechet_musicnn` is of musicnn's 200 numbers and is **not** the VGGish-based
Fréchet Audio Distance; compare it with itself only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .statistics import CONFIDENCE

Array = NDArray[np.float64]

MIN_CLIPS = 8
"""The jackknife estimate of fewer clips is meaningless."""
RESAMPLES = 200


def frechet_distance(first: object, second: object) -> float:
    """d² of two samples (n, D) and (m, D), each of at least two rows: the plug-in estimate.

    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    mean1, root1 = _moments(first)
    mean2, root2 = _moments(second)
    if mean1.shape != mean2.shape:
        raise ValueError(f"samples of {mean1.size} and {mean2.size} numbers cannot be compared")
    cross = np.linalg.svd(root1 @ root2.T, compute_uv=False).sum()
    squared = ((mean1 - mean2) ** 2).sum() + (root1**2).sum() + (root2**2).sum() - 2 * cross
    return float(squared)


def frechet_clips(
    generated: Sequence[object], reference: Sequence[object], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Distance of generated to reference music with its interval, corrected for the number of clips.

    Args:
        generated, reference: for each clip its windows (w, D), w ≥ 1; the i-th of both belong to one dance.
        seed: of the bootstrap.
    Returns:
        {"mean": the corrected estimate, "low", "high": its 95 % interval, "n": clips, "plug_in": the distance
        without the correction}; {"not_run": why} for fewer than `MIN_CLIPS` clips.
    """
    n = len(generated)
    if n != len(reference):
        raise ValueError(f"{n} generated and {len(reference)} reference clips are no pairs")
    if n < MIN_CLIPS:
        return {"not_run": f"needs at least {MIN_CLIPS} clips; there are {n}"}
    a = [np.asarray(windows, dtype=np.float64) for windows in generated]
    b = [np.asarray(windows, dtype=np.float64) for windows in reference]

    def distance(chosen: Sequence[int] | NDArray[np.int64]) -> float:
        return frechet_distance(
            np.concatenate([a[i] for i in chosen]), np.concatenate([b[i] for i in chosen])
        )

    plug_in = distance(range(n))
    without = [distance([j for j in range(n) if j != i]) for i in range(n)]
    estimate = n * plug_in - (n - 1) * float(np.mean(without))
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    again = np.array([distance(chosen) for chosen in drawn])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(again - again.mean() + estimate, (tail, 1 - tail))
    return {
        "mean": estimate,
        "low": float(min(low, estimate)),
        "high": float(max(high, estimate)),
        "n": n,
        "plug_in": plug_in,
    }


def _moments(sample: object) -> tuple[Array, Array]:
    """Mean (D,) and a root R (r, D) of the unbiased covariance, RᵀR, r ≤ D."""
    values = np.asarray(sample, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"a sample must be (n, D) with at least two rows, not {values.shape}")
    mean = values.mean(axis=0)
    root = (values - mean) / np.sqrt(len(values) - 1)
    if len(root) > root.shape[1]:
        root = np.asarray(np.linalg.qr(root, mode="r"))
    return mean, root
