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

_SCALE_BATCHES = 16  # batches of the training set on which the latent's scale is measured


class MelVAESolver(PluginSolver):
    """L1 + KL, and by config a patch discriminator with feature matching as perceptual term.

    The discriminator's features stand in for a pretrained perceptual network: those know photographs, and
    cannot be had without a model hub.
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

    def picture(self, wav: torch.Tensor) -> torch.Tensor:
        """Mel (B, 1, F, L) of a batch of segments, cut so that f divides its length."""
        mel = self.mel(wav.to(self.device))
        return mel[..., : mel.shape[-1] // self.model.factor * self.model.factor]

    def sample(self, posterior: DiagonalGaussianDistribution) -> torch.Tensor:
        """A sample (B, C, F, L) of a posterior over this worker's clips."""
        mean, share = posterior.mean, self.share(len(posterior.mean))
        noise = torch.randn(share.clips, *mean.shape[1:], device=mean.device, dtype=mean.dtype)
        return mean + posterior.std * share.of(noise)

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        mel = self.picture(batch[0])
        with self.autocast:
            posterior = self.model.posterior(mel)
            # At validation the mode, so that the number is the same every time.
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
        """Measure the latent's scale on the training set, with the weights that are kept; then validate."""
        self.fit_scale()
        return self.common_train_valid("valid")

    @torch.no_grad()
    def fit_scale(self) -> None:
        """Store the latent's mean and standard deviation a channel over some training batches in the model."""
        self.model.eval()
        latents = []
        for index, batch in enumerate(self.dataloaders["train"]):
            if index == _SCALE_BATCHES:
                break
            latents.append(self.sample(self.model.posterior(self.picture(batch[0]))).float())
        self.model.fit_scale(gather_clips(torch.cat(latents)))

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Reconstruction of the evaluation split: mel L1 through the autoencoder, and through the vocoder as well."""
        self.model.eval()
        average = flashy.averager()
        metrics: dict[str, Any] = {}
        loader = self.dataloaders["evaluate"]
        for batch in self.log_progress("evaluate", loader, total=len(loader), updates=self.log_updates):
            mel = self.picture(batch[0])
            estimate = self.model.decode(self.model.encode(mel, sample=False))
            wav = self.vocoder(estimate.float(), estimate.shape[-1] * self.mel.hop_length)
            metrics = average(
                {"l1": (estimate - mel).abs().mean(), "l1_vocoder": (self.picture(wav) - mel).abs().mean()}
            )
        return flashy.distrib.average_metrics(metrics, len(loader))

    @torch.no_grad()
    def generate(self) -> None:
        """Store reconstructions beside their references."""
        self.model.eval()
        manager = SampleManager(self.xp, map_reference_to_sample_id=True)
        for batch in self.dataloaders["generate"]:
            reference = batch[0]
            estimate = self.model.decode(self.model.encode(self.picture(reference), sample=False))
            wav = self.vocoder(estimate.float(), estimate.shape[-1] * self.mel.hop_length)
            manager.add_samples(wav.cpu(), self.epoch, ground_truth_wavs=reference[..., : wav.shape[-1]])
