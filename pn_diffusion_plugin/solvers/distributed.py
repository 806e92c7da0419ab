"""One update computed by several workers, or in several parts one after the other, as if by one worker at once.

The clips of an update are numbered 0 … clips - 1. Worker r of W gets the clips r, r + W, …; part m of M of its batch
is the clips m, m + M, … of these. Random numbers are drawn for all clips of the update, from the same seed on every
worker, and each keeps those of its clips (`Share.of`): noise, timesteps and dropped conditions do not depend on how
the update is divided.
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

_TIMEOUT = timedelta(days=30)  # preparing a corpus or training an autoencoder may take days
_patient: tuple[Any, Any] | None = None  # (default process group, the group that belongs to it)


@dataclass(frozen=True)
class Share:
    """The clips `first`, `first + step`, … of an update of `clips` clips.

    >>> Share(first=1, step=2, clips=5).of(torch.arange(5))
    tensor([1, 3])
    """

    first: int
    step: int
    clips: int

    def __len__(self) -> int:
        return max(0, math.ceil((self.clips - self.first) / self.step))

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        """Rows (B, …) of these clips, from a tensor (clips, …) of the whole update."""
        if len(whole) != self.clips:
            raise ValueError(
                f"{len(whole)} rows were drawn for an update of {self.clips} clips: draw one per clip"
            )
        return whole[self.first :: self.step]


class ShareSampler(Sampler[int]):
    """This worker's share of the indices of `source`: the batches of all workers together are one worker's batch.

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
        """Clips in batch `index` of all workers together, with `batch_size` clips per worker."""
        whole = batch_size * self.world
        return min(whole, self.total - index * whole)


class WeightedMeans:
    """Means by name of a stage's metrics, over steps, parts and workers; not all of them need have every metric.

    >>> means = WeightedMeans()
    >>> means.update({"loss": 1.0}, weight=0.75)
    >>> means.update({"loss": 5.0, "other": 2.0}, weight=0.25)
    >>> means.compute()
    {'loss': 2.0, 'other': 2.0}
    """

    def __init__(self) -> None:
        # name → (weighted sum, weight); a sum of tensors stays on their device until `compute`
        self.sums: dict[str, tuple[Any, float]] = {}

    def update(self, metrics: Mapping[str, Any], weight: float = 1.0) -> None:
        """Add scalars; `weight` is the fraction of an update's clips that they were measured on."""
        self._add({name: (weight * _double(value), weight) for name, value in metrics.items()})

    def _add(self, sums: Mapping[str, tuple[Any, float]]) -> None:
        for name, (total, weight) in sums.items():
            before = self.sums.get(name, (0.0, 0.0))
            self.sums[name] = (before[0] + total, before[1] + weight)

    def compute(self, everywhere: bool = False) -> dict[str, float]:
        """The means, without those of weight 0. `everywhere`: over all workers, each of which must call it."""
        merged = WeightedMeans()
        merged.sums = {name: (float(total), weight) for name, (total, weight) in self.sums.items()}
        if everywhere and flashy.distrib.is_distributed():
            gathered: list[Any] = [None] * flashy.distrib.world_size()
            distributed.all_gather_object(gathered, merged.sums)
            merged = WeightedMeans()
            for sums in gathered:
                merged._add(sums)
        return {name: total / weight for name, (total, weight) in merged.sums.items() if weight}


def _double(value: Any) -> Any:
    """A scalar in double precision; a tensor stays on its device, so that there is no wait for it."""
    return value.detach().double() if isinstance(value, torch.Tensor) else float(value)


class ClipAverages:
    """Means over all clips of a stage and all workers, of values that not every batch has.

    >>> averages = ClipAverages()
    >>> averages.update({"loss": torch.tensor([1.0, 3.0]), "late": torch.tensor([1.0, 3.0])})
    >>> averages.update({"late": torch.tensor([5.0, 9.0])}, weight=torch.tensor([1.0, 0.0]))
    >>> averages.compute()
    {'late': 3.0, 'loss': 2.0}
    """

    def __init__(self) -> None:
        # name → (sum of values times weights, sum of weights) as one tensor: no wait for a GPU
        self._sums: dict[str, torch.Tensor] = {}

    def update(self, values: Mapping[str, torch.Tensor], weight: torch.Tensor | None = None) -> None:
        """Add values (B,) by name; NaN, or a weight (B,) of 0, leaves a clip out."""
        for name, value in values.items():
            value = value.detach().double()
            counted = (~value.isnan()).to(value) * (1 if weight is None else weight.to(value))
            sums = torch.stack([(value.nan_to_num() * counted).sum(), counted.sum()])
            self._sums[name] = self._sums[name] + sums if name in self._sums else sums

    def compute(self) -> dict[str, float]:
        """Means by name, sorted, without those of weight 0. Every worker must call it."""
        means = WeightedMeans()
        for name, sums in self._sums.items():
            total, weight = sums.tolist()
            means.sums[name] = total, weight
        return dict(sorted(means.compute(everywhere=True).items()))


def gather_clips(mine: torch.Tensor) -> torch.Tensor:
    """Concatenate the tensors (B, …) of all workers, in order of rank; B may differ."""
    if not flashy.distrib.is_distributed():
        return mine
    gathered: list[Any] = [None] * flashy.distrib.world_size()
    distributed.all_gather_object(gathered, mine.cpu())
    return torch.cat(gathered).to(mine.device)


def patient_group() -> Any:
    """A process group with a timeout of days, beside the training's own, whose timeout finds a hanging worker.

    Every worker must create it at the same point: `train.py` does at its start.
    """
    global _patient
    default = distributed.group.WORLD
    if _patient is None or _patient[0] is not default:
        _patient = (default, distributed.new_group(backend="gloo", timeout=_TIMEOUT))
    return _patient[1]


def on_rank_zero(make: Callable[[], T]) -> T:
    """Call `make` on the first worker only, however long it takes, and return its result on every worker.

    Raises:
        UserError: `make` raised it; on every worker.
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
    """Wait, however long it takes, until every worker has called this."""
    if flashy.distrib.is_distributed():
        distributed.barrier(group=patient_group())
