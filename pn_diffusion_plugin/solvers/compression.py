"""Solver of the baseline's codec, `dora run solver=compression`: audiocraft's own on the music of a dance corpus."""

from __future__ import annotations

from typing import Any

import flashy
from audiocraft.models.builders import get_compression_model
from audiocraft.solvers.compression import CompressionSolver
from omegaconf import DictConfig

from ..errors import UserError
from .base import PluginSolver
from .loaders import build_dance_loaders


class CodecSolver(PluginSolver, CompressionSolver):
    """audiocraft's `CompressionSolver` with this package's data and checkpoints and a learning-rate schedule.

    Raises:
        UserError: `optim.accumulate` is not 1.
    """

    model: Any

    def __init__(self, cfg: DictConfig) -> None:
        if cfg.optim.accumulate != 1:
            raise UserError(
                f"optim.accumulate={cfg.optim.accumulate}: audiocraft's compression solver updates after every batch; "
                "leave it at 1 and choose a smaller dataset.batch_size or segment_seconds"
            )
        super().__init__(cfg)

    def build_dataloaders(self) -> None:
        self.dataloaders = build_dance_loaders(self.config, load_features=False)

    def build_model(self) -> None:
        super().build_model()
        self.model = get_compression_model(self.cfg).to(self.device)
        self.build_optimizer()

    def run_epoch(self) -> None:
        # Checkpoints do not hold the balancer's averages: reset every epoch, they are the same in a resumed run.
        self.balancer.averager = flashy.averager(self.cfg.balancer.ema_decay)
        super().run_epoch()

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        metrics = super().run_step(idx, batch[0], metrics)
        if self.is_training and self.lr_scheduler is not None:
            self.lr_scheduler.step()
        return {k: v.detach() if hasattr(v, "detach") else v for k, v in metrics.items()}
