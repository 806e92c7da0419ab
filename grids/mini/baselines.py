"""PN-Diffusion, without negatives, as published, with a pooled condition, and dance-MusicGen.

    dora run solver=pn_diffusion optim.epochs=4 negative.latent=mirrored negative.alpha=1 seed=1 \\
        sampling.guidance=1 sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from .._cells import baselines, mini
from .._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    baselines(*mini(launcher), launcher.bind({"solver": "dance_musicgen"}))
