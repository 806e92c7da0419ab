r"""Kernel distance between the music of two sets of clips: KAD (arXiv 2502.15602) in any embedding.

The squared maximum mean discrepancy (Gretton et al. 2012) under a Gaussian kernel, times 100:

    MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y),   k(x, y) = exp(−|x − y|² / 2σ²)

with σ the median distance of the reference's windows. Unlike Fréchet's distance it assumes no Gaussians, and its
estimate is unbiased however few clips there are. Windows of one clip are not independent, clips are: all pairs are of
different clips, also in the third term, where clip i of both sets belongs to one dance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from .frechet import MIN_CLIPS
from .statistics import CONFIDENCE

SCALE = 100.0
RESAMPLES = 1000


def kernel_clips(
    generated: Sequence[object], reference: Sequence[object], *, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Kernel distance of generated to reference music with its interval.

    Args:
        generated, reference: for each clip its windows (w, D), w ≥ 1; the i-th of both belong to one dance.
        seed: of the bootstrap over clips.
    Returns:
        {"mean", "low", "high": the 95 % interval, "n": clips}; {"not_run": why} for fewer than `MIN_CLIPS` clips. The
        estimate can come out a little below 0: then no difference can be seen.
    """
    n = len(generated)
    if n != len(reference):
        raise ValueError(f"{n} generated and {len(reference)} reference clips are no pairs")
    if n < MIN_CLIPS:
        return {"not_run": f"needs at least {MIN_CLIPS} clips; there are {n}"}
    x, y = ([np.asarray(windows, np.float64) for windows in clips] for clips in (generated, reference))
    width = float(np.median(pdist(np.concatenate(y)))) or 1.0
    pairs = _kernel(x, x, width) + _kernel(y, y, width) - _kernel(x, y, width) - _kernel(x, y, width).T
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    estimate, again = _mean(pairs, np.arange(n)), np.array([_mean(pairs, chosen) for chosen in drawn])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(again - again.mean() + estimate, (tail, 1 - tail))
    return {"mean": estimate, "low": float(min(low, estimate)), "high": float(max(high, estimate)), "n": n}


def _kernel(
    x: Sequence[NDArray[np.float64]], y: Sequence[NDArray[np.float64]], width: float
) -> NDArray[np.float64]:
    """Mean kernel of the windows of every pair of clips, (n, n)."""
    return np.array([[np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2)).mean() for b in y] for a in x])


def _mean(pairs: NDArray[np.float64], chosen: NDArray[np.int64]) -> float:
    """Mean over pairs of different clips among the chosen ones, which may repeat."""
    different = chosen[:, None] != chosen[None]
    return SCALE * float(pairs[np.ix_(chosen, chosen)][different].mean())
