"""Width of the U-Net x number of training clips.

    dora run solver=pn_diffusion optim.epochs=4 negative.latent=mirrored negative.alpha=1 \\
        unet.channels=[16,32,32] dataset.train.clips=50 sampling.guidance=1 sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from .._cells import mini, scale
from .._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    scale(*mini(launcher), [[16, 32, 32], [32, 64, 64], [48, 96, 96]], [50, 100, 200])
