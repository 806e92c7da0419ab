"""A prepared corpus made in seconds, and experiments on it that end in seconds.

The corpus is the embedded one's first clips, short: true joints instead of found ones, random visual windows instead
of I3D's. Everything after the extraction is the real thing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from headers import make_header

from pn_diffusion_plugin.data.corpora.clips import write_clip
from pn_diffusion_plugin.data.corpora.prepare import finish_corpus, write_or_check_settings
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.synthetic.plan import SAMPLE_RATE
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.data.features.visual import window_indices
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo
from pn_diffusion_plugin.data.score.files import write_scores

REPOSITORY = Path(__file__).resolve().parents[2]
MINI = MiniSpec(train=6, valid=2, test=2, seconds=6.0)
SPEC = FeatureSpec()
EPOCHS = 5  # of the experiment that the tests share


@dataclass(frozen=True)
class Experiment:
    """A finished `dora run solver=pn_diffusion`, which had to train its autoencoder first."""

    overrides: list[str]
    dora: Path
    folder: Path
    vae: Path
    log: str


def clip_features(split: str, index: int, seed: int, spec: FeatureSpec = SPEC) -> Features:
    """The true joints of a clip, with a random view of it."""
    joints = MINI.plan(split, index).scene().keypoints[..., :2]
    keypoints = np.concatenate([joints, np.ones((*joints.shape[:2], 1))], axis=-1).astype(np.float32)
    pictures = round(MINI.seconds * spec.visual_fps)
    windows = len(window_indices(pictures, spec.visual_window, spec.visual_hop))
    forward, backward = np.random.default_rng(seed).standard_normal((2, windows, 1024)).astype(np.float32)
    header = make_header(MINI.seconds, spec, pose_extractor="true joints")
    return Features(header, keypoints, np.ones(len(keypoints), bool), forward, backward)


def build_corpus(root: Path) -> Path:
    """A prepared corpus of 6 / 2 / 2 clips in `root`."""
    write_or_check_settings(CorpusPaths(root), SPEC, 22050)
    clips = [(split, index) for split in ("train", "valid", "test") for index in range(MINI.clips(split))]
    for seed, (split, index) in enumerate(clips):
        plan = MINI.plan(split, index)
        wav = plan.audio()
        video = f"videos/{plan.id}.mp4"
        info = DanceInfo(
            plan.id, MINI.seconds, SAMPLE_RATE, len(wav), video, "0" * 64, 0, 256, 256, 25.0, 1.0
        )
        sources = {"split_source": "label", "song_source": "label"}
        info = DanceInfo.from_dict({**info.to_dict(), **plan.labels, **sources})
        write_clip(root, info, wav, clip_features(split, index, seed))
        write_scores(CorpusPaths(root).scores(plan.id), plan.scores())
    finish_corpus(root)
    return root


def vae_overrides(corpus: Path) -> list[str]:
    """A mel autoencoder of a few hundred weights, trained for an instant."""
    return [
        "solver=mel_vae",
        "dset=dance/folder",
        f"datasource.root={corpus}",
        "segment_seconds=2.56",
        "mel.n_mels=16",
        "mel_vae.channels=[8,8]",
        "mel_vae.latent_channels=2",
        "mel_vae.norm_num_groups=4",
        "vocoder.iterations=2",
        "dataset.batch_size=2",
        "optim.epochs=2",
        "optim.updates_per_epoch=2",
        "num_threads=1",
    ]


def overrides(corpus: Path, *more: str) -> list[str]:
    """PN-Diffusion of a few thousand weights; its autoencoder is the one of `vae_overrides`."""
    same = [item for item in vae_overrides(corpus) if not item.startswith("solver=")]
    quoted = ",".join(json.dumps(item) for item in vae_overrides(corpus))
    return [
        "solver=pn_diffusion",
        *same,
        f"vae.overrides=[{quoted}]",
        "unet.channels=[8,16]",
        "unet.attention=[false,true]",
        "unet.norm_num_groups=4",
        "unet.head_dim=8",
        "conditioning.visual_out=4",
        "conditioning.moments=2",
        "conditioning.aligned_channels=4",
        "conditioning.motion.dim=8",
        "conditioning.motion.channels=4",
        "conditioning.motion.layers=1",
        "negative.latent=mirrored",
        "negative.alpha=0.6",
        "sampling.steps=2",
        *more,
    ]


def vocoder_overrides(corpus: Path, *more: str) -> list[str]:
    """A vocoder of a few thousand weights for the mel of `vae_overrides`, trained for an instant."""
    return [
        "solver=vocoder",
        "dset=dance/folder",
        f"datasource.root={corpus}",
        "segment_seconds=1.3",
        "mel.n_mels=16",
        "mel_vae.channels=[8,8]",
        "mel_vae.latent_channels=2",
        "mel_vae.norm_num_groups=4",
        "vocos.channels=8",
        "vocos.hidden=8",
        "vocos.layers=1",
        "vocoder.refinement=1",
        "vocoder.iterations=2",
        "crop.frames=16",
        "msstftd.filters=2",
        "msstftd.n_ffts=[512]",
        "msstftd.hop_lengths=[128]",
        "msstftd.win_lengths=[512]",
        "adversarial.start=1",
        "dataset.batch_size=2",
        "dataset.valid.num_samples=2",
        "dataset.evaluate.num_samples=2",
        "dataset.generate.num_samples=2",
        "optim.epochs=2",
        "optim.updates_per_epoch=2",
        "num_threads=1",
        *more,
    ]


def codec_overrides(corpus: Path) -> list[str]:
    """An EnCodec of a few thousand weights, trained for an instant."""
    return [
        "solver=compression",
        "dset=dance/folder",
        f"datasource.root={corpus}",
        "segment_seconds=0.5",
        "seanet.dimension=8",
        "seanet.n_filters=2",
        "seanet.ratios=[21,21]",
        "rvq.n_q=2",
        "rvq.bins=16",
        "rvq.kmeans_iters=2",
        "dataset.batch_size=2",
        "dataset.valid.num_samples=2",
        "dataset.evaluate.num_samples=2",
        "dataset.generate.num_samples=2",
        "optim.epochs=2",
        "optim.updates_per_epoch=2",
        "num_threads=1",
    ]


def musicgen_overrides(corpus: Path, *more: str) -> list[str]:
    """The MusicGen baseline of a few thousand weights; its codec is the one of `codec_overrides`."""
    quoted = ",".join(json.dumps(item) for item in codec_overrides(corpus))
    return [
        "solver=dance_musicgen",
        "dset=dance/folder",
        f"datasource.root={corpus}",
        "segment_seconds=2.56",
        f"codec.overrides=[{quoted}]",
        "transformer_lm.dim=16",
        "transformer_lm.num_heads=2",
        "transformer_lm.num_layers=1",
        "transformer_lm.dropout=0",
        "conditioning.visual_out=4",
        "conditioning.frame_kernel=3",
        "conditioning.motion.dim=8",
        "conditioning.motion.channels=4",
        "conditioning.motion.layers=1",
        "generate.lm.top_k=8",
        "dataset.batch_size=2",
        "dataset.generate.num_samples=2",
        "optim.epochs=3",
        "optim.updates_per_epoch=2",
        "num_threads=1",
        *more,
    ]


def program(name: str) -> str:
    """Path of a command of this environment."""
    return str(Path(sys.executable).parent / name)


def run(*command: str, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600
    )


def experiments(dora: Path, solver: str) -> list[Path]:
    """Folders of the experiments of a solver."""
    found = []
    for folder in sorted((dora / "xps").iterdir()):
        argv: list[Any] = json.loads((folder / ".argv.json").read_text())
        if f"solver={solver}" in argv:
            found.append(folder)
    return found


def history(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "history.json").read_text())


def without_times(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {stage: {k: v for k, v in values.items() if k != "duration"} for stage, values in epoch.items()}
        for epoch in epochs
    ]


def stages(folder: Path) -> list[set[str]]:
    return [set(epoch) for epoch in history(folder)]


def assert_equal(a: Any, b: Any, where: str) -> None:
    """Equal to the last bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_equal(left, right, f"{where}.{number}")
    else:
        assert a == b, where
