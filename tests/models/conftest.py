"""Tiny models, and dances without videos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from headers import make_header
from tiny_model import tiny_config, tiny_model

from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.data.features.visual import window_indices


@pytest.fixture(scope="session")
def make_config() -> Callable[..., dict[str, Any]]:
    """The tiny configuration with some keys, named with dots, changed."""
    return tiny_config


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """A model of random weights, always the same."""
    return tiny_model


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
        header = make_header(seconds, spec)
        visual = rng.standard_normal((windows, 1024)).astype(np.float32)
        reverse = rng.standard_normal((windows, 1024)).astype(np.float32)
        return Features(header, keypoints, np.ones(frames, bool), visual, reverse)

    return make
