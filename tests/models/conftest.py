"""A model small enough to build in a blink, and dances without videos."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pn_diffusion_plugin.data.features import FeatureHeader, Features, FeatureSpec
from pn_diffusion_plugin.data.visual import window_indices
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

MakeConfig = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """The tiny configuration with some keys, named with dots, changed."""

    def make(changes: dict[str, Any] | None = None) -> dict[str, Any]:
        config = copy.deepcopy(TINY)
        for name, value in (changes or {}).items():
            *parents, last = name.split(".")
            place = config
            for parent in parents:
                place = place[parent]
            place[last] = value
        return config

    return make


@pytest.fixture(scope="session")
def make_model(make_config: MakeConfig) -> Callable[..., PNDiffusion]:
    """A model of random weights, always the same."""

    def make(changes: dict[str, Any] | None = None) -> PNDiffusion:
        config = make_config(changes)
        torch.manual_seed(1)
        dual = builders.build_dual_diffusion(config).eval()
        torch.nn.init.normal_(dual.denoiser.null_token)  # zeros at first, as if never trained
        return PNDiffusion(config, dual, builders.build_vae(config).eval())

    return make


@pytest.fixture(scope="session")
def make_features() -> Callable[..., Features]:
    """Features of a random but smooth dance."""

    def make(seconds: float, seed: int = 0, spec: FeatureSpec = FeatureSpec()) -> Features:  # noqa: B008
        rng = np.random.default_rng(seed)
        frames = max(1, round(seconds * spec.pose_fps))
        pictures = max(1, round(seconds * spec.visual_fps))
        windows = len(window_indices(pictures, spec.visual_window, spec.visual_hop))
        time = np.arange(frames)[:, None, None] / spec.pose_fps
        rest = rng.uniform(0.2, 0.8, (1, 33, 2))
        rate, phase = rng.uniform(0.5, 2, (1, 33, 2)), rng.uniform(0, 6, (1, 33, 2))
        places = rest + 0.1 * np.sin(2 * np.pi * rate * time + phase)
        keypoints = np.concatenate([places, np.ones((frames, 33, 1))], axis=-1).astype(np.float32)
        header = FeatureHeader(
            seconds=seconds,
            pose_fps=spec.pose_fps,
            visual_fps=spec.visual_fps,
            visual_window=spec.visual_window,
            visual_hop=spec.visual_hop,
            pose_extractor="none",
            pose_weights_sha256="0" * 64,
            visual_encoder=spec.visual_encoder,
            visual_dim=1024,
            visual_weights_sha256="0" * 64,
            video_sha256="0" * 64,
            detected_share=1.0,
        )
        visual = rng.standard_normal((windows, 1024)).astype(np.float32)
        reverse = rng.standard_normal((windows, 1024)).astype(np.float32)
        return Features(header, keypoints, np.ones(frames, bool), visual, reverse)

    return make
