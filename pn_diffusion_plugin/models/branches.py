"""The branches of guidance as rows of one call of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from ..data.dance_condition import NEGATIVE, POSITIVE
from ..modules.guidance import Branch
from .latent_diffusion import Condition, LatentDiffusion

Prepared = dict[str, torch.Tensor]  # see `LatentDiffusion.prepare`


def prepare_branches(
    denoiser: LatentDiffusion, conditions: Mapping[str, Condition], branches: Sequence[Branch], columns: int
) -> list[Prepared]:
    """What the U-Net is told under every branch, each of as many rows as the conditions.

    Args:
        conditions: by stream.
        columns: of the latent.
    """
    of_branch: dict[Branch, Callable[[], Condition]] = {
        "positive": lambda: conditions[POSITIVE],
        "negative": lambda: conditions[NEGATIVE],
        "none": lambda: denoiser.null_condition(conditions[POSITIVE]),
    }
    return [
        denoiser.prepare(of_branch[name](), columns, branch=1 if name == "negative" else 0)
        for name in branches
    ]


def joined(rows: Sequence[Prepared]) -> Prepared:
    """Several of them as one, for one call."""
    return {key: torch.cat([one[key] for one in rows]) for key in rows[0]}
