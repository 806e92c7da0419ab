"""Per-dimension mean and standard deviation of a stream, measured on the training set, stored with the model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class Normalizer(nn.Module):
    """x → (x − mean) / std over the last dimension. Identity until `fit` was called.

    Args:
        dim: size of the last dimension.
        max_value: results are clipped to ± this, so that one wild detection cannot swamp a clip.
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
        """Measure on tensors (…, dim); dimensions that hardly vary get the smallest reasonable spread."""
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
