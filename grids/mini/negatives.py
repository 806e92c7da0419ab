"""The negative stream against its positive-only twin, three seeds each, for benchmarks/paired.py.

    dora run solver=pn_diffusion optim.epochs=4 vae.checkpoint=mini dataset.train.augment.use=true \\
        negative.latent=contrast negative.cue=shifted negative.alpha=0.9 sampling.guidance=1 seed=1

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from .._cells import mini, negatives
from .._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    bound, batch_size = mini(launcher)
    negatives(bound.bind({"vae.checkpoint": "mini"}), batch_size, clips=(50,))
