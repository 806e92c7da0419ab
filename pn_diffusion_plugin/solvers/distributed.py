"""Several workers, or several parts of a batch one after the other, that do what one worker does at once.

The clips of an update are numbered, 0 … clips - 1. Worker r of W sees the clips r, r + W, …; of these, part m of M
sees the first and every M-th after it. Whoever draws random numbers for an update draws them for all its clips, from
the same seed everywhere, and keeps its own (`Share.of`): so noise, timesteps and dropped conditions are the same
however the update is divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import flashy
import torch
from torch import distributed
from torch.utils.data import Sampler

from ..errors import UserError

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # a missing corpus or autoencoder may take days; who dies is noticed at once
_patient: tuple[Any, Any] | None = None  # (the default group it belongs to, the group)


@dataclass(frozen=True)
class Share:
    """Which clips of an update somebody sees: `first`, `first + step`, … of `clips`.

    >>> Share(first=1, step=2, clips=5).of(torch.arange(5))
    tensor([1, 3])
    """

    first: int
    step: int
    clips: int

    def __len__(self) -> int:
        return max(0, math.ceil((self.clips - self.first) / self.step))

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        """The rows (B, …) of these clips, of a tensor (clips, …) over the whole update."""
        if len(whole) != self.clips:
            raise ValueError(
                f"{len(whole)} rows were drawn for an update of {self.clips} clips: draw one a clip"
            )
        return whole[self.first :: self.step]


class ShareSampler(Sampler[int]):
    """This worker's numbers of those that `source` gives: all workers' batches together are one worker's batch.

    A random `source` must be in the same state on every worker (`PluginSolver.seed_epoch`).
    """

    def __init__(self, source: Sampler[int], total: int) -> None:
        self.source, self.total = source, total
        self.rank, self.world = flashy.distrib.rank(), flashy.distrib.world_size()

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.source), self.rank, None, self.world)

    def __len__(self) -> int:
        return len(Share(self.rank, self.world, self.total))

    def clips(self, index: int, batch_size: int) -> int:
        """Clips that batch `index` has on all workers together, where a worker's batches are of `batch_size`."""
        whole = batch_size * self.world
        return min(whole, self.total - index * whole)


class WeightedMeans:
    """Means by name of a stage's metrics, over steps, parts and workers; none need have every metric.

    >>> means = WeightedMeans()
    >>> means.update({"loss": 1.0}, weight=0.75)
    >>> means.update({"loss": 5.0, "other": 2.0}, weight=0.25)
    >>> means.compute()
    {'loss': 2.0, 'other': 2.0}
    """

    def __init__(self) -> None:
        # name → (weighted sum, weight); a sum of tensors stays on their device until somebody asks
        self.sums: dict[str, tuple[Any, float]] = {}

    def update(self, metrics: Mapping[str, Any], weight: float = 1.0) -> None:
        """Add scalars; `weight` is the share of an update's clips that they were measured on."""
        self._add({name: (weight * _exact(value), weight) for name, value in metrics.items()})

    def _add(self, sums: Mapping[str, tuple[Any, float]]) -> None:
        for name, (total, weight) in sums.items():
            before = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = (before[0] + total, before[1] + weight)

    def compute(self, everywhere: bool = False) -> dict[str, float]:
        """The means, without those of weight 0; `everywhere`: over all workers, who must all ask."""
        merged = WeightedMeans()
        merged.sums = {name: (float(total), weight) for name, (total, weight) in self.sums.items()}
        if everywhere and flashy.distrib.is_distributed():
            gathered: list[Any] = [None] * flashy.distrib.world_size()
            distributed.all_gather_object(gathered, merged.sums)
            merged = WeightedMeans()
            for sums in gathered:
                merged._add(sums)
        return {name: total / weight for name, (total, weight) in merged.sums.items() if weight}


def _exact(value: Any) -> Any:
    """A scalar in double precision, where it is: (on a GPU) nobody waits for it."""
    return value.detach().double() if isinstance(value, torch.Tensor) else float(value)


def gather_clips(mine: torch.Tensor) -> torch.Tensor:
    """(B, …) of every worker as one (B_0 + B_1 + …, …), worker after worker; B may differ."""
    if not flashy.distrib.is_distributed():
        return mine
    gathered: list[Any] = [None] * flashy.distrib.world_size()
    distributed.all_gather_object(gathered, mine.cpu())
    return torch.cat(gathered).to(mine.device)


def patient_group() -> Any:
    """A process group that waits for days, beside the training's own, which gives up on a worker that hangs.

    Every worker must make it at the same place: `train.py` does when it starts.
    """
    global _patient
    default = distributed.group.WORLD
    if _patient is None or _patient[0] is not default:
        _patient = (default, distributed.new_group(backend="gloo", timeout=_PATIENCE))
    return _patient[1]


def on_rank_zero(make: Callable[[], T]) -> T:
    """Let the first worker alone make something, however long it takes; every worker gets the result.

    Raises:
        UserError: `make` did; on every worker.
    """
    if not flashy.distrib.is_distributed():
        return make()
    outcome: list[Any] = [None, None]
    if flashy.distrib.is_rank_zero():
        try:
            outcome[0] = make()
        except UserError as error:
            outcome[1] = error
    distributed.broadcast_object_list(outcome, src=0, group=patient_group(), device=torch.device("cpu"))
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def wait_for_all() -> None:
    """Wait, however long it takes, until every worker has come here."""
    if flashy.distrib.is_distributed():
        distributed.barrier(group=patient_group())
