"""Mean and spread of what a dance encoder is given, measured on the training set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ..data.dance_condition import dance_conditions
from ..data.dance_dataset import DanceDataset
from ..data.features import Features, FeatureSpec, load_features
from ..data.manifest import CorpusPaths, corpus_root
from ..modules.dance_encoder import DanceEncoder

_CLIPS = 256  # training clips that are looked at


def fit_statistics(encoder: DanceEncoder, dataset: DanceDataset, spec: FeatureSpec) -> None:
    """Store in the encoder mean and spread of every input dimension, over whole clips: the manifest's first ones."""

    def features() -> Iterator[Features]:
        for meta in dataset.meta[:_CLIPS]:
            paths = CorpusPaths(corpus_root(meta.path))
            yield load_features(paths.features(Path(meta.path).stem), spec)

    encoder.visual_norm.fit(torch.from_numpy(clip.visual) for clip in features())
    encoder.motion_norm.fit(
        encoder.motion_features(dance.motion, dance.motion_rate[0])
        for dance in (dance_conditions(clip)[0] for clip in features())
    )
