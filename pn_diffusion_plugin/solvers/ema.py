"""audiocraft's moving average of the weights, in one operation over all tensors instead of two a tensor."""

from __future__ import annotations

import torch
from audiocraft.optim.ema import ModuleDictEMA


class ForeachEMA(ModuleDictEMA):
    """A `ModuleDictEMA` whose step need not look for the tensors again, and never waits for the device.

    Same state and, to rounding, same numbers: e ← e + w (x − e), with w = 1 − decay, greater in the first steps.
    Where the average lives on another device (`device`), the weights are copied there first.
    """

    def _init(self) -> None:
        super()._init()
        self._averages: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        for name, module in self.module_dict.items():
            tensors = dict([*module.named_buffers(), *module.named_parameters()])
            for key, average in self.state[name].items():
                self._averages.append(average)
                self._values.append(tensors[key])

    @torch.no_grad()
    def step(self) -> None:
        """Take the weights as they are now into the average."""
        if self.unbias:
            self.count = self.count * self.decay + 1  # type: ignore[assignment]
        weight = 1 / self.count if self.unbias else 1 - self.decay
        values = [v.to(average.device) for v, average in zip(self._values, self._averages, strict=True)]
        torch._foreach_lerp_(self._averages, values, weight)
