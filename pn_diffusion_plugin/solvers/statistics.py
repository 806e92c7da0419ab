"""Mean and spread of what a dance encoder is given, measured on the training set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ..data.condition import dance_conditions
from ..data.dataset import DanceDataset
from ..data.features.feature_file import Features, FeatureSpec, load_features
from ..data.manifest import CorpusPaths, corpus_root
from ..modules.dance_encoder import DanceEncoder
from ..modules.normalizer import Normalizer

_CLIPS = 256  # training clips that are looked at


def training_features(dataset: DanceDataset, spec: FeatureSpec) -> Iterator[Features]:
    """Features of whole training clips: the manifest's first ones."""
    for meta in dataset.meta[:_CLIPS]:
        paths = CorpusPaths(corpus_root(meta.path))
        yield load_features(paths.features(Path(meta.path).stem), spec)


def fit_statistics(encoder: DanceEncoder, dataset: DanceDataset, spec: FeatureSpec) -> None:
    """Store in the encoder mean and spread of every input dimension, of what was seen rather than interpolated."""
    encoder.visual_norm.fit(torch.from_numpy(clip.visual) for clip in training_features(dataset, spec))
    for name, norm in encoder.stream_norms.items():
        assert isinstance(norm, Normalizer)
        norm.fit(torch.from_numpy(clip.streams[name]) for clip in training_features(dataset, spec))

    def motions() -> Iterator[torch.Tensor]:
        for clip in training_features(dataset, spec):
            dance = dance_conditions(clip)[0]
            seen = dance.detected[..., None] & (dance.motion[..., 2] > 0)
            yield encoder.motion_features(dance.motion, dance.motion_rate[0], seen)[seen]

    encoder.motion_norm.fit(motions())
