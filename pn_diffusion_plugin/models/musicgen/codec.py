"""The codec under the language model: where it comes from, and how long sounds go through it.

Any `CompressionModel` of audiocraft will do: an experiment of `solver=compression`, one that audiocraft exported, or
one of the hub.
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
#: What of a compression experiment's configuration makes the model, by audiocraft's names.
CODEC_KEYS = ("sample_rate", "channels", "compression_model", "encodec", "seanet", "rvq")
_PIECE_SECONDS, _CONTEXT_SECONDS = 20.0, 1.0  # decoded at once; heard before and after it


@dataclass
class Codec:
    """A codec ready for use.

    Attributes:
        model: frozen.
        description: what builds it again: `CODEC_KEYS` of its configuration, or `{"pretrained": name}`.
    """

    model: CompressionModel
    description: dict[str, Any]

    @property
    def hop_length(self) -> int:
        """Samples a frame."""
        return round(self.model.sample_rate / self.model.frame_rate)

    @torch.no_grad()
    def encode(self, wav: torch.Tensor) -> torch.Tensor:
        """Sound (B, 1, N) → codes (B, K, ceil(N / hop_length))."""
        codes, scale = self.model.encode(wav)
        if scale is not None:
            raise CheckpointError(
                "the codec gives a scale beside its codes, which a language model cannot: "
                "use one with encodec.renormalize=false"
            )
        return codes

    @torch.no_grad()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (B, K, T) → sound (B, 1, T · hop_length).

        Long ones piece by piece, each with a second of its surroundings: the same as in one go where the decoder is
        convolutional, since it hears less than that.
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
    """A codec with its first weights, or the one that is named.

    Raises:
        CheckpointError: a named one cannot be had.
    """
    if "pretrained" in description:
        name = description["pretrained"]
        try:
            model = CompressionModel.get_pretrained(name, device)
        except Exception as error:  # of many kinds: hub, network, file format
            raise CheckpointError(
                f"the codec {PRETRAINED}{name} cannot be had ({type(error).__name__}: {str(error).splitlines()[0]}): "
                "give the file of an exported one, a model of the hub that can be reached, or codec.checkpoint=auto"
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
    """A trained codec.

    Args:
        name: folder or signature of a `solver=compression` experiment, or `//pretrained/NAME`: a model of the hub or
            a file written by `audiocraft.utils.export`.
        codebooks: use only the first so many; None: all.

    Raises:
        CheckpointError: when there is no such codec.
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
