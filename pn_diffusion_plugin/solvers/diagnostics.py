"""What a mean over a stage hides: the loss by timestep, and how much the dance counts."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .distributed import WeightedMeans


class ClipAverages:
    """Weighted means over all clips of a stage and all workers, of values that not every batch has.

    >>> averages = ClipAverages()
    >>> averages.update({"loss": torch.tensor([1.0, 3.0]), "late": torch.tensor([1.0, 3.0])})
    >>> averages.update({"late": torch.tensor([5.0, 9.0])}, weight=torch.tensor([1.0, 0.0]))
    >>> averages.compute()
    {'late': 3.0, 'loss': 2.0}
    """

    def __init__(self) -> None:
        # Of values times weights, and of weights: no waiting for a GPU.
        self._sums: dict[str, torch.Tensor] = {}

    def update(self, values: Mapping[str, torch.Tensor], weight: torch.Tensor | None = None) -> None:
        """Add values (B,) by name; NaN, or a weight (B,) of 0, leaves a clip out."""
        for name, value in values.items():
            value = value.detach().double()
            counted = (~value.isnan()).to(value) * (1 if weight is None else weight.to(value))
            value = value.nan_to_num()
            sums = torch.stack([(value * counted).sum(), counted.sum()])
            self._sums[name] = self._sums[name] + sums if name in self._sums else sums

    def compute(self) -> dict[str, float]:
        """Means by name, sorted; without those of weight 0 in all. Every worker must ask."""
        means = WeightedMeans()
        for name, sums in self._sums.items():
            total, weight = sums.tolist()
            means.sums[name] = total, weight
        return dict(sorted(means.compute(everywhere=True).items()))


QUARTERS = 4


def update_by_timestep(
    averages: ClipAverages, losses: Mapping[str, torch.Tensor], t: torch.Tensor, num_train_timesteps: int
) -> None:
    """Count losses (B,) under the quarter of the timesteps that t (B,) lies in: `NAME_quarter1` … `NAME_quarter4`.

    The look of a latent is decided at low noise, where the beats lie at high noise: a model that hears the dance
    shows it in the last quarter, the noisiest, first.
    """
    quarter = QUARTERS * t // num_train_timesteps
    for q in range(QUARTERS):
        named = {f"{name}_quarter{q + 1}": loss for name, loss in losses.items()}
        averages.update(named, (quarter == q).float())
