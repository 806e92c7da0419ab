"""A training update by the published procedure and by the solver as configured.

A run is one whole update: loading of clips, latents encoded or read, both passes, optimiser, moving average. The clips
are from the embedded corpus, their visual windows tiled to the width that the configuration needs; the weights of the
autoencoder are random. Costs depend on sizes alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from audiocraft.solvers.builders import get_lr_scheduler

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

from .configs import ARCHITECTURE, RECOMMENDED, composed
from .contenders import Contender, Seconds
from .counts import Counts, counting, parts_of
from .procedure_sampling import STREAMS
from .procedure_training import ReferenceTraining

#: Options of the solver, row by row.
LADDER: dict[str, list[str]] = {
    "ours, float32": [],
    "ours, bfloat16": ["autocast=true"],
    "ours, bfloat16, channels last": ["autocast=true", "channels_last=true"],
    "ours, bfloat16, compiled": ["autocast=true", "compile.use=true"],
}


def solver_of(overrides: list[str], folder: Path, stack: ExitStack) -> Any:
    """The solver of an experiment in `folder`; `stack` leaves the experiment."""
    from pn_diffusion_plugin.train import get_solver, main

    logging.disable(logging.WARNING)
    main.dora.dir = folder / "dora"
    xp = main.get_xp(overrides)
    stack.enter_context(xp.enter(stack=True))
    return get_solver(xp.cfg)


class SolverUpdate:
    """The training stage of the solver, one update long.

    Args:
        overrides: of the experiment.
        folder: of its files.
    """

    def __init__(self, overrides: list[str], folder: Path) -> None:
        self._stack = ExitStack()
        self.solver = solver_of(["optim.updates_per_epoch=1", *overrides], folder, self._stack)
        self.solver.seed_epoch()

    def update(self) -> None:
        """One update."""
        self.solver.run_stage("train", self.solver.train)
        self.solver._start_epoch()  # the stage may run again in the same epoch

    def run(self) -> Seconds:
        """Seconds of an update."""
        began = time.perf_counter()
        self.update()
        return {"update": time.perf_counter() - began}

    def count(self) -> Counts:
        """Calls and FLOPs of an update."""
        model = self.solver.model
        with counting(parts_of(model.provider, model.denoiser, self.solver.vae)) as counts:
            self.update()
        return counts


class ReferenceUpdate(SolverUpdate):
    """The published procedure on the weights and clips of the solver."""

    def __init__(self, overrides: list[str], folder: Path) -> None:
        super().__init__([*overrides, "latents.cache=false", "optim.ema.use=false"], folder)
        solver = self.solver
        self.reference = ReferenceTraining(solver.config, solver.model, solver.vae)
        self.reference.lr_scheduler = get_lr_scheduler(
            self.reference.optimizer, solver.cfg.schedule, solver.total_updates
        )

    def update(self) -> None:
        self.solver.model.train()
        self.step(next(iter(self.solver.dataloaders["train"])))

    def step(self, batch: Any) -> float:
        """Update on a batch of the solver's loader; returns the loss."""
        wav, infos = batch
        tokenized = self.solver.model.provider.tokenize(
            [info.to_condition_attributes() for info in infos], STREAMS
        )
        return self.reference.step(wav, tokenized, mask=self.solver._mask(infos))


CLIPS = {"train": 8, "valid": 2, "test": 2}


def build_corpus(root: Path, spec: FeatureSpec) -> Path:
    """The first clips of the embedded corpus with features of this kind, written once."""
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
    """The same with visual windows tiled to the width of the encoder."""
    header, dim = features.header, visual_dim(spec.visual_encoder)
    visual, reverse = (
        np.tile(view, (1, -(-dim // header.visual_dim)))[:, :dim]
        for view in (features.visual, features.visual_reverse)
    )
    header = replace(header, visual_encoder=spec.visual_encoder, visual_dim=dim)
    return Features(header, features.keypoints, features.detected, visual, reverse)


def build_vae_checkpoint(folder: Path, config: builders.Config) -> Path:
    """Folder of an experiment with an autoencoder of random weights for this mel, written once."""
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
    """The overrides, and those of a corpus and an autoencoder made for them in `folder`."""
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


def contenders(size: str, folder: Path, batch_size: int, compiled: bool = True) -> list[Contender]:
    """The published procedure, then ours with more and more options, then the recommended configuration.

    Args:
        size: `paper` or `mini`.
        folder: for the corpus, the autoencoder and experiments.
        batch_size: clips an update.
        compiled: include the compiled rows.
    """
    common = [
        f"dataset.batch_size={batch_size}",
        "dataset.valid.num_samples=2",
        "dataset.train.start_every=3",  # seconds: two segments a clip, so there is little to cache
        f"latents.folder={folder / 'latents'}",
    ]
    same = prepare([*ARCHITECTURE[size], *common], folder)
    ours = prepare([*RECOMMENDED[size], *common, "latents.cache=true"], folder)

    def subject(name: str, overrides: list[str], make: type[SolverUpdate] = SolverUpdate) -> Contender:
        return Contender(name, make, {"overrides": overrides, "folder": folder})

    rows = [subject("reference procedure", same, ReferenceUpdate)]
    rows += [subject(name, [*same, "latents.cache=true", *switches]) for name, switches in LADDER.items()]
    recommended = RECOMMENDED[size][0].removeprefix("solver=")
    rows.append(subject(f"recommended: {recommended}", [*ours, "autocast=true"]))
    return [row for row in rows if compiled or "compiled" not in row.name]
