"""The branches of guidance as rows of calls of the network, and what is kept of them over the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from ..data.condition import NEGATIVE, POSITIVE
from ..modules.guidance import Branch
from .latent_diffusion import Condition, LatentDiffusion

Prepared = dict[str, torch.Tensor]  # see `LatentDiffusion.prepare`


def prepare_branches(
    denoiser: LatentDiffusion, conditions: Mapping[str, Condition], branches: Sequence[Branch], columns: int
) -> list[Prepared]:
    """What the U-Net is told under every branch, each of as many rows as the conditions.

    Args:
        conditions: by stream.
        columns: of the latent.
    """
    of_branch: dict[Branch, Callable[[], Condition]] = {
        "positive": lambda: conditions[POSITIVE],
        "negative": lambda: conditions[NEGATIVE],
        "none": lambda: denoiser.null_condition(conditions[POSITIVE]),
    }
    return [
        denoiser.prepare(of_branch[name](), columns, branch=1 if name == "negative" else 0)
        for name in branches
    ]


def concat_conditions(rows: Sequence[Prepared]) -> Prepared:
    """Several of them as one, for one call."""
    return {key: torch.cat([one[key] for one in rows]) for key in rows[0]}


class ConditionCache:
    """What the U-Net is told of every window at every step: keys and values projected once.

    They take more room than the tokens they are made of (a megabyte a window and branch in a big network), so only
    the first are kept: those of later windows are projected at every step, and memory does not grow with the length.

    Args:
        network: does the steps.
        most: bytes to be kept, at most.
    """

    def __init__(self, network: LatentDiffusion, most: int) -> None:
        self.network, self.left = network, most
        self._calls: dict[int, list[Prepared | Sequence[Prepared]]] = {}

    def add(self, key: int, rows: Sequence[Prepared], at_once: int) -> None:
        """Windows under every branch, for calls of so many branches at once."""
        calls: list[Prepared | Sequence[Prepared]] = []
        for i in range(0, len(rows), at_once):
            ready = self._ready(rows[i : i + at_once])
            size = sum(value.nbytes for value in ready.values())
            kept = size <= self.left
            self.left -= size if kept else 0
            calls.append(ready if kept else rows[i : i + at_once])
        self._calls[key] = calls

    def calls(self, key: int) -> Iterator[Prepared]:
        """What `add` was given under this key, a dictionary a call."""
        for call in self._calls[key]:
            yield call if isinstance(call, dict) else self._ready(call)

    def _ready(self, rows: Sequence[Prepared]) -> Prepared:
        return self.network.prepare_for_sampling(concat_conditions(rows))
