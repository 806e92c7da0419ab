"""Means with their uncertainty: percentile bootstrap over clips.

The clips are the sample: draw n clips with replacement, compute the statistic, repeat; the 2.5 % and 97.5 %
quantiles of the results are the interval (Efron 1979). Everything is fixed by `seed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Statistic over the second-last axis: (..., n, K) values of n clips to (...)."""
Values = dict[str, dict[str, Any]]
"""Metric name → its value, of one row."""
Rows = dict[str, Values]


class NotRun(Exception):
    """A metric that cannot be computed; the message says what it needs, beginning with "needs"."""


@dataclass(frozen=True)
class Interval:
    """A statistic over `n` clips and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float | int]:
        """The form in which report.json holds it."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def mean(values: Array) -> Array:
    """Mean over clips of the first column."""
    return values[..., 0].mean(axis=-1)


def standard_deviation(values: Array) -> Array:
    """Standard deviation over clips (ddof = 1) of the first column; 0 for a single clip."""
    if values.shape[-2] < 2:
        return np.zeros(values.shape[:-2])
    return values[..., 0].std(axis=-1, ddof=1)


def harmonic_mean_of_means(values: Array) -> Array:
    """Harmonic mean of the means over clips of the first two columns; 0 where both are 0."""
    first, second = values[..., 0].mean(axis=-1), values[..., 1].mean(axis=-1)
    total = first + second
    return np.divide(2 * first * second, total, out=np.zeros_like(total), where=total > 0)


def bootstrap(
    values: object, statistic: Statistic = mean, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """Statistic of per-clip values with its 95 % interval.

    Args:
        values: (n,) or (n, K), one row a clip. Clips with a nan are left out (the score is not defined for
            them).
        statistic: `mean`, `standard_deviation`, `harmonic_mean_of_means` or a function of the same form.
        seed: the same seed draws the same clips, so systems scored on the same clips are resampled together.
        resamples: how many times clips are drawn.
    Returns:
        None when no clip is left.

    >>> bootstrap([1.0, 1.0, float("nan")])
    Interval(mean=1.0, low=1.0, high=1.0, n=2)
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    array = array[~np.isnan(array).any(axis=1)]
    n = len(array)
    if n == 0:
        return None
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(statistic(array[drawn]), (tail, 1 - tail))
    return Interval(float(statistic(array)), float(low), float(high), n)


def paired_difference(
    first: object, second: object, *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval | None:
    """Mean of `first` − `second` over the clips (n,) for which both are defined, with its interval.

    Sharper than two intervals side by side: how hard a clip is falls out of the difference.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values must be of the same clips, not {a.shape} and {b.shape}")
    return bootstrap(a - b, seed=seed, resamples=resamples)


def interval(values: Sequence[float | None], seed: int = 0) -> dict[str, Any]:
    """Mean over clips with its interval, as report.json holds it; clips without a value are left out."""
    found = bootstrap([float("nan") if v is None else v for v in values], seed=seed)
    return {"not_run": "needs a clip that is not silent"} if found is None else found.as_dict()
