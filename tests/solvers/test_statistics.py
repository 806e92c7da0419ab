"""What the encoder's inputs are measured on: the training clips, as far as somebody was seen in them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pn_diffusion_plugin.data.dataset import DanceDataset
from pn_diffusion_plugin.data.features.feature_file import (
    Features,
    FeatureSpec,
    load_features,
    save_features,
)
from pn_diffusion_plugin.modules.dance_encoder import DanceEncoder
from pn_diffusion_plugin.solvers.statistics import fit_statistics, training_features


def measured(root: Path) -> DanceEncoder:
    encoder = DanceEncoder(
        visual_dim=1024, visual_out=None, motion_dim=4, motion_inputs=("position", "velocity")
    )
    fit_statistics(encoder, DanceDataset.from_meta(root / "egs" / "train", shuffle=False), FeatureSpec())
    return encoder


def test_places_between_detections_count_for_nothing(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    for places in (0.5, 100.0):
        for file in (root / "features").glob("*.safetensors"):
            features = load_features(file)
            keypoints, detected = features.keypoints.copy(), features.detected.copy()
            detected[20:40] = False
            keypoints[20:40, :, :2] = places
            header = replace(features.header, detected_share=float(detected.mean()))
            streams = {**features.streams, "keypoints": keypoints, "detected": detected}
            save_features(file, Features(header, **streams))
        encoder = measured(root)
        if places == 0.5:
            expected = encoder.motion_norm.mean.clone(), encoder.motion_norm.std.clone()
    torch.testing.assert_close((encoder.motion_norm.mean, encoder.motion_norm.std), expected)
    assert encoder.motion_norm.std.max() < 100


def test_they_are_those_of_the_training_clips(tiny_corpus: Path) -> None:
    dataset = DanceDataset.from_meta(tiny_corpus / "egs" / "train", shuffle=False)
    clips = list(training_features(dataset, FeatureSpec()))
    assert len(clips) == 6
    encoder = measured(tiny_corpus)
    visual = np.concatenate([clip.visual for clip in clips])
    assert encoder.visual_norm.mean.numpy() == pytest.approx(visual.mean(axis=0), abs=1e-5)
