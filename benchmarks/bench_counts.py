"""How often the large parts of a model are called, on how many rows, and what it costs in FLOPs.

FLOPs are those that `torch.utils.flop_counter` sees, two a multiply-add: matrix products, convolutions, attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pn_diffusion_plugin.models.latent_diffusion import LatentDiffusion
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.modules.dance_streams import DanceStreams

from .bench_contenders import Counts, Use


def parts_of(provider: DanceStreams, denoiser: LatentDiffusion, vae: MelVAE) -> dict[str, nn.Module]:
    """The parts worth counting, by name."""
    parts: dict[str, nn.Module | None] = {
        "U-Net": denoiser.unet,
        "ST-GCN": provider.dance.encoder.st_gcn,
        "VAE encoder": vae.autoencoder.encoder,
        "VAE decoder": vae.autoencoder.decoder,
    }
    return {name: part for name, part in parts.items() if part is not None}


@contextmanager
def counting(parts: Mapping[str, nn.Module]) -> Iterator[Counts]:
    """Count what happens in the block; nothing in it is compiled, and attention is counted as its products.

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
        # The CPU's own attention kernel is unknown to the counter.
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
