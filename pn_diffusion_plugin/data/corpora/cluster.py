"""Prepare a corpus with jobs of a cluster: one per shard, then one that chooses the splits."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import submitit

from ... import paths
from ...errors import CorpusError, UserError
from ..features.dancers import parse_dancer
from .locking import Shard
from .prepare import PrepareReport, prepare_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """Resources of a job.

    Attributes:
        name: submitit's name of the cluster: slurm, local (processes on this machine) or debug (this process).
        partition, account: of SLURM; None: its defaults.
        minutes: time limit of a job; an unfinished job is queued again and continues.
        memory_gb: memory of a job.
        cpus: cores of a job, which is also its number of worker processes.
        options: further options of `sbatch` without dashes: {"constraint": "fast", …}.
    """

    name: str = "slurm"
    partition: str | None = None
    account: str | None = None
    minutes: int = 240
    memory_gb: float = 16.0
    cpus: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)

    def executor(self, folder: Path) -> submitit.AutoExecutor:
        """The submitit executor; scripts, results and logs of the jobs go to `folder`.

        Raises:
            UserError: SLURM is not available.
        """
        if self.name == "slurm" and not all(map(shutil.which, ("sbatch", "srun"))):
            raise UserError(
                "this machine cannot submit SLURM jobs (sbatch or srun is missing): run prepare on a login node, or "
                "on each machine with --shards N --shard-index I"
            )
        executor = submitit.AutoExecutor(folder=folder, cluster=self.name)
        parameters: dict[str, Any] = {
            "name": "pn-prepare",
            "timeout_min": self.minutes,
            "mem_gb": self.memory_gb,
        }
        parameters |= {"cpus_per_task": self.cpus, "tasks_per_node": 1}
        if self.name == "slurm":
            named = {"slurm_partition": self.partition, "slurm_account": self.account}
            parameters |= {key: value for key, value in named.items() if value is not None}
            parameters["slurm_additional_parameters"] = dict(self.options)
        executor.update_parameters(**parameters)
        return executor


class PrepareJob(submitit.helpers.Checkpointable):
    """`prepare_folder` as a job that can be interrupted and resumed.

    Returns the report, or an error message (an exception would be returned as a traceback).
    """

    def __init__(self, src: Path, dst: Path, options: Mapping[str, Any]) -> None:
        self.prepare = partial(prepare_folder, src, dst, progress=False, **options)

    def __call__(self, shard: Shard | None = None) -> PrepareReport | str:
        try:
            return self.prepare(shard=shard)
        except UserError as error:
            return str(error)


def prepare_on_cluster(
    src: str | Path,
    dst: str | Path,
    shards: int,
    cluster: Cluster | None = None,
    folder: Path | None = None,
    **options: Any,
) -> PrepareReport:
    """Run `prepare_folder(src, dst, **options)` as `shards` jobs and a final one, and wait for them.

    The result is the same. The final job makes the clips that failed jobs have left. Both folders must have the same
    paths on all machines.

    Args:
        folder: for scripts and logs of the jobs; None: `submitit` in the output folder.

    Returns:
        The report of the final job, with the clips of all jobs as done.

    Raises:
        UserError: see `prepare_folder`, or SLURM is not available.
        CorpusError: the final job failed.
    """
    parse_dancer(options.get("dancer", "prominent"))  # raise an error before jobs are submitted
    src, dst = Path(src).absolute(), Path(dst).absolute()
    cluster = Cluster() if cluster is None else cluster
    executor = cluster.executor(folder or paths.outputs_dir() / "submitit" / dst.name)
    # a job may start in another folder
    absolute = {
        name: value.absolute() if isinstance(value, Path) else value for name, value in options.items()
    }
    job = PrepareJob(src, dst, {"jobs": cluster.cpus, **absolute})
    parts = [Shard(index, shards) for index in range(shards)]
    with executor.batch():
        submitted = [executor.submit(job, part) for part in parts]
    logger.info("Submitted %d jobs; logs in %s", shards, executor.folder)
    done: set[str] = set()
    for part, one in zip(parts, submitted, strict=True):
        outcome = _outcome(one)
        if isinstance(outcome, PrepareReport):
            done |= set(outcome.done)
        else:
            logger.warning("Shard %s: %s", part, outcome)
    report = _outcome(executor.submit(job))
    if not isinstance(report, PrepareReport):
        raise CorpusError(report)
    done |= set(report.done)
    report.done, report.skipped = sorted(done), [name for name in report.skipped if name not in done]
    return report


def _outcome(job: submitit.Job[Any]) -> PrepareReport | str:
    """The report of a job, or an error message."""
    try:
        return job.result()
    except Exception as error:  # killed, out of memory, no result
        last = str(error).strip().splitlines()
        return (
            f"job {job.job_id} failed ({last[-1] if last else type(error).__name__}): see {job.paths.stderr}"
        )
