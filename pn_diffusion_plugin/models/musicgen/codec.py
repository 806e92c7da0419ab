"""Codec of the language model: loading, and decoding of long sounds.

It can be any `CompressionModel` of audiocraft: an experiment of `solver=compression`, an exported one, or one of the
hub.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from audiocraft.models import CompressionModel
from audiocraft.models.builders import get_compression_model
from omegaconf import OmegaConf

from ...errors import CheckpointError
from ..io.checkpoint import load_experiment, load_into, resolve_checkpoint

PRETRAINED = "//pretrained/"
#: Sections of a compression experiment's configuration that define the model.
CODEC_KEYS = ("sample_rate", "channels", "compression_model", "encodec", "seanet", "rvq")
_PIECE_SECONDS, _CONTEXT_SECONDS = 20.0, 1.0  # length of a piece; context on each side


@dataclass
class Codec:
    """A trained codec.

    Attributes:
        model: frozen.
        description: `CODEC_KEYS` of its configuration, or `{"pretrained": name}`; see `build_codec`.
    """

    model: CompressionModel
    description: dict[str, Any]

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return round(self.model.sample_rate / self.model.frame_rate)

    @torch.no_grad()
    def encode(self, wav: torch.Tensor) -> torch.Tensor:
        """Encode sound (B, 1, N) to codes (B, K, ceil(N / hop_length))."""
        codes, scale = self.model.encode(wav)
        if scale is not None:
            raise CheckpointError(
                "the codec has a scale beside its codes, which the language model cannot predict: use one with "
                "encodec.renormalize=false"
            )
        return codes

    @torch.no_grad()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Decode codes (B, K, T) to sound (B, 1, T · hop_length).

        Long sequences are decoded in pieces with a second of context, which exceeds the receptive field of a
        convolutional decoder, so that the result is that of one pass.
        """
        piece = max(1, round(_PIECE_SECONDS * self.model.frame_rate))
        context = max(1, round(_CONTEXT_SECONDS * self.model.frame_rate))
        total, waves = codes.shape[-1], []
        for start in range(0, total, piece):
            end, first = min(start + piece, total), max(0, start - context)
            wav = self.model.decode(codes[..., first : min(end + context, total)], None)
            waves.append(wav[..., (start - first) * self.hop_length : (end - first) * self.hop_length])
        return torch.cat(waves, dim=-1)


def build_codec(description: Mapping[str, Any], device: torch.device | str = "cpu") -> Codec:
    """Build an untrained codec, or load a pretrained one.

    Raises:
        CheckpointError: the pretrained one cannot be loaded.
    """
    if "pretrained" in description:
        name = description["pretrained"]
        try:
            model = CompressionModel.get_pretrained(name, device)
        except Exception as error:  # of the hub, the network or the file format
            raise CheckpointError(
                f"the codec {PRETRAINED}{name} cannot be loaded ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}): give the file of an exported codec, a name on a hub that can be "
                "reached, or codec.checkpoint=auto"
            ) from error
    else:
        model = get_compression_model(OmegaConf.create({**description, "device": str(device)}))
        hop_length = math.prod(description["seanet"]["ratios"])
        if model.sample_rate % hop_length:
            raise CheckpointError(
                f"the codec's frame of {hop_length} samples does not divide {model.sample_rate} Hz: "
                "choose seanet.ratios whose product does"
            )
    return Codec(model.to(device).eval().requires_grad_(False), dict(description))


def load_codec(name: str | Path, codebooks: int | None = None, device: torch.device | str = "cpu") -> Codec:
    """Load a trained codec.

    Args:
        name: folder or signature of a `solver=compression` experiment, or `//pretrained/NAME`: a model of the hub or
            a file written by `audiocraft.utils.export`.
        codebooks: number of codebooks to use; None: all.

    Raises:
        CheckpointError: there is no such codec.
    """
    if str(name).startswith(PRETRAINED):
        codec = build_codec({"pretrained": str(name).removeprefix(PRETRAINED)}, device)
    else:
        state = load_experiment(resolve_checkpoint(name), "compression")
        codec = build_codec({key: state["xp.cfg"][key] for key in CODEC_KEYS}, device)
        load_into(codec.model, state["best_state"]["model"], f"the codec {name}")
    if codebooks is not None:
        if not 1 <= codebooks <= codec.model.total_codebooks:
            raise CheckpointError(
                f"codec.codebooks is {codebooks} and the codec {name} has {codec.model.total_codebooks}: give 1 to that"
            )
        codec.model.set_num_codebooks(codebooks)
    return codec
