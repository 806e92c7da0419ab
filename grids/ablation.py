"""Ablation: visual, motion or both; with and without negatives; pooled, tokens or aligned.

    dora run solver=pn_diffusion/ours dset=dance/aistpp device=cuda autocast=true negative.latent=mirrored \\
        negative.alpha=1 conditioning.visual_out=0 conditioning.temporal=tokens sampling.guidance=1 \\
        sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import ablation, full
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    ablation(*full(launcher))
