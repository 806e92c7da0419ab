"""Solver of the vocoder: `dora run solver=vocoder`, from mel pictures to sound.

audiocraft's discriminators, adversarial and spectral losses and balancer train a compact network (`vocos.py`)
on random moments of any corpus; features are not needed. A picture is made of a whole segment, so that its moments have
the levels that moments of a clip have, and a moment of it is cut out for the update.

Stages: train; valid on whole segments; evaluate puts the network beside Griffin-Lim; generate stores what it makes.
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
    """What the network gets and what it is to give."""

    pictures: torch.Tensor  # (B, 1, F, L) in [-1, 1]
    waves: torch.Tensor  # (B, 1, L * hop_length), in the network's unit


class VocoderSolver(PluginSolver):
    """A network that inverts the mel, or what an autoencoder leaves of it (`vocoder.input=autoencoded`)."""

    model: Any

    def __init__(self, cfg: DictConfig) -> None:
        if cfg.optim.accumulate != 1:
            raise UserError(
                f"optim.accumulate={cfg.optim.accumulate}: the balancer of the losses sees whole batches only; leave "
                "it at 1 and choose a smaller dataset.batch_size or crop.frames"
            )
        if cfg.vocoder.input not in INPUTS:
            raise UserError(f"vocoder.input={cfg.vocoder.input}: give {' or '.join(INPUTS)}")
        super().__init__(cfg)

    def build_model(self) -> None:
        super().build_model()
        self.mel = builders.build_mel(self.config).to(self.device)
        self.model = builders.build_vocoder_network(self.config, self.mel, self.cfg.vocoder.name).to(
            self.device
        )
        # Sound in the network's unit has its picture against a fixed reference.
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
                "all losses but adv and feat are 0: give one a weight, or adversarial.start=0, for nothing would be "
                "learned before the discriminators begin"
            )
        self.adversarial_weights = {
            f"{kind}_{name}": weights[kind] for name in self.adversaries for kind in ("adv", "feat")
        }
        self._reset_balancer()

    def _spectral_loss(self, name: str) -> nn.Module:
        """A difference of waves (B, 1, N), by its name in `losses`."""
        if name == "convergence":
            return MultiSpectralConvergence(**self.config["convergence"])
        return audiocraft_builders.get_loss(name, self.cfg)

    def _reset_balancer(self) -> None:
        """Its mean norms are no part of a checkpoint: begun anew each epoch, a resumed run has the same."""
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
        """Segments (B, 1, N) as pictures and the sound they stand for."""
        wav = wav.to(self.device, non_blocking=True)
        power = self.mel.power(wav)
        reference = self.mel.reference_power(power)
        pictures = self.mel.to_mel(power, reference)
        if self.vae is not None:
            pictures = pictures[..., : pictures.shape[-1] // self.vae.factor * self.vae.factor]
            pictures = self.vae.decode(self.vae.encode(pictures, sample=False))
        samples = pictures.shape[-1] * self.mel.hop_length
        wav = nn.functional.pad(wav, (0, max(0, samples - wav.shape[-1])))[..., :samples]
        return Pairs(pictures, wav * (self.model.gain / reference[..., 0].sqrt()))

    def moments(self, pairs: Pairs) -> Pairs:
        """A random moment of each clip, at a random level below the one it has; the numbers are drawn for all clips."""
        share, hop = self.share(len(pairs.pictures)), self.mel.hop_length
        drawn = share.of(torch.rand(share.clips, 2))
        frames = min(self.cfg.crop.frames, pairs.pictures.shape[-1])
        starts = (drawn[:, 0] * (pairs.pictures.shape[-1] - frames + 1)).long().tolist()
        quieter = self.cfg.crop.quieter_db * drawn[:, 1].to(self.device)[:, None, None]
        pictures = torch.stack(
            [one[..., s : s + frames] for one, s in zip(pairs.pictures, starts, strict=True)]
        )
        waves = torch.stack(
            [one[..., s * hop : (s + frames) * hop] for one, s in zip(pairs.waves, starts, strict=True)]
        )
        darker = 2 * quieter[..., None] / self.mel.dynamic_range_db
        return Pairs((pictures - darker).clamp(min=-1), waves * 10 ** (-quieter / 20))

    def adversarial(self, idx: int) -> bool:
        """Whether the discriminators judge update `idx` of this epoch."""
        done = (self.epoch - 1) * self.train_updates_per_epoch + idx
        return len(self.adversaries) > 0 and done >= self.cfg.adversarial.start

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        pictures, waves = self.pairs(batch[0])
        if self.is_training:
            pictures, waves = self.moments(Pairs(pictures, waves))
        with self.autocast:
            estimate = self.model(pictures)
        # Losses are taken of a copy, so that their gradients meet in one place, where the balancer weighs them.
        made = estimate.detach().requires_grad_(self.is_training)
        losses = self._spectral_losses(made, waves)
        balancer = self.balancer
        if self.is_training and self.adversarial(idx):
            balancer = self.adversarial_balancer
            for name, adversary in self.adversaries.items():
                if idx % self.cfg.adversarial.every == 0:
                    metrics[f"d_{name}"] = adversary.train_adv(made, waves).detach()
                losses[f"adv_{name}"], losses[f"feat_{name}"] = adversary(made, waves)
        metrics.update({name: loss.detach() for name, loss in losses.items()})
        if self.is_training:
            metrics["loss"] = balancer.backward(losses, made)
            assert made.grad is not None
            self.optimize((estimate * made.grad).sum(), metrics)
        else:
            metrics["loss"] = sum(self.weights[name] * losses[name] for name in self.weights)
        return metrics

    def _spectral_losses(self, made: torch.Tensor, waves: torch.Tensor) -> dict[str, torch.Tensor]:
        losses: dict[str, torch.Tensor] = {}
        if "picture" in self.weights:
            losses["picture"] = (self.unit_mel(made) - self.unit_mel(waves)).abs().mean()
        for name, criterion in self.spectral.items():
            losses[name] = criterion(made, waves)
        return losses

    def vocoder(self) -> NeuralVocoder:
        """What a user calls, around the weights as they are now."""
        return NeuralVocoder(self.model, self.cfg.vocoder.refinement)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """The evaluation split by the network and, as `griffin_lim/…`, by Griffin-Lim.

        Of a picture and back: `l1` (mean difference of the pictures), `convergence`, `onset_f25` (see
        `metrics.resynthesis`) and `seconds_per_second` (processor time over length). Of unaltered pictures, or of
        autoencoded ones with `vocoder.input=autoencoded`.
        """
        self.model.eval()
        average = flashy.averager()
        metrics: dict[str, Any] = {}
        loader = self.dataloaders["evaluate"]
        ways: dict[str, Vocoder] = {"": self.vocoder(), "griffin_lim/": self.griffin_lim}
        for batch in self.log_progress("evaluate", loader, total=len(loader), updates=self.log_updates):
            pictures, waves = self.pairs(batch[0])
            wanted = self.unit_mel(waves)
            found: dict[str, Any] = {}
            for name, way in ways.items():
                begun = time.process_time()
                again = way(pictures, waves.shape[-1])
                spent = time.process_time() - begun
                seconds = waves.shape[-1] / self.mel.sample_rate * len(waves)
                scores = _scores(waves.cpu().numpy(), again.cpu().numpy(), self.mel.sample_rate)
                l1 = (self.mel(again) - wanted).abs().mean()
                found |= {f"{name}{key}": value for key, value in scores.items()}
                found |= {f"{name}l1": l1, f"{name}seconds_per_second": spent / seconds}
            metrics = average(found)
        return flashy.distrib.average_metrics(metrics, len(loader))

    @torch.no_grad()
    def generate(self) -> None:
        """Store what the network makes beside the originals."""
        self.model.eval()
        manager = SampleManager(self.xp, map_reference_to_sample_id=True)
        vocoder = self.vocoder()
        for batch in self.dataloaders["generate"]:
            pictures, waves = self.pairs(batch[0])
            samples = min(waves.shape[-1], batch[0].shape[-1])
            wav = vocoder(pictures, samples)
            manager.add_samples(wav.cpu(), self.epoch, ground_truth_wavs=batch[0][..., :samples])


def _scores(originals: np.ndarray, again: np.ndarray, sample_rate: int) -> dict[str, float]:
    """Means over the clips (B, 1, N) of a batch."""
    both = [(a[0], b[0]) for a, b in zip(originals, again, strict=True)]
    onsets = [onset_f(a, b, sample_rate) for a, b in both]
    return {
        "convergence": float(np.mean([spectral_convergence(a, b) for a, b in both])),
        "onset_f25": 1.0 if np.isnan(onsets).all() else float(np.nanmean(onsets)),
    }
