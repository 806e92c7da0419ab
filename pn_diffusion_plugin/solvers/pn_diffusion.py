"""Solver of PN-Diffusion: `dora run solver=pn_diffusion`.

Stages: train and valid run the bi-directional objective on latents of a frozen autoencoder; evaluate makes music for
every clip of the evaluation split and scores it between null and ceiling rows; generate stores some of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flashy
import torch
from audiocraft.utils.samples.manager import SampleManager
from torch.nn import functional as F

from ..data.dance_condition import NEGATIVE, POSITIVE, dance_conditions
from ..data.dance_dataset import DanceDataset
from ..data.features import load_features
from ..data.manifest import CorpusPaths, corpus_root
from ..errors import CheckpointError
from ..models import builders
from ..models.checkpoint import load_into, load_vae_weights, load_weights
from ..models.mel_vae import MelVAE
from ..models.pn_diffusion import PNDiffusion
from ..modules.diffusion import DualSample
from .base import PluginSolver
from .loaders import build_dance_loaders
from .prerequisites import ensure_experiment

_STATISTICS_CLIPS = 256  # training clips on which features are measured


class PNDiffusionSolver(PluginSolver):
    """Dual diffusion with a positive (forward) and a negative (reversed) dance condition."""

    model: Any

    def load_from_pretrained(self, name: str) -> dict[str, Any]:
        return {"best_state": {"model": load_weights(name).model}}

    def build_dataloaders(self) -> None:
        self.dataloaders = build_dance_loaders(self.config)

    def build_model(self) -> None:
        super().build_model()
        self.sequence = builders.build_sequence(self.config)
        padding = 1 - self.sequence.samples / self.sequence.padded_samples
        if padding > 0.01:
            self.logger.warning(
                "%.1f %% of every mel picture is padding: segment_seconds=%.4f would fill it",
                100 * padding,
                self.sequence.padded_samples / self.sequence.sample_rate,
            )
        self.mel = builders.build_mel(self.config).to(self.device)
        self.vae = self._load_vae()
        self.schedule = builders.build_schedule(self.config)
        self.objective = builders.build_objective(self.config, self.schedule)
        self.model = builders.build_dual_diffusion(self.config, self.device)
        self.inference()  # tells wrong `sampling` parameters now and not after the training
        self._fit_statistics()
        self.build_optimizer()
        self.register_stateful("vae_source", write_only=True)

    def _load_vae(self) -> MelVAE:
        """The frozen autoencoder; it must have been trained on the same kind of mel picture."""
        self.vae_source: str = self.cfg.vae.checkpoint
        if self.vae_source == "auto":
            overrides = list(self.cfg.vae.overrides)
            if not any(item.startswith("device=") for item in overrides):
                overrides.append(f"device={self.cfg.device}")  # no part of the autoencoder's signature
            folder = ensure_experiment(overrides) if flashy.distrib.is_rank_zero() else None
            self.vae_source = str(flashy.distrib.broadcast_object(folder))
        weights = load_vae_weights(self.vae_source)
        for key in ("sample_rate", "mel", "mel_vae"):
            if weights.config[key] != self.config[key]:
                raise CheckpointError(
                    f"the autoencoder {self.vae_source} was trained with {key}={weights.config[key]} "
                    f"and this experiment has {self.config[key]}: make them alike"
                )
        vae = builders.build_vae(self.config)
        load_into(vae, weights.vae, f"the autoencoder {self.vae_source}")
        return vae.to(self.device).eval().requires_grad_(False)

    def _fit_statistics(self) -> None:
        """Mean and spread of every input dimension, on whole training clips (the first of the manifest)."""
        encoder = self.model.provider.dance.encoder
        spec = builders.build_feature_spec(self.config)
        dataset = self.dataloaders["train"].dataset
        assert isinstance(dataset, DanceDataset)

        def features() -> Iterator[Any]:
            for meta in dataset.meta[:_STATISTICS_CLIPS]:
                paths = CorpusPaths(corpus_root(meta.path))
                yield load_features(paths.features(Path(meta.path).stem), spec)

        encoder.visual_norm.fit(torch.from_numpy(f.visual) for f in features())
        encoder.motion_norm.fit(
            encoder.motion_features(dance.motion, dance.motion_rate[0])
            for dance in (dance_conditions(f)[0] for f in features())
        )

    def show(self) -> None:
        self.log_model_summary(self.model)
        for name, part in (
            ("dance encoder", self.model.provider),
            ("U-Net and fold", self.model.denoiser),
            ("autoencoder (frozen)", self.vae),
        ):
            self.logger.info("%s: %.3f M parameters", name, sum(p.numel() for p in part.parameters()) / 1e6)
        self.logger.info("Lengths: %s", self.sequence)

    @torch.no_grad()
    def encode(self, wav: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Clean latents z0 (B, C, F, L) of a batch of segments (B, 1, N): samples of the posterior."""
        wav = F.pad(wav, (0, self.sequence.padded_samples - wav.shape[-1]))
        return self.vae.encode(self.mel(wav.to(self.device)), generator)

    def _dropped(self, clips: int) -> dict[str, torch.Tensor]:
        """Which clips lose their dance in this update.

        With `shared` latents only the positive stream does: without conditions its two targets are opposite.
        """
        dropped = torch.rand(clips) < self.cfg.conditioning.dropout
        if not self.objective.uses_negative or self.objective.negative_latent == "shared":
            return {POSITIVE: dropped}
        return {POSITIVE: dropped, NEGATIVE: dropped}

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        wav, infos = batch
        streams = (POSITIVE, NEGATIVE) if self.objective.uses_negative else (POSITIVE,)
        tokenized = self.model.provider.tokenize([info.to_condition_attributes() for info in infos], streams)
        # At validation the same numbers each time.
        generator = None if self.is_training else torch.Generator().manual_seed(idx)
        z0 = self.encode(wav, generator)
        eps = torch.randn(z0.shape, generator=generator).to(self.device)
        t = self.schedule.sample_timesteps(len(z0), generator=generator, device=self.device)
        sample: DualSample = self.objective.corrupt(z0, eps, t)
        with self.autocast:
            positive, negative = self.model(
                sample, tokenized, self._dropped(len(z0)) if self.is_training else None
            )
        losses = self.objective.loss(positive.float(), None if negative is None else negative.float(), sample)
        if flashy.distrib.is_distributed():
            # flashy averages over workers by position: no worker may have a metric that another one lacks.
            losses = {name: value for name, value in losses.items() if not name.endswith("noisiest")}
        metrics.update({name: value.detach() for name, value in losses.items()})
        if self.is_training:
            self.optimize(losses["loss"], metrics)
        return metrics

    def inference(self) -> PNDiffusion:
        """What a user calls, around the weights as they are now."""
        return PNDiffusion(self.config, self.model, self.vae, device=self.device)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Music for every clip of the evaluation split, scored; the report is written to `evaluate/report.json`."""
        from .evaluation import evaluate_corpus, flat_metrics

        self.model.eval()
        if not flashy.distrib.is_rank_zero():
            return {}
        report = evaluate_corpus(
            self.inference(),
            self.cfg.datasource.evaluate,
            self.folder / "evaluate",
            seed=self.cfg.seed,
            command=f"dora run -f {self.xp.sig}",
        )
        return flat_metrics(report)

    @torch.no_grad()
    def generate(self) -> None:
        """Store music for some clips beside the reference, in audiocraft's sample folder."""
        self.model.eval()
        manager = SampleManager(self.xp, map_reference_to_sample_id=True)
        model = self.inference()
        for wav, infos in self.dataloaders["generate"]:
            made = model.generate_from_conditions(
                [info.dance for info in infos], seeds=[self.cfg.seed] * len(infos)
            )
            manager.add_samples(torch.stack(made), self.epoch, ground_truth_wavs=wav)
