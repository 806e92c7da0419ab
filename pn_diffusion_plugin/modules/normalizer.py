"""Per-dimension normalisation of a stream, with statistics of the training set stored in the model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class Normalizer(nn.Module):
    """Normalise the last dimension: (x − mean) / std. The identity before `fit`.

    Args:
        dim: size of the last dimension.
        max_value: results are clipped to ± this value, so that an outlier cannot dominate a clip.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, dim: int, max_value: float = 8.0) -> None:
        super().__init__()
        self.max_value = max_value
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x - self.mean) / self.std).clamp(-self.max_value, self.max_value)

    @torch.no_grad()
    def fit(self, batches: Iterable[torch.Tensor]) -> None:
        """Measure mean and standard deviation on tensors (…, dim); the standard deviation has a lower bound."""
        count, total, squares = (
            0,
            torch.zeros(len(self.mean), dtype=torch.float64),
            torch.zeros(len(self.mean), dtype=torch.float64),
        )
        for batch in batches:
            x = batch.reshape(-1, batch.shape[-1]).double().cpu()
            count += len(x)
            total += x.sum(dim=0)
            squares += (x * x).sum(dim=0)
        if count == 0:
            raise ValueError("no data to measure mean and standard deviation on: the training set is empty")
        mean = total / count
        std = (squares / count - mean**2).clamp(min=0).sqrt()
        floor = max(float(std.mean()) * 1e-2, 1e-4)
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=floor))
