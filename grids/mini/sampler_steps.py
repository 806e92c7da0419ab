"""Samplers and numbers of steps: quality by number of network evaluations.

The first cell trains the model and the others evaluate it: on a cluster submit the first one alone and wait for it
(`dora grid mini.sampler_steps 0`).

    dora run solver=pn_diffusion optim.epochs=4 negative.latent=mirrored negative.alpha=1 sampling.sampler=dpm++ \\
        sampling.steps=16 continue_from=//sig/SIG execute_only=evaluate sampling.guidance=1

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from .._cells import mini, sampler_steps
from .._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    sampler_steps(*mini(launcher))
