"""Calls of the large parts of a model, their rows, and FLOPs.

FLOPs are those that `torch.utils.flop_counter` counts, two a multiply-add: matrix products, convolutions, attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:  # a contender's process need not import them
    from pn_diffusion_plugin.models.latent_diffusion import LatentDiffusion
    from pn_diffusion_plugin.models.mel_vae import MelVAE
    from pn_diffusion_plugin.modules.conditioners import DanceConditioningProvider


@dataclass
class Use:
    """Of one part: calls, rows of its inputs together, FLOPs of its forward passes."""

    calls: int = 0
    rows: int = 0
    flops: int = 0


@dataclass
class Counts:
    """Of a piece of work; `flops` counts all of it, backward passes included."""

    flops: int = 0
    parts: dict[str, Use] = field(default_factory=dict)

    def times(self, n: int) -> Counts:
        """The same work n times."""
        parts = {name: Use(use.calls * n, use.rows * n, use.flops * n) for name, use in self.parts.items()}
        return Counts(self.flops * n, parts)

    def __add__(self, other: Counts) -> Counts:
        parts = {
            name: Use(use.calls + more.calls, use.rows + more.rows, use.flops + more.flops)
            for (name, use), more in zip(self.parts.items(), other.parts.values(), strict=True)
        }
        return Counts(self.flops + other.flops, parts)


def parts_of(
    provider: DanceConditioningProvider, denoiser: LatentDiffusion, vae: MelVAE
) -> dict[str, nn.Module]:
    """The parts that are counted, by name."""
    parts: dict[str, nn.Module | None] = {
        "U-Net": denoiser.unet,
        "ST-GCN": provider.dance.encoder.st_gcn,
        "VAE encoder": vae.autoencoder.encoder,
        "VAE decoder": vae.autoencoder.decoder,
    }
    return {name: part for name, part in parts.items() if part is not None}


@contextmanager
def counting(parts: Mapping[str, nn.Module]) -> Iterator[Counts]:
    """Count the work in the block; nothing in it is compiled, and attention runs as matrix products.

    >>> layer = nn.Linear(7, 5)
    >>> with counting({"layer": layer}) as counts:
    ...     _ = layer(torch.ones(3, 7))
    >>> counts.parts["layer"]
    Use(calls=1, rows=3, flops=210)
    """
    counts = Counts(parts={name: Use() for name in parts})
    counter = FlopCounterMode(display=False)
    handles = []
    for name, module in parts.items():
        before, after = _hooks(counts.parts[name], counter)
        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        # The counter does not know the attention kernel of CPUs.
        with torch.compiler.set_stance("force_eager"), sdpa_kernel(SDPBackend.MATH), counter:
            yield counts
    finally:
        for handle in handles:
            handle.remove()
        counts.flops = counter.get_total_flops()


def _hooks(
    use: Use, counter: FlopCounterMode
) -> tuple[Callable[[nn.Module, Any], None], Callable[[nn.Module, Any, Any], None]]:
    start = 0

    def before(module: nn.Module, arguments: Any) -> None:
        nonlocal start
        start = counter.get_total_flops()

    def after(module: nn.Module, arguments: Any, output: Any) -> None:
        use.calls += 1
        use.rows += len(arguments[0])
        use.flops += counter.get_total_flops() - start

    return before, after
