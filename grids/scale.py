"""Width of the U-Net x number of training clips.

    dora run solver=pn_diffusion/ours dset=dance/aistpp device=cuda autocast=true negative.latent=mirrored \\
        negative.alpha=1 unet.channels=[64,128,256,256] dataset.train.clips=100 sampling.guidance=1 \\
        sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import full, scale
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    scale(*full(launcher), [[64, 128, 256, 256], [128, 256, 512, 512], [192, 384, 768, 768]], [100, 300, 900])
