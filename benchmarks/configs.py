"""Configurations of the benchmarks, composed as by `dora run`; needs Hydra but no audiocraft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pn_diffusion_plugin import paths

#: The published architecture, and the one that trains on a laptop, with a negative stream.
ARCHITECTURE = {
    "paper": ["solver=pn_diffusion/paper"],
    "mini": ["solver=pn_diffusion", "negative.latent=mirrored", "negative.alpha=0.6"],
}
#: The recommended configuration at the same compute.
RECOMMENDED = {"paper": ["solver=pn_diffusion/ours"], "mini": ["solver=pn_diffusion"]}


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration of `dora run OVERRIDES`, as plain containers."""
    with initialize_config_dir(str(paths.config_dir()), version_base="1.3"):
        config = compose("config", list(overrides))
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
