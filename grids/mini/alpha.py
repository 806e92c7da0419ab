"""Weight of the positive stream, for both readings (the paper's Fig. 3).

    dora run solver=pn_diffusion optim.epochs=4 negative.alpha=0.3 negative.latent=shared dataset.batch_size=8 \\
        sampling.guidance=1 sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from .._cells import alpha, mini
from .._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    alpha(*mini(launcher))
