"""Solver of the mel autoencoder: `dora run solver=mel_vae`."""

from __future__ import annotations

from typing import Any

import flashy
import torch
from audiocraft import adversarial
from audiocraft.utils.samples.manager import SampleManager
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from ..models import builders
from ..models.io.checkpoint import load_vae_weights
from ..models.patch_discriminator import PatchDiscriminator
from .base import PluginSolver, build_optimizer
from .distributed import gather_clips
from .loaders import build_dance_loaders

_SCALE_BATCHES = 16  # training batches that the latent's mean and standard deviation are computed on


class MelVAESolver(PluginSolver):
    """L1 and KL losses; by config a patch discriminator, whose feature matching is the perceptual loss.

    Pretrained perceptual networks are not used: they are trained on photographs and come from a model hub.
    """

    model: Any

    def build_model(self) -> None:
        super().build_model()
        self.mel = builders.build_mel(self.config).to(self.device)
        self.vocoder = builders.build_griffin_lim(self.config, self.mel)
        self.model = builders.build_vae(self.config).to(self.device)
        self.build_optimizer()
        self.adversary: adversarial.AdversarialLoss | None = None
        if self.cfg.losses.adversarial > 0 or self.cfg.losses.perceptual > 0:
            discriminator = PatchDiscriminator(**self.config["discriminator"]).to(self.device)
            self.adversary = adversarial.AdversarialLoss(
                discriminator,
                build_optimizer(discriminator.parameters(), self.cfg.optim),
                loss=adversarial.get_adv_criterion("hinge"),
                loss_real=adversarial.get_real_criterion("hinge"),
                loss_fake=adversarial.get_fake_criterion("hinge"),
                loss_feat=adversarial.FeatureMatchingLoss(torch.nn.L1Loss()),
            )
            self.register_stateful("adversary")

    def load_from_pretrained(self, name: str) -> dict[str, Any]:
        return {"best_state": {"model": load_vae_weights(name).vae}}

    def build_dataloaders(self) -> None:
        self.dataloaders = build_dance_loaders(self.config, load_features=False)

    def show(self) -> None:
        self.log_model_summary(self.model)
        self.logger.info(
            "Compression: %d times in time and frequency, %d channels",
            self.model.factor,
            self.model.latent_channels,
        )

    def mel_spectrogram(self, wav: torch.Tensor) -> torch.Tensor:
        """Mel spectrogram (B, 1, F, L) of a batch of segments, cut to a multiple of the compression factor."""
        mel = self.mel(wav.to(self.device))
        return mel[..., : mel.shape[-1] // self.model.factor * self.model.factor]

    def sample(self, posterior: DiagonalGaussianDistribution) -> torch.Tensor:
        """Sample (B, C, F, L) of the posterior of this worker's clips."""
        mean, share = posterior.mean, self.share(len(posterior.mean))
        noise = torch.randn(share.clips, *mean.shape[1:], device=mean.device, dtype=mean.dtype)
        return mean + posterior.std * share.of(noise)

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        mel = self.mel_spectrogram(batch[0])
        with self.autocast:
            posterior = self.model.posterior(mel)
            # The mode in validation, so that its loss is reproducible.
            latent = self.sample(posterior) if self.is_training else posterior.mode()
            estimate = self.model.decode_unscaled(latent)
        estimate = estimate.float()
        l1 = (estimate - mel).abs().mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss = self.cfg.losses.l1 * l1 + self.cfg.losses.kl * kl
        metrics.update(l1=l1.detach(), kl=kl.detach())
        if self.adversary is not None:
            if self.is_training:
                metrics["d_loss"] = self.adversary.train_adv(estimate.detach(), mel)
            adv, feat = self.adversary(estimate, mel)
            loss = loss + self.cfg.losses.adversarial * adv + self.cfg.losses.perceptual * feat
            metrics.update(adv=adv.detach(), perceptual=feat.detach())
        metrics["loss"] = loss.detach()
        if self.is_training:
            self.optimize(loss, metrics)
        return metrics

    def valid(self) -> dict[str, Any]:
        """Fit the latent's scale on the training set with the averaged weights, then validate."""
        self.fit_scale()
        return self.common_train_valid("valid")

    @torch.no_grad()
    def fit_scale(self) -> None:
        """Store the latent's mean and standard deviation per channel, over some training batches, in the model."""
        self.model.eval()
        latents = []
        for index, batch in enumerate(self.dataloaders["train"]):
            if index == _SCALE_BATCHES:
                break
            latents.append(self.sample(self.model.posterior(self.mel_spectrogram(batch[0]))).float())
        self.model.fit_scale(gather_clips(torch.cat(latents)))

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Mel L1 of reconstructions of the evaluation split, without and with the vocoder."""
        self.model.eval()
        average = flashy.averager()
        metrics: dict[str, Any] = {}
        loader = self.dataloaders["evaluate"]
        for batch in self.log_progress("evaluate", loader, total=len(loader), updates=self.log_updates):
            mel = self.mel_spectrogram(batch[0])
            estimate = self.model.decode(self.model.encode(mel, sample=False))
            wav = self.vocoder(estimate.float(), estimate.shape[-1] * self.mel.hop_length)
            metrics = average(
                {
                    "l1": (estimate - mel).abs().mean(),
                    "l1_vocoder": (self.mel_spectrogram(wav) - mel).abs().mean(),
                }
            )
        return flashy.distrib.average_metrics(metrics, len(loader))

    @torch.no_grad()
    def generate(self) -> None:
        """Store reconstructions and their references in audiocraft's sample folder."""
        self.model.eval()
        manager = SampleManager(self.xp, map_reference_to_sample_id=True)
        for batch in self.dataloaders["generate"]:
            reference = batch[0]
            estimate = self.model.decode(self.model.encode(self.mel_spectrogram(reference), sample=False))
            wav = self.vocoder(estimate.float(), estimate.shape[-1] * self.mel.hop_length)
            manager.add_samples(wav.cpu(), self.epoch, ground_truth_wavs=reference[..., : wav.shape[-1]])
