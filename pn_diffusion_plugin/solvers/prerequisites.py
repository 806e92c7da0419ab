"""The trained models that an experiment builds on: found, or trained first by an experiment of their own.

That experiment is a process of its own (`dora run …`): a Hydra application cannot run inside another one.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from .. import paths
from .._compat import hydra_override
from ..errors import CheckpointError
from ..models import builders
from ..models.io.checkpoint import load_into, load_vae_weights
from ..models.mel_vae import MelVAE
from ..utils.files import exclusive
from .distributed import on_rank_zero

logger = logging.getLogger(__name__)


class EntryPoint(Protocol):
    """What is used here of `dora.hydra.HydraMain`."""

    def get_xp(self, argv: Sequence[str]) -> Any: ...

    def get_xp_history(self, xp: Any) -> list[dict[str, Any]]: ...


_main: EntryPoint | None = None


def set_entry_point(main: EntryPoint) -> None:
    """Set the function decorated by Dora that composes and runs experiments (`train.main`)."""
    global _main
    _main = main


def ensure_experiment(overrides: list[str], setting: str | None = None) -> Path:
    """Folder of the finished experiment with these overrides; it is run, or resumed, when it is not finished.

    When several processes need the same experiment at once, one runs it and the others wait for it.

    Args:
        overrides: arguments of `dora run`.
        setting: configuration key that can name a finished experiment instead, for the error message.

    Raises:
        CheckpointError: the configuration cannot be composed, or the run fails.
    """
    folder, finished = _find(overrides)
    if finished:
        return folder
    with exclusive(paths.outputs_dir() / "locks" / folder.name):
        if not _find(overrides)[1]:  # another process may have finished it in the meantime
            _run(overrides, setting)
    return folder


def _find(overrides: list[str]) -> tuple[Path, bool]:
    """Folder of an experiment, and whether all its epochs are done."""
    assert _main is not None, "train.py sets it"
    try:
        xp = _main.get_xp(overrides)
    except Exception as error:  # Hydra's and OmegaConf's own, many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"the configuration {shlex.join(overrides)} cannot be composed: {reason}"
        ) from error
    return Path(xp.folder), len(_main.get_xp_history(xp)) >= xp.cfg.optim.epochs


def _run(overrides: list[str], setting: str | None) -> None:
    command = shlex.join(["dora", "run", *overrides])
    logger.info("First: %s", command)
    # Not as a worker of this run, whose other workers it would wait for.
    environment = {**os.environ, "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    arguments = [sys.executable, "-m", "dora", "-P", "pn_diffusion_plugin", "run", *overrides]
    if subprocess.run(arguments, cwd=paths.base_dir(), env=environment).returncode:
        other = f", or set {setting} to a finished experiment" if setting else ""
        raise CheckpointError(
            f"`{command}` failed (its error is above) and this experiment needs its result: "
            f"correct the cause and run it again{other}"
        )


def ensure_trained(config: builders.Config, section: str, shared: tuple[str, ...]) -> str:
    """Source of a trained model: `SECTION.checkpoint`, or the folder of the experiment that trains it, run if needed.

    Args:
        section: `vae`, `vocoder` or `codec`.
        shared: parts of the configuration that the model's experiment must share; see `training_overrides`.
    """
    source: str = config[section]["checkpoint"]
    if source != "auto":
        return source
    overrides = training_overrides(config, section, shared)
    if not any(item.startswith("device=") for item in overrides):
        overrides.append(hydra_override("device", config["device"]))  # not part of the signature
    return str(on_rank_zero(lambda: ensure_experiment(overrides, f"{section}.checkpoint")))


def training_overrides(config: builders.Config, section: str, shared: tuple[str, ...]) -> list[str]:
    """Overrides of the experiment that trains a model: `SECTION.overrides`, and this experiment's values of the rest.

    With `shared` these are the sample rate and all values of those sections. A key that `SECTION.overrides` sets itself
    is left out. Setting a key to its default does not change the signature.
    """
    overrides = list(config[section]["overrides"])
    root = config["datasource"]["root"]  # interpolated into the overrides without quotes
    overrides = [
        hydra_override("datasource.root", root) if item == f"datasource.root={root}" else item
        for item in overrides
    ]
    given = {item.lstrip("+").split("=", 1)[0] for item in overrides}
    values = {"sample_rate": config["sample_rate"]} if shared else {}
    for name in shared:
        values.update({f"{name}.{key}": value for key, value in config[name].items()})
    return overrides + [hydra_override(key, value) for key, value in values.items() if key not in given]


def drop_null_keys(section: Any) -> Any:
    """A part of a configuration without null values, so that a key that an older version lacks counts as null."""
    if not isinstance(section, Mapping):
        return section
    return {key: value for key, value in section.items() if value is not None}


def load_frozen_vae(config: builders.Config, device: torch.device | str) -> tuple[MelVAE, str]:
    """The autoencoder of an experiment, in evaluation mode and without gradients, and its source.

    Raises:
        CheckpointError: there is none, or it was trained on another kind of mel spectrogram.
    """
    source = ensure_trained(config, "vae", ("mel", "mel_vae"))
    weights = load_vae_weights(source)
    for key in ("sample_rate", "mel", "mel_vae"):
        if drop_null_keys(weights.config[key]) != drop_null_keys(config[key]):
            raise CheckpointError(
                f"the autoencoder {source} was trained with {key}={weights.config[key]} "
                f"and this experiment has {config[key]}: use the same values"
            )
    vae = builders.build_vae(config)
    load_into(vae, weights.vae, f"the autoencoder {source}")
    return vae.to(device).eval().requires_grad_(False), source
