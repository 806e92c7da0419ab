"""Dora's entry point: `dora run solver=pn_diffusion`.

The only file that imports hydra and dora when it is imported.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import omegaconf
import torch

from . import paths
from .errors import UserError, explain
from .utils.files import exclusive

try:
    import flashy
    import hydra.core.global_hydra
    from audiocraft.environment import AudioCraftEnvironment
    from audiocraft.utils.cluster import get_slurm_parameters
    from dora import XP, get_xp

    from ._compat import ensure_ffmpeg, hydra_main, replace_audiocraft_train
    from .solvers import describe
    from .solvers import get_solver as build_solver
    from .solvers.distributed import on_rank_zero, patient_group
    from .solvers.prerequisites import ensure_experiment as ensure_experiment
    from .solvers.prerequisites import set_entry_point
except ModuleNotFoundError as error:  # Dora would print a traceback
    if sentence := explain(error):
        sys.exit(f"error: {sentence}")
    raise

logger = logging.getLogger(__name__)


def get_solver(cfg: omegaconf.DictConfig) -> Any:
    """Build the solver of a configuration, with batch sizes per worker and absolute paths.

    Raises:
        UserError: a batch size is not divisible by the number of workers and `optim.accumulate`.
    """
    ensure_ffmpeg()
    workers = flashy.distrib.world_size()
    pieces = workers * cfg.optim.accumulate
    batch = (cfg.dataset.get("train") or {}).get("batch_size") or cfg.dataset.batch_size
    if batch % pieces:
        raise UserError(
            f"a batch of {batch} cannot be divided into {pieces} equal parts ({workers} workers, "
            f"optim.accumulate={cfg.optim.accumulate}): set dataset.batch_size to a multiple of {pieces}"
        )
    for part in [
        cfg.dataset,
        *(cfg.dataset.get(split) or {} for split in ("train", "valid", "evaluate", "generate")),
    ]:
        size = part.get("batch_size")
        if size is not None:
            if size % workers:
                raise UserError(
                    f"a batch of {size} cannot be divided over {workers} workers: "
                    f"set every batch_size of dataset to a multiple of {workers}"
                )
            part.batch_size = size // workers
    for key in ("train", "valid", "evaluate", "generate"):
        value = cfg.datasource.get(key)
        if isinstance(value, str):
            cfg.datasource[key] = str(paths.resolve(value))
        elif value is not None:  # several manifests
            cfg.datasource[key] = [str(paths.resolve(manifest)) for manifest in value]
    return build_solver(cfg)


def get_solver_from_xp(
    xp: XP, override_cfg: dict[str, Any] | None = None, restore: bool = True, load_best: bool = True
) -> Any:
    """Build the solver of an experiment with its best state, for a program or notebook."""
    cfg = xp.cfg
    if override_cfg:
        cfg = omegaconf.OmegaConf.merge(cfg, omegaconf.DictConfig(override_cfg))
    try:
        with xp.enter():
            solver = get_solver(cfg)
            if restore:
                solver.restore(load_best=load_best)
        return solver
    finally:
        hydra.core.global_hydra.GlobalHydra.instance().clear()


def get_solver_from_sig(sig: str, **kwargs: Any) -> Any:
    """Build the solver of a Dora signature; see `get_solver_from_xp`."""
    return get_solver_from_xp(main.get_xp_from_sig(sig), **kwargs)


def init_system(cfg: omegaconf.DictConfig) -> None:
    """Set seeds, threads and the start method of processes."""
    multiprocessing.set_start_method(cfg.mp_start_method, force=True)
    random.seed(cfg.seed)
    np.random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    if cfg.num_threads:
        torch.set_num_threads(cfg.num_threads)


@contextlib.contextmanager
def experiment_lock(folder: Path) -> Iterator[None]:
    """Prevent two processes from running the experiment in this folder, which would overwrite each other's checkpoints.

    Raises:
        UserError: another process runs it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive(folder / ".running", wait=False))
        except BlockingIOError:
            raise UserError(
                f"the experiment {folder.name} is being run by another process: wait for it or stop it, or change a "
                "value, e.g. seed=1, to start another experiment"
            ) from None
        yield


@hydra_main(config_path=str(paths.config_dir()), config_name="config", version_base="1.3")
def main(cfg: omegaconf.DictConfig) -> Any:
    """Run an experiment: all stages, or the one in `execute_only`."""
    try:
        return _run(cfg)
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        logger.debug("traceback of the error", exc_info=error)
        sys.exit(f"error: {sentence}")


def _run(cfg: omegaconf.DictConfig) -> Any:
    init_system(cfg)
    log_name = f"{cfg.execute_only or 'solver'}.log.{{rank}}"
    flashy.setup_logging(level=logging.getLevelName(str(cfg.logging.level).upper()), log_name=log_name)
    flashy.distrib.init(backend="nccl" if str(cfg.device).startswith("cuda") else "gloo")
    if flashy.distrib.is_distributed():
        patient_group()
    if cfg.show and (text := describe(cfg)) is not None:
        logger.info("%s", text)
        return None
    with contextlib.ExitStack() as stack:
        on_rank_zero(lambda: stack.enter_context(experiment_lock(Path(get_xp().folder))))
        return _run_locked(cfg)


def _run_locked(cfg: omegaconf.DictConfig) -> Any:
    if cfg.get("corpus") is not None and cfg.corpus.make:
        from .data.corpora import ensure_corpus

        on_rank_zero(lambda: ensure_corpus(cfg.corpus.name, paths.resolve(cfg.datasource.root)))
    solver = get_solver(cfg)
    if cfg.show:
        solver.show()
        return None
    if cfg.execute_only:
        if not cfg.execute_inplace and cfg.continue_from is None:
            raise UserError(
                f"execute_only={cfg.execute_only} needs a checkpoint: set continue_from=//sig/SIG, "
                "or execute_inplace=true to use this experiment's own"
            )
        solver.restore(replay_metrics=False)
        return solver.run_one_stage(cfg.execute_only)
    return solver.run()


set_entry_point(main)
main.dora.grid_package = "grids" if paths.IN_CHECKOUT else "pn_diffusion_plugin._grids"
main.dora.dir = paths.resolve(AudioCraftEnvironment.get_dora_dir())
main._base_cfg.slurm = get_slurm_parameters(main._base_cfg.slurm)
if main._base_cfg.slurm.partition is None and AudioCraftEnvironment.get_slurm_partitions() != "default":
    main._base_cfg.slurm.partition = AudioCraftEnvironment.get_slurm_partitions()
replace_audiocraft_train(sys.modules[__name__])

if __name__ == "__main__":
    main()
