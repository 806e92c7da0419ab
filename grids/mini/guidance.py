"""Negative and classifier-free guidance at equal numbers of network evaluations.

The first cell trains the model and the others evaluate it: on a cluster submit the first one alone and wait for it
(`dora grid mini.guidance 0`).

    dora run solver=pn_diffusion optim.epochs=4 \\
        negative.alpha=0.6 negative.latent=shared negative.cue=shifted dataset.batch_size=8 \\
        sampling.guidance=4 sampling.steps=24 continue_from=//sig/SIG execute_only=evaluate

is one of the cells.
"""

from __future__ import annotations

from typing import Any

from .._cells import guidance, mini
from .._explorers import DanceExplorer


@DanceExplorer
def explorer(launcher: Any) -> None:
    """Launch the cells."""
    guidance(*mini(launcher))
