"""PN-Diffusion, its positive-only twin, the paper's form, a pooled condition and dance-MusicGen, beside null rows.

    dora run solver=pn_diffusion/ours dset=dance/aistpp device=cuda autocast=true seed=1 sampling.guidance=1 \\
        sampling.steps=30

is one of its cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import baselines, full
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    baselines(
        *full(launcher),
        launcher.bind({"solver": "dance_musicgen", "dset": "dance/aistpp", "device": "cuda"}).slurm_(gpus=1),
    )
