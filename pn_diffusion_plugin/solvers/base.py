"""What this package's solvers add to audiocraft's `StandardSolver`.

* Checkpoints of plain containers and tensors, which `torch.load(weights_only=True)` reads.
* A seed for every epoch: a resumed run draws the same numbers as one that was never interrupted, and every worker
  draws the same (`distributed.py`).
* Gradient accumulation, and metrics averaged by name over parts and workers.
* Loss scaling for float16, `torch.compile` and channels-last in place, a fast moving average of the weights, and no
  step that waits for the device: metrics are read when they are shown.
* The best state in full precision (audiocraft stores it in the autocast type).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import flashy
import numpy as np
import torch
from audiocraft.optim.ema import ModuleDictEMA
from audiocraft.solvers import base, builders
from audiocraft.utils.best_state import BestStateDictManager
from omegaconf import DictConfig, OmegaConf
from torch import nn

from .._compat import plain
from ..errors import CheckpointError, UserError
from ..models.io.checkpoint import check_whole
from .distributed import Share, ShareSampler, WeightedMeans, wait_for_all


def build_optimizer(parameters: Iterable[nn.Parameter], cfg: DictConfig) -> torch.optim.Optimizer:
    """audiocraft's optimiser by `optim.optimizer`; `optim.adam.fused` is for torch's own (adam, adamw)."""
    if cfg.optimizer == "dadam":
        cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
        cfg.adam.pop("fused", None)
    return builders.get_optimizer(parameters, cfg)


class ForeachEMA(ModuleDictEMA):
    """audiocraft's moving average of the weights, with one operation for all tensors instead of two per tensor.

    e ← e + w (x - e), w = 1 - decay, larger in the first steps. State and, to rounding, numbers are those of
    `ModuleDictEMA`. Where `device` is not the weights' own, they are copied to it first.
    """

    def _init(self) -> None:
        super()._init()
        self._averages: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        for name, module in self.module_dict.items():
            tensors = dict([*module.named_buffers(), *module.named_parameters()])
            for key, average in self.state[name].items():
                self._averages.append(average)
                self._values.append(tensors[key])

    @torch.no_grad()
    def step(self) -> None:
        """Update the average with the current weights."""
        if self.unbias:
            self.count = self.count * self.decay + 1  # type: ignore[assignment]
        weight = 1 / self.count if self.unbias else 1 - self.decay
        values = [v.to(average.device) for v, average in zip(self._values, self._averages, strict=True)]
        torch._foreach_lerp_(self._averages, values, weight)


def check_last_checkpoint(file: Path) -> None:
    """Validate the checkpoint that an experiment resumes from, and remove an incomplete newer one.

    audiocraft writes `file`.tmp, creates `file`.tmp.done beside it and renames the first; if it finds both at the next
    start, it renames then. The mark exists before the last bytes do, so that after a full disk or a kill at that moment
    an incomplete file would replace the complete one.

    Raises:
        CheckpointError: `file` is damaged.
    """
    if flashy.distrib.is_rank_zero():
        temporary, mark = Path(f"{file}.tmp"), Path(f"{file}.tmp.done")
        try:
            if temporary.exists():
                check_whole(temporary)
        except CheckpointError:
            mark.unlink(missing_ok=True)
            temporary.unlink()
    wait_for_all()
    if file.exists():
        check_whole(file)


class PluginSolver(base.StandardSolver):
    """A `StandardSolver` that resumes exactly.

    Subclasses extend `build_model`. In `run_step` they draw random numbers for all clips of `self.share(clips)`, keep
    `share.of` them, and end with `self.optimize`.

    Raises:
        UserError: for `fsdp.use=true`.
    """

    def __init__(self, cfg: DictConfig) -> None:
        if cfg.fsdp.use:
            raise UserError(
                "fsdp.use=true: audiocraft's FSDP wrapper supports modules with a single forward call only, and this "
                "model's parts (encoder, U-Net) are called separately: leave fsdp.use=false and use `dora run -d`, "
                "with optim.accumulate or autocast if memory is short"
            )
        self.autocast_dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}[cfg.autocast_dtype]
        self.config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
        self._share: Share | None = None
        self._part_weight, self._last_part = 1.0, True
        # Only float16 can underflow: bfloat16 has the range of float32.
        self.loss_scaler = torch.amp.GradScaler(
            "cuda",
            enabled=cfg.autocast
            and self.autocast_dtype is torch.float16
            and str(cfg.device).startswith("cuda"),
        )
        torch.manual_seed(cfg.seed)  # initial weights do not depend on numbers drawn before
        super().__init__(cfg)
        if self.loss_scaler.is_enabled():
            self.register_stateful("loss_scaler")
        if cfg.channels_last:
            for module in self.modules_to_compile():
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if cfg.compile.use:
            for module in self.modules_to_compile():  # in place: names in the state do not change
                module.compile(mode=cfg.compile.mode, backend=cfg.compile.backend)

    def modules_to_compile(self) -> Iterable[nn.Module]:
        """Modules that `compile.use` and `channels_last` apply to: where a training step spends its time."""
        return ()

    @property
    def best_metric_name(self) -> str | None:
        """Metric of the valid stage that selects the best state; None (the default): the last state."""
        return self.cfg.checkpoint.best_metric

    def build_model(self) -> None:
        self.best_state = BestStateDictManager()

    def build_optimizer(self) -> None:
        """Optimiser and learning-rate schedule over `self.model`, registered with model, EMA and best state."""
        self.optimizer = build_optimizer(self.model.parameters(), self.cfg.optim)
        self.lr_scheduler = builders.get_lr_scheduler(self.optimizer, self.cfg.schedule, self.total_updates)
        self.register_stateful("model", "optimizer")
        if self.lr_scheduler is not None:
            self.register_stateful("lr_scheduler")
        self.register_best_state("model")
        self.register_ema("model")

    def initialize_ema(self) -> None:
        settings, self.ema = self.cfg.optim.ema, None
        if settings.use:
            self.ema = ForeachEMA(
                self._ema_sources, decay=settings.decay, device=settings.device or self.cfg.device
            )

    def state_dict(self) -> Any:
        return plain(super().state_dict())

    def load_checkpoints(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        check_last_checkpoint(self.checkpoint_path())
        return super().load_checkpoints(*args, **kwargs)

    def run(self) -> None:
        super().run()
        if flashy.distrib.is_rank_zero():
            # It differs only if the run was killed between its last checkpoint and its history.
            self.xp.link.update_history(self.history)

    def run_epoch(self) -> None:
        self.seed_epoch()
        super().run_epoch()

    def seed_epoch(self) -> None:
        """Seed all generators by seed and epoch alone, equally on every worker."""
        seed = (self.cfg.seed * 1_000_003 + self.epoch) * 1_009 % 2**31
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        for loader in self.dataloaders.values():
            if hasattr(loader.dataset, "start_epoch"):
                loader.dataset.start_epoch(self.epoch)

    def run_stage(self, stage_name: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a stage; evaluate and generate run without `torch.compile`, which would recompile for every length."""
        generates = stage_name in ("evaluate", "generate")
        eager = torch.compiler.set_stance("force_eager") if generates else nullcontext()
        with eager:
            metrics = super().run_stage(stage_name, method, *args, **kwargs)
        if generates:  # only the first worker evaluates
            wait_for_all()
        return metrics

    def common_train_valid(self, dataset_split: str, **kwargs: Any) -> dict[str, float]:
        """Train or valid stage: `run_step` on every part of every batch, and the means of its metrics."""
        self.model.train(self.is_training)
        loader = self.dataloaders[dataset_split]
        steps = self.train_updates_per_epoch if self.is_training else len(loader)
        batches: Iterable[Any] = [next(iter(loader))] * steps if self.cfg.benchmark_no_load else loader
        progress = self.log_progress(
            self.current_stage, islice(batches, steps), total=steps, updates=self.log_updates
        )
        stage, recent = WeightedMeans(), WeightedMeans()
        with self.profiler, self.deadlock_detect:
            for index, batch in enumerate(progress):
                self.deadlock_detect.update("batch")
                for metrics, weight in self._run_parts(index, batch, loader):
                    stage.update(metrics, weight)
                    recent.update(metrics, weight)
                self.deadlock_detect.update("step")
                if (
                    self.ema is not None
                    and self.is_training
                    and (index + 1) % self.cfg.optim.ema.updates == 0
                ):
                    self.ema.step()
                self.deadlock_detect.update("ema")
                self.profiler.step()
                if progress.update():  # only metrics that are shown are read from the device
                    progress.update(**recent.compute())
                    recent = WeightedMeans()
                self.deadlock_detect.update("end_batch")
        return stage.compute(everywhere=True)

    def _run_parts(self, index: int, batch: Any, loader: Any) -> Iterator[tuple[dict[str, Any], float]]:
        """Run each part of this worker's batch; yield its metrics and its fraction of the update's clips."""
        clips, parts = len(batch[0]), self.cfg.optim.accumulate if self.is_training else 1
        rank, world = flashy.distrib.rank(), flashy.distrib.world_size()
        sampler = loader.sampler
        whole = clips * world
        if isinstance(sampler, ShareSampler) and not self.cfg.benchmark_no_load:
            whole = sampler.clips(index, loader.batch_size)
        here = range(min(parts, clips))
        for part in here:
            share = Share(rank + world * part, world * parts, whole)
            with self._part(share, len(share) / clips, last=part == here[-1]):
                yield self.run_step(index, [values[part::parts] for values in batch], {}), len(share) / whole

    @contextmanager
    def _part(self, share: Share, weight: float, last: bool) -> Iterator[None]:
        """Set the part of a batch that `share` and `optimize` refer to.

        Every part begins with the same random state, since each draws the numbers of the whole update.
        """
        self._share, self._part_weight, self._last_part = share, weight, last
        devices = [self.device] if str(self.device).startswith("cuda") else []
        try:
            with nullcontext() if last else torch.random.fork_rng(devices):
                yield
        finally:
            self._share, self._part_weight, self._last_part = None, 1.0, True

    def share(self, clips: int) -> Share:
        """Which clips of the update this call of `run_step` gets, given their number."""
        if self._share is None:  # called outside a stage: every worker is assumed to have as many
            world = flashy.distrib.world_size()
            return Share(flashy.distrib.rank(), world, clips * world)
        return self._share

    def optimize(self, loss: torch.Tensor, metrics: dict[str, Any]) -> None:
        """Backward pass, and after the last part of a batch: average gradients over workers, clip, step.

        Args:
            loss: mean over the clips of this part.
            metrics: receives `grad_norm` before clipping (with float16 only if it is finite) and `lr`.
        """
        self.loss_scaler.scale(loss if self._part_weight == 1 else loss * self._part_weight).backward()
        if not self._last_part:
            return
        flashy.distrib.sync_model(self.model)
        self.loss_scaler.unscale_(self.optimizer)
        if self.cfg.optim.max_norm:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.optim.max_norm)
            if not self.loss_scaler.is_enabled() or torch.isfinite(norm):
                metrics["grad_norm"] = norm
        self.loss_scaler.step(self.optimizer)  # skipped if a gradient has overflowed
        self.loss_scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.lr_scheduler is not None:
            metrics["lr"] = torch.tensor(self.lr_scheduler.get_last_lr()[0])
            self.lr_scheduler.step()
