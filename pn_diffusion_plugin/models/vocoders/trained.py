"""Load and export trained vocoders, on their own or as a part of a model.

A vocoder is trained for a mel front end (`dora run solver=vocoder`) and fits every model with the same one. An exported
model contains it as `vocoder.safetensors`, in half precision, with its configuration under `vocoder` in `config.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError
from ...modules.mel import MelSpectrogram
from .. import builders
from ..io.checkpoint import (
    VOCODER_FILE,
    build_with_state,
    config_errors,
    load_experiment,
    read_config,
    read_tensors,
    resolve_checkpoint,
)
from . import NETWORKS
from .neural import NeuralVocoder

_EXPORTED = "config.yaml"


@dataclass(frozen=True)
class TrainedVocoder:
    """Weights and configuration of a vocoder.

    Attributes:
        source: where it was loaded from, for messages.
        config: `sample_rate`, `mel` and the network's section of its training.
        refinement: iterations of Griffin-Lim after the network.
        state: state dict of the network.
        network: name of the network, one of `NETWORKS`.
    """

    source: str
    config: Mapping[str, Any]
    refinement: int
    state: Mapping[str, torch.Tensor]
    network: str = "vocos"

    def build(self, config: builders.Config, mel: MelSpectrogram) -> NeuralVocoder:
        """Build the vocoder for a model, on the device of its front end.

        Raises:
            CheckpointError: it was trained for another front end, or its weights are another network's.
        """
        wanted = builders.build_mel(config).config()
        with config_errors(self.source):
            known = builders.build_mel(self.config).config()
        for key, value in known.items():
            if value != wanted[key]:
                raise CheckpointError(
                    f"the vocoder {self.source} was trained with mel.{key}={value} and the model has {wanted[key]}: "
                    "train one with `dora run solver=vocoder` and the model's mel"
                )
        with config_errors(self.source):
            device = mel.window.device
            network = build_with_state(
                lambda _: builders.build_vocoder_network(self.config, mel, self.network),
                self.state,
                f"the vocoder {self.source}",
                device,
            )
            vocoder = NeuralVocoder(network, self.refinement)
        return vocoder.to(device).eval().requires_grad_(False)

    def settings(self) -> dict[str, Any]:
        """The section `vocoder` of a model's configuration."""
        section = dict(self.config[self.network])
        return {"name": self.network, "refinement": self.refinement, self.network: section}

    def half(self) -> dict[str, torch.Tensor]:
        """State dict in half precision, for export; the difference is not audible."""
        return {key: value.half() for key, value in self.state.items()}


def load_vocoder(name: str | Path) -> TrainedVocoder:
    """Load the vocoder of a `solver=vocoder` experiment, or of an exported model that has one.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    folder = resolve_checkpoint(name)
    if (folder / _EXPORTED).is_file():
        config, sha256 = read_config(folder)
        settings = config.get("vocoder")
        settings = settings if isinstance(settings, dict) else {}
        network = str(settings.get("name"))
        if network not in NETWORKS or network not in settings:
            raise CheckpointError(
                f"the exported model {name} has no vocoder of its own: give a `solver=vocoder` experiment, or a model "
                "exported with --vocoder"
            )
        state = read_tensors(folder / VOCODER_FILE, sha256.get(VOCODER_FILE))
        return _trained(str(name), {**config, network: settings[network]}, settings, state)
    experiment = load_experiment(folder, "vocoder")
    config = experiment["xp.cfg"]
    return _trained(str(name), config, config["vocoder"], experiment["best_state"]["model"])


def _trained(
    name: str, config: Mapping[str, Any], settings: Mapping[str, Any], state: Mapping[str, torch.Tensor]
) -> TrainedVocoder:
    network = settings.get("name", "vocos")
    keys = ("sample_rate", "mel", network)
    if missing := [key for key in keys if key not in config]:
        raise CheckpointError(
            f"the configuration of {name} lacks {', '.join(missing)}: export the model again"
        )
    with config_errors(name):
        refinement = int(settings.get("refinement", 0))
    return TrainedVocoder(name, {key: config[key] for key in keys}, refinement, state, network)
