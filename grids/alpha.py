"""Weight of the positive stream, for both readings (the paper's Fig. 3).

    dora run solver=pn_diffusion/ours dset=dance/aistpp device=cuda autocast=true negative.alpha=0.3 \\
        negative.latent=shared dataset.batch_size=32 sampling.guidance=1 sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import alpha, full
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    alpha(*full(launcher))
