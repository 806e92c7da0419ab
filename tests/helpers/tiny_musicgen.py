"""A MusicGen baseline small enough to build in a blink."""

from __future__ import annotations

import copy
from typing import Any

import torch
from tiny_model import tiny_config

from pn_diffusion_plugin.models.musicgen.builders import build_dance_lm
from pn_diffusion_plugin.models.musicgen.codec import build_codec
from pn_diffusion_plugin.models.musicgen.dance_musicgen import DanceMusicGen

# 2.56 s: 20480 samples, 128 frames of 160 samples.
SEANET = {"dimension": 8, "n_filters": 2, "n_residual_layers": 1, "ratios": [8, 20], "norm": "weight_norm"}
CODEC: dict[str, Any] = {
    "sample_rate": 8000,
    "channels": 1,
    "compression_model": "encodec",
    "encodec": {"autoencoder": "seanet", "quantizer": "rvq", "sample_rate": 8000, "channels": 1, "causal": False},
    "seanet": {**SEANET, "lstm": 0, "pad_mode": "constant", "encoder": {}, "decoder": {}},
    "rvq": {"n_q": 3, "bins": 16, "kmeans_init": False},
}  # fmt: skip
LM: dict[str, Any] = {
    "transformer_lm": {
        "dim": 16, "num_heads": 2, "num_layers": 2, "dropout": 0.0, "activation": "gelu", "norm_first": True,
        "memory_efficient": True, "weight_init": "gaussian", "depthwise_init": "current", "zero_bias_init": True,
    },
    "codebooks_pattern": {"modeling": "delay"},
    "classifier_free_guidance": {"training_dropout": 0.1, "inference_coef": 3.0},
    "generate": {
        "lm": {"use_sampling": True, "temp": 1.0, "top_k": 8, "top_p": 0.0, "overlap": 0.5, "batch_size": 4}
    },
    "codec": {"checkpoint": "auto", "codebooks": None},
}  # fmt: skip


def tiny_musicgen_config(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The configuration with some keys, named with dots, changed."""
    base = {"conditioning.frame_kernel": 3, **copy.deepcopy(LM)}
    return tiny_config({**base, **(changes or {})})


def tiny_musicgen(changes: dict[str, Any] | None = None) -> DanceMusicGen:
    """A model of random weights, always the same, whose codebooks and "no dance" are not empty."""
    config = tiny_musicgen_config(changes)
    torch.manual_seed(1)
    codec = build_codec(CODEC)
    for name, buffer in codec.model.named_buffers():
        if name.endswith("embed"):
            torch.nn.init.normal_(buffer)
    lm = build_dance_lm(config, codec).eval()
    torch.nn.init.normal_(lm.condition_provider.null_token)
    for linear in lm.linears:  # opinions strong enough to be heard above the sampling
        torch.nn.init.normal_(linear.weight)
    return DanceMusicGen(config, lm, codec)
