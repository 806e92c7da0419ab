"""A model small enough to build in a blink."""

from __future__ import annotations

import copy
from typing import Any

import torch

from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

# 2.56 s: 20480 samples, 80 mel frames, 40 latent columns of 64 ms, 64 pose frames, 2 visual windows.
TINY: dict[str, Any] = {
    "sample_rate": 8000,
    "segment_seconds": 2.56,
    "mel": {"n_fft": 512, "hop_length": 256, "n_mels": 16},
    "mel_vae": {
        "channels": [8, 8],
        "latent_channels": 2,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "mid_attention": False,
    },
    "features": {
        "pose_fps": 25.0,
        "visual_fps": 12.5,
        "visual_window": 16,
        "visual_hop": 16,
        "visual_encoder": "inception_i3d",
    },
    "conditioning": {
        "temporal": "aligned",
        "visual_out": 4,
        "output_dim": None,
        "dropout": 0.1,
        "moments": 2,
        "aligned_channels": 4,
        "attention_stride": 1,
        "motion": {
            "dim": 12,
            "inputs": ["position", "velocity"],
            "channels": 8,
            "layers": 2,
            "kernel_size": 3,
            "dropout": 0.0,
        },
    },
    "unet": {
        "channels": [8, 16],
        "attention": [False, True],
        "layers_per_block": 1,
        "head_dim": 8,
        "norm_num_groups": 4,
    },
    "diffusion": {
        "num_train_timesteps": 1000,
        "beta_schedule": "cosine",
        "zero_terminal_snr": True,
        "prediction": "v",
    },
    "negative": {"latent": "mirrored", "alpha": 0.6},
    "sampling": {
        "sampler": "ddim",
        "steps": 3,
        "guidance": 1.0,
        "negative_guidance": 0.0,
        "overlap": 0.5,
    },
    "vocoder": {"name": "griffin_lim", "iterations": 2},
}


def tiny_config(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The configuration with some keys, named with dots, changed."""
    config = copy.deepcopy(TINY)
    for name, value in (changes or {}).items():
        *parents, last = name.split(".")
        place = config
        for parent in parents:
            place = place[parent]
        place[last] = value
    return config


def tiny_model(changes: dict[str, Any] | None = None) -> PNDiffusion:
    """A model of random weights, always the same."""
    config = tiny_config(changes)
    torch.manual_seed(1)
    dual = builders.build_dual_diffusion(config).eval()
    torch.nn.init.normal_(dual.denoiser.null_token)  # zeros at first, as if never trained
    return PNDiffusion(config, dual, builders.build_autoencoder(config).eval())
