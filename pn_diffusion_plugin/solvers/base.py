"""What both of our solvers add to audiocraft's `StandardSolver`.

* Checkpoints of plain containers and tensors, so that `torch.load(weights_only=True)` reads them again.
* A seed for every epoch: an interrupted run that resumes at an epoch's start draws the same numbers as one that
  was never interrupted.
* The best state kept in full precision (audiocraft stores it in the autocast type).
"""

from __future__ import annotations

import random
from typing import Any

import flashy
import numpy as np
import torch
from audiocraft.solvers import base, builders
from audiocraft.utils.best_state import BestStateDictManager
from omegaconf import DictConfig, OmegaConf

from .._compat import plain


class PluginSolver(base.StandardSolver):
    """A `StandardSolver` that resumes exactly. Subclasses build models in `build_model`, after calling it here."""

    def __init__(self, cfg: DictConfig) -> None:
        self.autocast_dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}[cfg.autocast_dtype]
        self.config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        torch.manual_seed(cfg.seed)  # the initial weights do not depend on what was drawn before
        super().__init__(cfg)

    @property
    def best_metric_name(self) -> str | None:
        """The valid metric that picks the best state; None (the default): the last state is the best."""
        return self.cfg.checkpoint.best_metric

    def build_model(self) -> None:
        self.best_state = BestStateDictManager()

    def build_optimizer(self) -> None:
        """Optimiser and learning-rate schedule over `self.model`, registered with model, EMA and best state."""
        self.optimizer = builders.get_optimizer(self.model.parameters(), self.cfg.optim)
        self.lr_scheduler = builders.get_lr_scheduler(self.optimizer, self.cfg.schedule, self.total_updates)
        self.register_stateful("model", "optimizer")
        if self.lr_scheduler is not None:
            self.register_stateful("lr_scheduler")
        self.register_best_state("model")
        self.register_ema("model")

    def state_dict(self) -> Any:
        return plain(super().state_dict())

    def run(self) -> None:
        super().run()
        if flashy.distrib.is_rank_zero():
            # Already written, unless the run was killed between its last checkpoint and its history.
            self.xp.link.update_history(self.history)

    def run_epoch(self) -> None:
        self.seed_epoch()
        super().run_epoch()

    def seed_epoch(self) -> None:
        """Make the epoch's random numbers a function of seed, epoch and rank alone."""
        seed = (self.cfg.seed * 1_000_003 + self.epoch) * 1_009 + flashy.distrib.rank()
        seed %= 2**31
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        for loader in self.dataloaders.values():
            if hasattr(loader.dataset, "start_epoch"):
                loader.dataset.start_epoch(self.epoch)

    def optimize(self, loss: torch.Tensor, metrics: dict[str, Any]) -> None:
        """One update: backward, average over workers, clip, step."""
        loss.backward()
        flashy.distrib.sync_model(self.model)
        if self.cfg.optim.max_norm:
            metrics["grad_norm"] = torch.nn.utils.clip_grad_norm_(
                self.model.parameters(), self.cfg.optim.max_norm
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.lr_scheduler is not None:
            metrics["lr"] = torch.tensor(self.lr_scheduler.get_last_lr()[0])
            self.lr_scheduler.step()
