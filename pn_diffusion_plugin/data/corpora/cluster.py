"""Features extracted by the jobs of a cluster: one a shard, and then one that chooses the splits."""

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
    """What a job asks for.

    Attributes:
        name: submitit's name of the cluster: slurm, local (processes of this machine) or debug (this process).
        partition, account: of SLURM; None: its defaults.
        minutes: longest time of a job; one that is stopped before it is done is started again and goes on.
        memory_gb: a job's.
        cpus: of a job, and its worker processes.
        options: anything else that `sbatch` takes, without the dashes: {"constraint": "fast", …}.
    """

    name: str = "slurm"
    partition: str | None = None
    account: str | None = None
    minutes: int = 240
    memory_gb: float = 16.0
    cpus: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)

    def executor(self, folder: Path) -> submitit.AutoExecutor:
        """What submits jobs; their scripts, results and logs go to `folder`.

        Raises:
            UserError: there is no such cluster here.
        """
        if self.name == "slurm" and not all(map(shutil.which, ("sbatch", "srun"))):
            raise UserError(
                "this machine cannot submit SLURM jobs (there is no sbatch or no srun): call prepare on a login "
                "node, or by hand on each machine with --shards N --shard-index I"
            )
        executor = submitit.AutoExecutor(folder=folder, cluster=self.name)
        asked: dict[str, Any] = {"name": "pn-prepare", "timeout_min": self.minutes, "mem_gb": self.memory_gb}
        asked |= {"cpus_per_task": self.cpus, "tasks_per_node": 1}
        if self.name == "slurm":
            named = {"slurm_partition": self.partition, "slurm_account": self.account}
            asked |= {key: value for key, value in named.items() if value is not None}
            asked["slurm_additional_parameters"] = dict(self.options)
        executor.update_parameters(**asked)
        return executor


class PrepareJob(submitit.helpers.Checkpointable):
    """`prepare_folder` in a job that may be stopped and started again: it goes on where it was.

    Returns the report, or the sentence that says why there is none (an exception would come back as a traceback).
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
    """`prepare_folder(src, dst, **options)` by `shards` jobs and a last one; waits for them.

    The same files come out. What a job that failed has left is made by the last one. Both folders must be seen by all
    machines under the same names.

    Args:
        folder: for the jobs' scripts and logs; `submitit` in the folder of outputs if None.

    Returns:
        The last job's report, in which the clips of all jobs are done.

    Raises:
        UserError: as `prepare_folder`, or no such cluster.
        CorpusError: the last job failed.
    """
    parse_dancer(options.get("dancer", "prominent"))  # told here once, not by every job
    src, dst = Path(src).absolute(), Path(dst).absolute()
    cluster = Cluster() if cluster is None else cluster
    executor = cluster.executor(folder or paths.outputs_dir() / "submitit" / dst.name)
    # A job need not start in this folder.
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
    """What a job gave, or why it gave nothing."""
    try:
        return job.result()
    except Exception as error:  # killed, out of memory, no result: submitit has one kind for all
        last = str(error).strip().splitlines()
        return (
            f"job {job.job_id} failed ({last[-1] if last else type(error).__name__}): see {job.paths.stderr}"
        )
