"""Solver of PN-Diffusion: `dora run solver=pn_diffusion`.

Stages: train and valid compute the bi-directional objective on latents of a frozen autoencoder; evaluate generates
music for every clip of the evaluation split and scores it beside null and ceiling rows; generate stores samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import flashy
import numpy as np
import torch
from audiocraft.utils.samples.manager import SampleManager
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn
from torch.nn import functional as F

from ..data.condition import POSITIVE, positive_condition
from ..data.dataset import DanceDataset, DanceSegmentInfo
from ..data.latents import LatentStore
from ..errors import UserError
from ..models import builders
from ..models.io.checkpoint import load_weights
from ..models.io.summary import describe
from ..models.pn_diffusion import PNDiffusion
from ..models.vocoders import GRIFFIN_LIM
from ..models.vocoders.trained import TrainedVocoder, load_vocoder
from ..modules.objective import DualSample, masked_mse
from ..modules.style import STYLE
from ..paths import resolve
from .base import PluginSolver
from .distributed import ClipAverages, Share
from .loaders import (
    build_dance_loaders,
    fit_statistics,
    training_features,
    use_latents,
    weights_hash,
    worth_caching,
)
from .prerequisites import drop_null_keys, ensure_trained, load_frozen_vae

QUARTERS = 4


class StepNoise(NamedTuple):
    """Random numbers of a training step."""

    t: torch.Tensor  # timesteps (B,)
    eps: torch.Tensor  # Gaussian noise of the diffusion process (B, C, F, L)
    posterior: torch.Tensor  # Gaussian noise of the autoencoder's posterior (B, C, F, L)
    dropped: torch.Tensor  # clips trained without their dance (B,) of bool
    cue: torch.Tensor  # uniform in [0, 1), for the negative cue (B,)
    style_dropped: torch.Tensor  # clips trained without their style (B,) of bool; False without styles
    objective: dict[str, torch.Tensor]  # further numbers of the objective, B rows each


def update_by_timestep(
    averages: ClipAverages, losses: Mapping[str, torch.Tensor], t: torch.Tensor, num_train_timesteps: int
) -> None:
    """Add losses (B,) under the quarter of the timesteps that t (B,) is in: `NAME_quarter1` … `NAME_quarter4`.

    Fine spectral detail is decided at low noise, the positions of the beats at high noise: a model that uses the dance
    improves in the last quarter, the noisiest, first.
    """
    quarter = QUARTERS * t // num_train_timesteps
    for q in range(QUARTERS):
        named = {f"{name}_quarter{q + 1}": loss for name, loss in losses.items()}
        averages.update(named, (quarter == q).float())


class PNDiffusionSolver(PluginSolver):
    """Latent diffusion with a positive dance condition and, with `negative.alpha` < 1, a negative one."""

    model: Any

    def load_from_pretrained(self, name: str) -> dict[str, Any]:
        return {"best_state": {"model": load_weights(name).model}}

    def build_dataloaders(self) -> None:
        self.dataloaders = build_dance_loaders(self.config)

    def build_model(self) -> None:
        super().build_model()
        self.averages = ClipAverages()
        self.sequence = builders.build_sequence(self.config)
        padding = 1 - self.sequence.samples / self.sequence.padded_samples
        if padding > 0.01:
            self.logger.warning(
                "%.1f %% of every mel spectrogram is padding: segment_seconds=%.4f would fill it",
                100 * padding,
                self.sequence.padded_samples / self.sequence.sample_rate,
            )
        self.mel = builders.build_mel(self.config).to(self.device)
        self.schedule = builders.build_schedule(self.config)
        self.objective = builders.build_objective(self.config, self.schedule)
        self.negative_cue = builders.build_cue(self.config)
        self.build_networks()
        self.vocoder = self._load_vocoder()
        self.inference()  # validates `sampling` before the training rather than after it
        self._cache_latents()
        self.build_optimizer()
        self.register_stateful("vae_source", "vocoder_source", write_only=True)

    def build_networks(self) -> None:
        """Set the frozen autoencoder `vae`, its `vae_source`, and `model` with its input statistics."""
        self.vae: builders.Autoencoder
        self.vae_source: str | None = None
        if builders.uses_scores(self.config):
            self.vae = builders.build_autoencoder(self.config).to(self.device)  # has no weights
        else:
            self.vae, self.vae_source = load_frozen_vae(self.config, self.device)
        self.model = builders.build_dual_diffusion(self.config, self.device, audiocraft=True)
        dataset = self.dataloaders["train"].dataset
        assert isinstance(dataset, DanceDataset)
        spec = builders.build_feature_spec(self.config)
        fit_statistics(self.model.provider.dance.encoder, dataset, spec)
        if self.model.other_dance is not None:
            first = next(training_features(dataset, spec))
            self.model.other_dance.store(positive_condition(first, 0.0, self.sequence.seconds))

    def _load_vocoder(self) -> TrainedVocoder | None:
        """The trained vocoder of the experiment, which must be for the same mel spectrograms; None: Griffin-Lim."""
        self.vocoder_source: str | None = None
        if builders.vocoder_name(self.config) == GRIFFIN_LIM:
            return None
        self.vocoder_source = ensure_trained(self.config, "vocoder", ("mel",))
        vocoder = load_vocoder(self.vocoder_source)
        if self.cfg.vocoder.refinement is not None:
            vocoder = replace(vocoder, refinement=self.cfg.vocoder.refinement)
        return vocoder

    def modules_to_compile(self) -> Iterable[nn.Module]:
        return [self.model.denoiser.unet]

    def show(self) -> None:
        self.logger.info("%s", describe(self.config))

    def _cache_latents(self) -> None:
        """Cache the latents of training and validation segments on disk, if that saves work."""
        mode = self.cfg.latents.cache
        if mode not in ("auto", True, False):
            raise UserError(f"latents.cache={mode}: give auto, true or false")
        if builders.uses_scores(self.config):  # faster made than read
            return
        recipe = {
            **{key: drop_null_keys(self.config[key]) for key in ("sample_rate", "mel", "mel_vae")},
            "weights": weights_hash(self.vae),
            "samples": self.sequence.samples,
            "padded_samples": self.sequence.padded_samples,
        }
        store = LatentStore(resolve(self.cfg.latents.folder), recipe)
        for stage in ("train", "valid"):
            dataset = self.dataloaders[stage].dataset
            assert isinstance(dataset, DanceDataset)
            draws = self.cfg.optim.epochs * len(dataset)
            if mode is True or (mode == "auto" and worth_caching(dataset, draws)):
                use_latents(dataset, store, self.posterior_params, self.device)

    @torch.no_grad()
    def posterior_params(self, segments: torch.Tensor) -> torch.Tensor:
        """Means and log-variances (B, 2C, F, L) of the latents of segments: audio (B, 1, N), or images (B, 1, F, L)."""
        if segments.dim() == 3:
            segments = F.pad(segments, (0, self.sequence.padded_samples - segments.shape[-1]))
            image = self.mel(self._to_device(segments))
        else:
            padding = self.sequence.mel_frames - segments.shape[-1]
            image = F.pad(self._to_device(segments), (0, padding), value=-1.0)
        return self.vae.posterior(image).parameters

    @torch.no_grad()
    def encode(self, segments: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Clean latents z0 (B, C, F, L) of a batch.

        Args:
            segments: audio (B, 1, N), images (B, 1, F, L), or their `posterior_params` (B, 2C, F, L).
            noise: (B, C, F, L) of N(0, 1) to sample the posterior with; None: its mode.
        """
        encoded = segments.shape[1] > 1
        params = self._to_device(segments) if encoded else self.posterior_params(segments)
        posterior = DiagonalGaussianDistribution(params)
        z = posterior.mean if noise is None else posterior.mean + posterior.std * noise.to(posterior.mean)
        return self.vae.scale(z)

    def _to_device(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(self.device, non_blocking=True)

    def _step_noise(self, epoch: int, idx: int, share: Share) -> StepNoise:
        """Random numbers of step `idx` of an epoch (0: validation) for this share of the update's clips."""
        seed = int(np.random.SeedSequence([self.cfg.seed, epoch, idx]).generate_state(1)[0])
        generator, clips = torch.Generator().manual_seed(seed), share.clips
        denoiser = self.model.denoiser
        shape = (clips, denoiser.latent_channels, denoiser.latent_rows, self.sequence.latent_columns)

        def mine(values: torch.Tensor) -> torch.Tensor:
            return self._to_device(share.of(values))

        # In this order, so that a resumed run of an earlier version draws the same numbers.
        return StepNoise(
            t=mine(self.schedule.sample_timesteps(clips, generator=generator)),
            eps=mine(torch.randn(shape, generator=generator)),
            posterior=mine(torch.randn(shape, generator=generator)),
            dropped=mine(torch.rand(clips, generator=generator) < self.cfg.conditioning.dropout),
            cue=mine(torch.rand(clips, generator=generator)),
            objective={name: mine(values) for name, values in self.objective.draw(shape, generator).items()},
            style_dropped=mine(self._style_dropped(clips, generator)),
        )

    def _style_dropped(self, clips: int, generator: torch.Generator) -> torch.Tensor:
        """(B,) bool; draws random numbers only in a model with styles."""
        if self.model.provider.style is None:
            return torch.zeros(clips, dtype=torch.bool)
        return torch.rand(clips, generator=generator) < self.cfg.conditioning.get("style_dropout", 0.0)

    def _dropped_conditions(self, noise: StepNoise) -> dict[str, torch.Tensor]:
        """Clips whose conditions are left out in training, (B,) bool by name of the condition."""
        dropped = self.objective.dropped_streams(noise.dropped)
        return dropped if self.model.provider.style is None else dropped | {STYLE: noise.style_dropped}

    def _negative_latent(
        self, z0: torch.Tensor, mask: torch.Tensor | None, u: torch.Tensor
    ) -> torch.Tensor | None:
        """Clean latents of the negative dance's music; None if the objective does not use them."""
        needed = self.objective.needs_negative_latent or self.cfg.negative.music != "same"
        if not (self.objective.uses_negative and needed):
            return None
        return self.negative_cue.latent(z0, mask, self.sequence.column_seconds, u)

    def _mask(self, infos: list[DanceSegmentInfo]) -> torch.Tensor | None:
        """(B, 1, 1, L): 1 for music, 0 for padding; None if no clip is padded."""
        samples = [info.n_frames for info in infos]
        column = self.sequence.latent_factor * self.sequence.hop_length
        if min(samples) > self.sequence.padded_samples - column:
            return None
        return self._to_device(self.sequence.column_mask(torch.tensor(samples)))

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        segments, infos = batch
        attributes = [info.to_condition_attributes() for info in infos]
        tokenized = self.model.provider.tokenize(attributes, self.objective.streams)
        noise = self._step_noise(self.epoch if self.is_training else 0, idx, self.share(len(infos)))
        z0, mask = self.encode(segments, noise.posterior), self._mask(infos)
        negative_latent = self._negative_latent(z0, mask, noise.cue)
        sample = self.objective.corrupt(z0, noise.eps, noise.t, negative_latent, **noise.objective)
        dropped = noise.dropped if self.is_training else None
        with self.autocast:
            positive, negative = self.model(
                sample, tokenized, self._dropped_conditions(noise) if self.is_training else None
            )
        losses = self.objective.loss(positive, negative, sample, mask, dropped)
        metrics.update(losses.means())
        self.averages.update(losses.by_clip())
        update_by_timestep(self.averages, losses.by_clip(), noise.t, self.schedule.num_train_timesteps)
        if self.is_training:
            self.optimize(losses.total, metrics)
        else:
            self._condition_sensitivity(sample.positive_only(), tokenized, positive, mask)
        return metrics

    def _condition_sensitivity(
        self,
        sample: DualSample,
        tokenized: Mapping[str, Any],
        positive: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> None:
        """Add how much the output, and its loss, change with the dance of the next clip of the batch."""
        if len(positive) < 2:
            return
        others = {name: tokenized[name] for name in (STYLE,) if name in tokenized}
        others[POSITIVE] = tokenized[POSITIVE].rolled(1)
        with self.autocast:
            output, _ = self.model(sample, others)
        change = (positive - output).float().flatten(1).norm(dim=1)
        size = positive.float().flatten(1).norm(dim=1).clamp(min=1e-8)
        self.averages.update(
            {
                "influence": change / size,
                "loss_other_dance": masked_mse(output, sample.target_positive, mask),
            }
        )

    def common_train_valid(self, dataset_split: str, **kwargs: Any) -> dict[str, Any]:
        self.averages = ClipAverages()
        metrics = super().common_train_valid(dataset_split, **kwargs)
        metrics.update(self.averages.compute())
        if metrics.get("cosine_pn", 1.0) < -0.9 and self.objective.name == "shared":
            self.logger.warning(
                "cosine_pn is %.2f: the outputs for the dance and for its negative hardly differ, so that their losses "
                "cancel and the outputs shrink; set another negative.cue or a larger negative.alpha",
                metrics["cosine_pn"],
            )
        return metrics

    def inference(self) -> PNDiffusion:
        """The inference class, with the current weights."""
        return PNDiffusion(self.config, self.model, self.vae, device=self.device, vocoder=self.vocoder)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Generate and score music for every clip of the evaluation split; write `evaluate/report.json`."""
        from ..metrics.corpus import evaluate_corpus, flat_metrics
        from ..metrics.settings import Settings

        self.model.eval()
        if not flashy.distrib.is_rank_zero():
            return {}
        report = evaluate_corpus(
            self.inference(),
            self.cfg.datasource.evaluate,
            self.folder / "evaluate",
            seed=self.cfg.seed,
            command=f"dora run -f {self.xp.sig}",
            settings=Settings.from_config(self.cfg),
            training=self.cfg.datasource.train,
        )
        return flat_metrics(report)

    @torch.no_grad()
    def generate(self) -> None:
        """Store music for some clips and its reference in audiocraft's sample folder. Clip i has the seed + i."""
        self.model.eval()
        manager = SampleManager(self.xp, map_reference_to_sample_id=True)
        model = self.inference()
        clip, workers = flashy.distrib.rank(), flashy.distrib.world_size()  # in the order of `ShareSampler`
        for wav, infos in self.dataloaders["generate"]:
            seeds = [self.cfg.seed + clip + workers * i for i in range(len(infos))]
            made = model.generate_from_conditions([info.dance for info in infos], seeds)
            clip += workers * len(infos)
            manager.add_samples(torch.stack(made), self.epoch, ground_truth_wavs=wav)
