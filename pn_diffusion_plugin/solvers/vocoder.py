"""Solver of the vocoder, from mel spectrograms to audio: `dora run solver=vocoder`.

audiocraft's discriminators, adversarial and spectral losses and balancer train a compact network (`vocos.py`) on any
corpus; features are not needed. A mel spectrogram is computed of a whole segment, since its level is relative to the
segment's maximum, and an update trains on random crops of it.

Stages: train; valid on whole segments; evaluate compares the network with Griffin-Lim; generate stores samples.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import flashy
import numpy as np
import torch
from audiocraft.solvers import builders as audiocraft_builders
from audiocraft.utils.samples.manager import SampleManager
from omegaconf import DictConfig
from torch import nn

from ..errors import UserError
from ..metrics.resynthesis import onset_f, spectral_convergence
from ..models import builders
from ..models.mel_vae import MelVAE
from ..models.vocoders.base import Vocoder
from ..models.vocoders.neural import NeuralVocoder
from ..models.vocoders.trained import load_vocoder
from ..modules.mel import MelSpectrogram
from ..modules.spectral import MultiSpectralConvergence
from .base import PluginSolver
from .loaders import build_dance_loaders
from .prerequisites import load_frozen_vae

INPUTS = ("mel", "autoencoded")


class Pairs(NamedTuple):
    """Inputs and targets of the network."""

    mels: torch.Tensor  # (B, 1, F, L) in [-1, 1]
    waves: torch.Tensor  # (B, 1, L * hop_length), in the network's unit


class VocoderSolver(PluginSolver):
    """Train a network to invert mel spectrograms, or an autoencoder's (`vocoder.input=autoencoded`)."""

    model: Any

    def __init__(self, cfg: DictConfig) -> None:
        if cfg.optim.accumulate != 1:
            raise UserError(
                f"optim.accumulate={cfg.optim.accumulate}: the balancer of the losses needs whole batches; leave "
                "it at 1 and choose a smaller dataset.batch_size or crop.frames"
            )
        if cfg.vocoder.input not in INPUTS:
            raise UserError(f"vocoder.input={cfg.vocoder.input}: give {' or '.join(INPUTS)}")
        super().__init__(cfg)

    def build_model(self) -> None:
        super().build_model()
        self.mel = builders.build_mel(self.config).to(self.device)
        network = builders.build_vocoder_network(self.config, self.mel, self.cfg.vocoder.name)
        self.model = network.to(self.device)
        # In the network's unit, mel spectrograms have a fixed reference.
        unit = {**self.mel.config(), "reference": self.model.gain**2}
        self.unit_mel = MelSpectrogram(**unit).to(self.device)
        self.griffin_lim = builders.build_griffin_lim(self.config, self.mel)
        self.vae: MelVAE | None = None
        if self.cfg.vocoder.input == "autoencoded":
            self.vae, _ = load_frozen_vae(self.config, self.device)
        self.build_optimizer()
        self.adversaries: Any = audiocraft_builders.get_adversarial_losses(self.cfg)
        self.register_stateful("adversaries")
        weights = dict(self.cfg.losses)
        self.spectral: dict[str, nn.Module] = {
            name: self._spectral_loss(name).to(self.device)
            for name, weight in weights.items()
            if weight > 0 and name not in ("adv", "feat", "picture")
        }
        self.weights: dict[str, float] = {
            name: weights[name] for name in ("picture", *self.spectral) if weights[name] > 0
        }
        if not self.weights and self.cfg.adversarial.start > 0:
            raise UserError(
                "all losses but adv and feat have weight 0, so nothing is trained before the discriminators start: "
                "give one a weight, or set adversarial.start=0"
            )
        self.adversarial_weights = {
            f"{kind}_{name}": weights[kind] for name in self.adversaries for kind in ("adv", "feat")
        }
        self._reset_balancer()

    def _spectral_loss(self, name: str) -> nn.Module:
        """Distance of waves (B, 1, N), by its name in `losses`."""
        if name == "convergence":
            return MultiSpectralConvergence(**self.config["convergence"])
        return audiocraft_builders.get_loss(name, self.cfg)

    def _reset_balancer(self) -> None:
        """Build new balancers: their averages are not in checkpoints, so that every epoch starts without."""
        self.balancer = audiocraft_builders.get_balancer(self.weights, self.cfg.balancer)
        self.adversarial_balancer = audiocraft_builders.get_balancer(
            {**self.weights, **self.adversarial_weights}, self.cfg.balancer
        )

    def load_from_pretrained(self, name: str) -> dict[str, Any]:
        return {"best_state": {"model": dict(load_vocoder(name).state)}}

    def build_dataloaders(self) -> None:
        self.dataloaders = build_dance_loaders(self.config, load_features=False)

    def show(self) -> None:
        self.log_model_summary(self.model)

    def common_train_valid(self, dataset_split: str, **kwargs: Any) -> dict[str, float]:
        self._reset_balancer()
        return super().common_train_valid(dataset_split, **kwargs)

    @torch.no_grad()
    def pairs(self, wav: torch.Tensor) -> Pairs:
        """Mel spectrograms of segments (B, 1, N), and the audio that belongs to them."""
        wav = wav.to(self.device, non_blocking=True)
        power = self.mel.power(wav)
        reference = self.mel.reference_power(power)
        mels = self.mel.to_mel(power, reference)
        if self.vae is not None:
            mels = mels[..., : mels.shape[-1] // self.vae.factor * self.vae.factor]
            mels = self.vae.decode(self.vae.encode(mels, sample=False))
        samples = mels.shape[-1] * self.mel.hop_length
        wav = nn.functional.pad(wav, (0, max(0, samples - wav.shape[-1])))[..., :samples]
        return Pairs(mels, wav * (self.model.gain / reference[..., 0].sqrt()))

    def random_crop(self, pairs: Pairs) -> Pairs:
        """A random crop of each clip, attenuated by up to `crop.quieter_db`."""
        share, hop = self.share(len(pairs.mels)), self.mel.hop_length
        drawn = share.of(torch.rand(share.clips, 2))
        frames = min(self.cfg.crop.frames, pairs.mels.shape[-1])
        starts = (drawn[:, 0] * (pairs.mels.shape[-1] - frames + 1)).long().tolist()
        quieter = self.cfg.crop.quieter_db * drawn[:, 1].to(self.device)[:, None, None]
        mels = torch.stack([one[..., s : s + frames] for one, s in zip(pairs.mels, starts, strict=True)])
        waves = torch.stack(
            [one[..., s * hop : (s + frames) * hop] for one, s in zip(pairs.waves, starts, strict=True)]
        )
        lower = 2 * quieter[..., None] / self.mel.dynamic_range_db
        return Pairs((mels - lower).clamp(min=-1), waves * 10 ** (-quieter / 20))

    def adversarial(self, idx: int) -> bool:
        """Whether the discriminators are used in update `idx` of this epoch."""
        done = (self.epoch - 1) * self.train_updates_per_epoch + idx
        return len(self.adversaries) > 0 and done >= self.cfg.adversarial.start

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        mels, waves = self.pairs(batch[0])
        if self.is_training:
            mels, waves = self.random_crop(Pairs(mels, waves))
        with self.autocast:
            estimate = self.model(mels)
        # Losses are computed on a detached copy: the balancer scales their gradients with respect to it.
        generated = estimate.detach().requires_grad_(self.is_training)
        losses = self._spectral_losses(generated, waves)
        balancer = self.balancer
        if self.is_training and self.adversarial(idx):
            balancer = self.adversarial_balancer
            for name, adversary in self.adversaries.items():
                if idx % self.cfg.adversarial.every == 0:
                    metrics[f"d_{name}"] = adversary.train_adv(generated, waves).detach()
                losses[f"adv_{name}"], losses[f"feat_{name}"] = adversary(generated, waves)
        metrics.update({name: loss.detach() for name, loss in losses.items()})
        if self.is_training:
            metrics["loss"] = balancer.backward(losses, generated)
            assert generated.grad is not None
            self.optimize((estimate * generated.grad).sum(), metrics)
        else:
            metrics["loss"] = sum(self.weights[name] * losses[name] for name in self.weights)
        return metrics

    def _spectral_losses(self, generated: torch.Tensor, waves: torch.Tensor) -> dict[str, torch.Tensor]:
        losses: dict[str, torch.Tensor] = {}
        if "picture" in self.weights:
            losses["picture"] = (self.unit_mel(generated) - self.unit_mel(waves)).abs().mean()
        for name, criterion in self.spectral.items():
            losses[name] = criterion(generated, waves)
        return losses

    def vocoder(self) -> NeuralVocoder:
        """The inference class, with the current weights."""
        return NeuralVocoder(self.model, self.cfg.vocoder.refinement)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Score the network and, as `griffin_lim/…`, Griffin-Lim on the evaluation split.

        Inputs are mel spectrograms, reconstructed ones with `vocoder.input=autoencoded`. Metrics: `l1` (mean absolute
        difference of the mel spectrograms), `convergence`, `onset_f25` (see `metrics.resynthesis`) and
        `seconds_per_second` (CPU time per second of audio).
        """
        self.model.eval()
        average = flashy.averager()
        metrics: dict[str, Any] = {}
        loader = self.dataloaders["evaluate"]
        vocoders: dict[str, Vocoder] = {"": self.vocoder(), "griffin_lim/": self.griffin_lim}
        for batch in self.log_progress("evaluate", loader, total=len(loader), updates=self.log_updates):
            mels, waves = self.pairs(batch[0])
            expected = self.unit_mel(waves)
            found: dict[str, Any] = {}
            for name, vocoder in vocoders.items():
                started = time.process_time()
                audio = vocoder(mels, waves.shape[-1])
                spent = time.process_time() - started
                seconds = waves.shape[-1] / self.mel.sample_rate * len(waves)
                scores = _scores(waves.cpu().numpy(), audio.cpu().numpy(), self.mel.sample_rate)
                l1 = (self.mel(audio) - expected).abs().mean()
                found |= {f"{name}{key}": value for key, value in scores.items()}
                found |= {f"{name}l1": l1, f"{name}seconds_per_second": spent / seconds}
            metrics = average(found)
        return flashy.distrib.average_metrics(metrics, len(loader))

    @torch.no_grad()
    def generate(self) -> None:
        """Store the network's output and the originals in audiocraft's sample folder."""
        self.model.eval()
        manager = SampleManager(self.xp, map_reference_to_sample_id=True)
        vocoder = self.vocoder()
        for batch in self.dataloaders["generate"]:
            mels, waves = self.pairs(batch[0])
            samples = min(waves.shape[-1], batch[0].shape[-1])
            wav = vocoder(mels, samples)
            manager.add_samples(wav.cpu(), self.epoch, ground_truth_wavs=batch[0][..., :samples])


def _scores(originals: np.ndarray, audio: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Means over the clips (B, 1, N) of a batch."""
    both = [(a[0], b[0]) for a, b in zip(originals, audio, strict=True)]
    onsets = [onset_f(a, b, sample_rate) for a, b in both]
    return {
        "convergence": float(np.mean([spectral_convergence(a, b) for a, b in both])),
        "onset_f25": 1.0 if np.isnan(onsets).all() else float(np.nanmean(onsets)),
    }
