"""The negative stream against its positive-only twin, three seeds each, for benchmarks/paired.py.

    dora run solver=pn_diffusion/ours dset=dance/aistpp device=cuda autocast=true dataset.train.augment.use=true \\
        negative.latent=contrast negative.alpha=0.9 negative.cue=shifted sampling.guidance=1 sampling.steps=4 seed=1

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import full, negatives
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    negatives(*full(launcher), clips=(100,))
