"""The trained autoencoder that an experiment builds on: found, or trained first; the same kind of mel picture."""

from __future__ import annotations

import json
from typing import Any

import torch

from ..errors import CheckpointError
from ..models import builders
from ..models.io.checkpoint import load_into, load_vae_weights
from ..models.mel_vae import MelVAE
from .distributed import on_rank_zero
from .prerequisites import ensure_experiment


def vae_overrides(config: builders.Config) -> list[str]:
    """Overrides of the run that trains the autoencoder: those of the configuration, and this experiment's own mel.

    What `vae.overrides` names itself is left as it is there. Naming a value that is the default anyway changes nothing:
    the run's signature is the same.
    """
    return own_mel(list(config["vae"]["overrides"]), config, ("mel", "mel_vae"))


def own_mel(overrides: list[str], config: builders.Config, sections: tuple[str, ...]) -> list[str]:
    """Overrides with the sample rate and the values of these sections, but for what they name themselves."""
    given = {item.lstrip("+").split("=", 1)[0] for item in overrides}
    wanted = {"sample_rate": config["sample_rate"]}
    for section in sections:
        wanted.update({f"{section}.{key}": value for key, value in config[section].items()})
    return overrides + [f"{key}={json.dumps(value)}" for key, value in wanted.items() if key not in given]


def told(section: Any) -> Any:
    """A part of a configuration without what is null: keys that earlier versions did not have are then as missing."""
    if not isinstance(section, dict):
        return section
    return {key: value for key, value in section.items() if value is not None}


def made_first(source: str, overrides: list[str], device: str) -> str:
    """Folder of the run with these overrides, run first when it is missing, where `source` is `auto`."""
    if source != "auto":
        return source
    if not any(item.startswith("device=") for item in overrides):
        overrides = [*overrides, f"device={device}"]  # no part of the signature
    return str(on_rank_zero(lambda: ensure_experiment(overrides)))


def load_frozen_vae(config: builders.Config, device: torch.device | str) -> tuple[MelVAE, str]:
    """The autoencoder that `vae.checkpoint` names, and where it was found.

    Raises:
        CheckpointError: there is none, or it was trained on another kind of picture.
    """
    source = made_first(config["vae"]["checkpoint"], vae_overrides(config), config["device"])
    weights = load_vae_weights(source)
    for key in ("sample_rate", "mel", "mel_vae"):
        if told(weights.config[key]) != told(config[key]):
            raise CheckpointError(
                f"the autoencoder {source} was trained with {key}={weights.config[key]} "
                f"and this experiment has {config[key]}: make them alike"
            )
    vae = builders.build_vae(config)
    load_into(vae, weights.vae, f"the autoencoder {source}")
    return vae.to(device).eval().requires_grad_(False), source
