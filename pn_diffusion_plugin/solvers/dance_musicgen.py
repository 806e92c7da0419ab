"""Solver of the MusicGen baseline: `dora run solver=dance_musicgen`.

audiocraft's `MusicGenSolver` and language model with PN-Diffusion's dance encoder, data and scores. The evaluate stage
is PN-Diffusion's, so that both models have the same report; the other stages are audiocraft's.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import flashy
import torch
from audiocraft.solvers.musicgen import MusicGenSolver
from omegaconf import DictConfig

from ..data.dataset import DanceDataset
from ..errors import UserError
from ..models.builders import build_feature_spec
from ..models.musicgen.builders import build_dance_lm, build_lm_sequence
from ..models.musicgen.codec import Codec, load_codec
from ..models.musicgen.dance_musicgen import DanceMusicGen
from .base import PluginSolver
from .loaders import build_dance_loaders, fit_statistics
from .prerequisites import ensure_trained


class DanceMusicGenSolver(PluginSolver, MusicGenSolver):
    """MusicGen with a dance condition.

    Raises:
        UserError: `cache.path` is set.
    """

    model: Any

    def __init__(self, cfg: DictConfig) -> None:
        if cfg.cache.path:
            raise UserError(
                f"cache.path={cfg.cache.path}: audiocraft's cache of codes holds no dance conditions: leave it null"
            )
        # audiocraft warns of a change in its version 1.1.0 at every update.
        warnings.filterwarnings("ignore", message="Up to version 1.0.1")
        super().__init__(cfg)

    def load_from_pretrained(self, name: str) -> dict[str, Any]:
        return {"best_state": {"model": DanceMusicGen.get_pretrained(name).lm.state_dict()}}

    def build_dataloaders(self) -> None:
        self.dataloaders = build_dance_loaders(self.config)

    def build_model(self) -> None:
        super().build_model()
        self.codec = self._load_codec()
        self.compression_model = self.codec.model
        self.sequence = build_lm_sequence(self.config, self.codec)
        self.model = build_dance_lm(self.config, self.codec, self.device)
        self.inference()  # validates `generate.lm` before the training rather than after it
        dataset = self.dataloaders["train"].dataset
        assert isinstance(dataset, DanceDataset)
        encoder = self.model.condition_provider.dance.encoder
        fit_statistics(encoder, dataset, build_feature_spec(self.config))
        self.build_optimizer()
        self.register_stateful("codec_source", write_only=True)

    def _load_codec(self) -> Codec:
        """The frozen codec; with `codec.checkpoint=auto` a missing one is trained first."""
        self.codec_source = ensure_trained(self.config, "codec", ())
        return load_codec(self.codec_source, self.cfg.codec.codebooks, self.device)

    def modules_to_compile(self) -> Iterable[torch.nn.Module]:
        return [self.model.transformer]

    def show(self) -> None:
        super().show()
        for name, part in (
            ("dance encoder", self.model.condition_provider),
            ("language model", self.model),
            ("codec (frozen)", self.compression_model),
        ):
            self.logger.info("%s: %.3f M parameters", name, sum(p.numel() for p in part.parameters()) / 1e6)
        self.logger.info("Lengths: %s", self.sequence)

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        """Mean cross entropy of the codebooks by audiocraft's methods; the update is that of `PluginSolver`."""
        self.model.cfg_dropout.share = self.share(len(batch[0]))
        conditions, codes, padding = self._prepare_tokens_and_attributes(batch)
        with self.autocast:
            output = self.model.compute_predictions(codes, [], conditions)
            ce, of_codebook = self._compute_cross_entropy(output.logits, codes, padding & output.mask)
        metrics["ce"], metrics["ppl"] = ce.detach(), ce.detach().exp()
        metrics.update({f"ce_q{number}": value for number, value in enumerate(of_codebook, start=1)})
        if self.is_training:
            self.optimize(ce, metrics)
        return metrics

    def inference(self) -> DanceMusicGen:
        """The inference class, with the current weights."""
        return DanceMusicGen(self.config, self.model, self.codec, device=self.device)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Cross entropy of the evaluation split; generate and score music for its clips."""
        from ..metrics.corpus import evaluate_corpus, flat_metrics
        from ..metrics.settings import Settings

        metrics = dict(self.common_train_valid("evaluate")) if self.cfg.evaluate.metrics.base else {}
        self.model.eval()
        if not flashy.distrib.is_rank_zero():
            return metrics
        report = evaluate_corpus(
            self.inference(),
            self.cfg.datasource.evaluate,
            self.folder / "evaluate",
            seed=self.cfg.seed,
            command=f"dora run -f {self.xp.sig}",
            label="MusicGen",
            settings=Settings.from_config(self.cfg),
            training=self.cfg.datasource.train,
        )
        return {**metrics, **flat_metrics(report)}
