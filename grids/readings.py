"""Readings of the objective x negative cues, for benchmarks/guidance_study.py.

    dora run solver=pn_diffusion/ours dset=dance/aistpp device=cuda autocast=true negative.alpha=0.6 \\
        negative.latent=shared negative.cue=shifted dataset.batch_size=32 sampling.guidance=1 sampling.steps=30

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from ._cells import full, readings
from ._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    readings(*full(launcher))
