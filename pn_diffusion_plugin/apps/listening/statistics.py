"""Uncertainty of judgements, whose sample is twofold: listeners and clips.

Answers of one listener are alike, and so are answers to one clip. The interval resamples both at once (the pigeonhole
bootstrap of Owen, Ann. Appl. Stat. 1 (2007) 386), so it holds for other listeners and other clips, and is on the wide
side. A difference is tested twice by flipping signs, over listeners and over clips; the larger p counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ...metrics.statistics import CONFIDENCE, RESAMPLES, Interval

Array = NDArray[np.float64]

EXACT = 12
"""Up to so many units every pattern of signs is tried, beyond that `DRAWS` random ones."""
DRAWS = 20000


def crossed_bootstrap(values: object, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval | None:
    """Mean of judgements with its 95 % interval over other listeners and other clips.

    Args:
        values: (S, N) of S listeners and N clips, nan where there is no answer.
        seed, resamples: of the bootstrap.
    Returns:
        `n` is the number of answers; None when there is none.
    """
    array = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(array)
    if not known.any():
        return None
    filled = np.where(known, array, 0.0)
    rng = np.random.default_rng(seed)
    listeners, clips = (rng.multinomial(n, [1 / n] * n, size=resamples).astype(float) for n in array.shape)
    sums = np.einsum("rs,sn,rn->r", listeners, filled, clips, optimize=True)
    weights = np.einsum("rs,sn,rn->r", listeners, known.astype(float), clips, optimize=True)
    means = sums[weights > 0] / weights[weights > 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(array[known].mean()), float(low), float(high), int(known.sum()))


def sign_flip_test(differences: object, *, seed: int = 0) -> float | None:
    """Two-sided p of the mean of differences (n,) under "each could as well have had the other sign".

    Exact for up to 12 of them (so p is at least 2 / 2ⁿ). nan is left out; None when nothing is left.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n == 0:
        return None
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # sums of the same numbers differ by rounding
    if n <= EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
        return float(np.mean(np.abs(signs @ values) >= observed))
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(DRAWS, n))
    return float((1 + np.sum(np.abs(signs @ values) >= observed)) / (1 + DRAWS))


def paired_test(differences: object, *, seed: int = 0) -> tuple[float | None, float | None]:
    """(p over listeners, p over clips) of differences (S, N), averaged over the other axis first."""
    array = np.asarray(differences, dtype=np.float64)
    return sign_flip_test(_means(array, 1), seed=seed), sign_flip_test(_means(array, 0), seed=seed)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for being several, by Holm's step-down method (Scand. J. Stat. 6 (1979) 65).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = float(round(highest, 12))
    return corrected


def _means(array: Array, axis: int) -> Array:
    """Means over an axis of what is known; nan where nothing is."""
    known = ~np.isnan(array)
    count = known.sum(axis=axis)
    total = np.where(known, array, 0.0).sum(axis=axis)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
