"""A trained vocoder by its name, apart from any model and as a part of one.

It is trained for a mel front end (`dora run solver=vocoder`) and fits every model with the same one. An exported model
holds it as `vocoder.safetensors`, in half precision, with what makes it under `vocoder` in `config.yaml`.
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
    built,
    load_experiment,
    made_by_configuration,
    read_config,
    read_tensors,
    resolve_checkpoint,
)
from .neural import NeuralVocoder

_EXPORTED = "config.yaml"


@dataclass(frozen=True)
class TrainedVocoder:
    """Weights of a vocoder and what makes it.

    Attributes:
        name: where they come from, for messages.
        config: `builders.VOCODER_KEYS` of its training.
        refinement: iterations of Griffin-Lim after the network.
        state: the network's.
    """

    name: str
    config: Mapping[str, Any]
    refinement: int
    state: Mapping[str, torch.Tensor]

    def build(self, config: builders.Config, mel: MelSpectrogram) -> NeuralVocoder:
        """The vocoder of a model, on its front end's device.

        Raises:
            CheckpointError: it was trained for another front end, or its weights are another network's.
        """
        wanted = builders.build_mel(config).config()
        with made_by_configuration(self.name):
            known = builders.build_mel(self.config).config()
        for key, value in known.items():
            if value != wanted[key]:
                raise CheckpointError(
                    f"the vocoder {self.name} was trained for pictures with {key}={value} and the model makes them "
                    f"with {wanted[key]}: train one with `dora run solver=vocoder` and the model's mel"
                )
        with made_by_configuration(self.name):
            device = mel.window.device
            network = built(
                lambda _: builders.build_vocos(self.config, mel),
                self.state,
                f"the vocoder {self.name}",
                device,
            )
            vocoder = NeuralVocoder(network, self.refinement)
        return vocoder.to(device).eval().requires_grad_(False)

    def settings(self) -> dict[str, Any]:
        """What a model's configuration says of it, under `vocoder`."""
        return {"name": "vocos", "refinement": self.refinement, "vocos": dict(self.config["vocos"])}

    def half(self) -> dict[str, torch.Tensor]:
        """Weights as they are exported: half as many bytes, and no difference to be heard."""
        return {key: value.half() for key, value in self.state.items()}


def load_vocoder(name: str | Path) -> TrainedVocoder:
    """The vocoder of a `solver=vocoder` experiment, or of an exported model that has one.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    folder = resolve_checkpoint(name)
    if (folder / _EXPORTED).is_file():
        config, sha256 = read_config(folder)
        settings = config.get("vocoder")
        if not isinstance(settings, dict) or settings.get("name") != "vocos" or "vocos" not in settings:
            raise CheckpointError(
                f"the exported model {name} has no vocoder of its own: name a `solver=vocoder` experiment, or a model "
                "exported with --vocoder"
            )
        state = read_tensors(folder / VOCODER_FILE, sha256.get(VOCODER_FILE))
        return _trained(str(name), {**config, "vocos": settings["vocos"]}, settings, state)
    experiment = load_experiment(folder, "vocoder")
    config = experiment["xp.cfg"]
    return _trained(str(name), config, config["vocoder"], experiment["best_state"]["model"])


def _trained(
    name: str, config: Mapping[str, Any], settings: Mapping[str, Any], state: Mapping[str, torch.Tensor]
) -> TrainedVocoder:
    if missing := [key for key in builders.VOCODER_KEYS if key not in config]:
        raise CheckpointError(
            f"the configuration of {name} lacks {', '.join(missing)}: export the model again"
        )
    kept = {key: config[key] for key in builders.VOCODER_KEYS}
    with made_by_configuration(name):
        return TrainedVocoder(name, kept, int(settings.get("refinement", 0)), state)
