"""What all contenders work on: a few clips of the embedded corpus, and an autoencoder of random weights.

Costs depend on sizes alone. Where a configuration wants wider visual features than the embedded corpus has, its
windows are repeated to that width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.corpora import ensure_corpus
from pn_diffusion_plugin.data.corpora.clips import write_clip
from pn_diffusion_plugin.data.corpora.prepare import finish_corpus, write_or_check_settings
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.data.features.visual import visual_dim
from pn_diffusion_plugin.data.manifest import SPLITS, CorpusPaths
from pn_diffusion_plugin.metrics.corpus import read_split
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.utils.files import atomic_path, write_json

from .configs import composed

CLIPS = {"train": 8, "valid": 2, "test": 2}


def build_corpus(root: Path, spec: FeatureSpec) -> Path:
    """The first clips of the embedded corpus with features of this kind; made once."""
    if CorpusPaths(root).splits.exists():
        return root
    source = paths.outputs_dir() / "corpora" / "mini"
    ensure_corpus("mini", source)
    clips = [
        clip for split in SPLITS for clip in read_split(CorpusPaths(source).manifest(split), CLIPS[split])
    ]
    write_or_check_settings(CorpusPaths(root), spec, clips[0].info.sample_rate)
    for clip in clips:
        write_clip(root, clip.info, clip.reference, _widened(clip.features, spec))
    finish_corpus(root)
    return root


def _widened(features: Features, spec: FeatureSpec) -> Features:
    """Its visual windows repeated to the width that the wanted encoder has."""
    header, dim = features.header, visual_dim(spec.visual_encoder)
    visual, reverse = (
        np.tile(view, (1, -(-dim // header.visual_dim)))[:, :dim]
        for view in (features.visual, features.visual_reverse)
    )
    header = replace(header, visual_encoder=spec.visual_encoder, visual_dim=dim)
    return Features(header, features.keypoints, features.detected, visual, reverse)


def build_vae_checkpoint(folder: Path, config: builders.Config) -> Path:
    """An experiment's folder with an autoencoder of random weights for this mel; made once."""
    file = folder / "checkpoint.th"
    if not file.exists():
        torch.manual_seed(0)
        about = {key: config[key] for key in builders.VAE_KEYS} | {"solver": "mel_vae"}
        state = {"xp.cfg": about, "best_state": {"model": builders.build_vae(config).state_dict()}}
        with atomic_path(file) as temporary:
            torch.save(state, temporary)
        write_json(folder / "history.json", [])
    return folder


def prepare(overrides: Sequence[str], folder: Path) -> list[str]:
    """The overrides, and those that name a corpus and an autoencoder made for them below `folder`."""
    config = composed(overrides)
    spec = builders.build_feature_spec(config)
    corpus = build_corpus(folder / f"corpus_{spec.visual_encoder}", spec)
    width = config["mel_vae"]["channels"][0]
    vae = build_vae_checkpoint(folder / f"vae_{config['mel']['n_mels']}_{width}", config)
    return [
        *overrides,
        "dset=dance/folder",
        f"datasource.root={corpus.resolve()}",
        f"vae.checkpoint={vae.resolve()}",
    ]
