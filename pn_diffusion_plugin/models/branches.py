"""Conditions of the guidance branches, batched for the network and cached over the denoising steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from ..data.condition import NEGATIVE, POSITIVE
from ..modules.guidance import Branch
from ..modules.style import STYLE
from .latent_diffusion import Condition, LatentDiffusion

Prepared = dict[str, torch.Tensor]  # see `LatentDiffusion.prepare`


def prepare_branches(
    denoiser: LatentDiffusion, conditions: Mapping[str, Condition], branches: Sequence[Branch], columns: int
) -> list[Prepared]:
    """Prepare the conditions of every branch, each with as many rows as `conditions`.

    Args:
        conditions: by name of the dance, and the style of the clips, which all branches but `unstyled` have.
        columns: latent columns.
    """
    of_branch: dict[Branch, Callable[[], Condition]] = {
        "positive": lambda: conditions[POSITIVE],
        "negative": lambda: conditions[NEGATIVE],
        "none": lambda: denoiser.null_condition(conditions[POSITIVE]),
        "unstyled": lambda: conditions[POSITIVE],
    }
    return [
        denoiser.prepare(
            of_branch[name](),
            columns,
            branch=1 if name == "negative" else 0,
            style=None if name == "unstyled" else conditions.get(STYLE),
        )
        for name in branches
    ]


def concat_conditions(rows: Sequence[Prepared]) -> Prepared:
    """Concatenate prepared conditions along the batch."""
    return {key: torch.cat([one[key] for one in rows]) for key in rows[0]}


class ConditionCache:
    """Cache of prepared conditions, one entry per batch of windows.

    Keys and values of cross attention are projected once. They are larger than the tokens (a megabyte per window and
    branch in a large network), so only the first windows are cached: for later ones they are projected at every step,
    and memory does not grow with the length.

    Args:
        network: the network of the denoising steps.
        max_bytes: size of the cache.
    """

    def __init__(self, network: LatentDiffusion, max_bytes: int) -> None:
        self.network, self.left = network, max_bytes
        self._calls: dict[int, list[Prepared | Sequence[Prepared]]] = {}

    def add(self, key: int, rows: Sequence[Prepared], at_once: int) -> None:
        """Add the windows of every branch, to be used in calls of `at_once` branches."""
        calls: list[Prepared | Sequence[Prepared]] = []
        for i in range(0, len(rows), at_once):
            ready = self._ready(rows[i : i + at_once])
            size = sum(value.nbytes for value in ready.values())
            kept = size <= self.left
            self.left -= size if kept else 0
            calls.append(ready if kept else rows[i : i + at_once])
        self._calls[key] = calls

    def calls(self, key: int) -> Iterator[Prepared]:
        """Prepared conditions of an entry, one dictionary per call."""
        for call in self._calls[key]:
            yield call if isinstance(call, dict) else self._ready(call)

    def _ready(self, rows: Sequence[Prepared]) -> Prepared:
        return self.network.prepare_for_sampling(concat_conditions(rows))
