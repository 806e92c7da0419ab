"""The negative stream against its positive-only twin, three seeds each, for benchmarks/negatives.py.

    dora run solver=pn_diffusion optim.epochs=4 vae.checkpoint=mini dataset.train.augment.use=true \\
        negative.latent=contrast negative.cue=reversed negative.alpha=0.95 sampling.guidance=1 seed=1

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import full, negatives
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    negatives(*full(launcher))
