"""Who may write to a corpus: one run, or the runs of several shards side by side.

Locks on files do it, since the system lets go of them when a process dies. The whole corpus' run holds `.run` alone;
shards hold it together, and each a file of its own. Beside it lies a file with the run's name, which its worker
processes hold while they write: those of a killed run live a moment longer, and find another name there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ...errors import CorpusError, UserError


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the videos, of about the same size.

    Raises:
        UserError: there is no such part.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            raise UserError(
                f"there is no shard {self.index} of {self.count}: count from 0 to {max(self.count - 1, 0)}"
            )

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    def holds(self, relative: Path) -> bool:
        """Whether the video at this path within its folder is in this part: by the path alone, so that another
        video more or less moves none."""
        digest = hashlib.sha256(relative.as_posix().encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


@dataclass(frozen=True)
class Run:
    """A run that `run_in` opened: its corpus, its name, and the file that says so."""

    root: Path
    name: str
    workers: str


def _try_lock(stream: TextIO, how: int) -> bool:
    try:
        fcntl.flock(stream, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _in_use(root: Path, what: str = "") -> CorpusError:
    return CorpusError(f"{what}{root} is being prepared by another process: wait for it or stop it")


@contextlib.contextmanager
def run_in(root: Path, shard: Shard | None = None) -> Iterator[Run]:
    """Open a run that writes to the corpus `root`, or to a shard's part of it, until the block or the process ends.

    Raises:
        CorpusError: another run is open: of the whole, of the same shard, or of another number of shards.
    """
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(open(root / ".run", "w"))
        if not _try_lock(whole, fcntl.LOCK_EX if shard is None else fcntl.LOCK_SH):
            raise _in_use(root)
        if shard is not None:
            mine = stack.enter_context(open(root / f".run-{shard}", "a"))
            with _one_at_a_time(root):
                if not _try_lock(mine, fcntl.LOCK_EX):
                    raise _in_use(root, f"shard {shard.index} of ")
                other = next((n for n in _shards_at_work(root) if n != shard.count), None)
            if other is not None:
                raise CorpusError(
                    f"{root} is being prepared in {other} shards: give --shards {other} or wait for them"
                )
        run = Run(root, uuid.uuid4().hex, ".workers" if shard is None else f".workers-{shard}")
        _end_others(run, everybody=shard is None)
        if shard is None:  # shards that are done leave nothing
            for path in (*root.glob(".run-*"), *root.glob(".workers-*")):
                path.unlink()
        yield run


def _end_others(run: Run, everybody: bool) -> None:
    """Wait for the workers of killed runs, let none of them begin anything any more, and write the run's name."""
    before = set(run.root.glob(".workers*")) if everybody else {run.root / ".workers"}
    for path in before | {run.root / run.workers}:
        with open(path, "a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.truncate(0)
            if path.name == run.workers:
                stream.write(run.name)
                stream.flush()


@contextlib.contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    with open(root / ".settings", "a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _shards_at_work(root: Path) -> Iterator[int]:
    """The number of shards that each open run of a shard counts by; looked at one at a time, for it takes locks."""
    for path in sorted(root.glob(".run-*-of-*")):
        with open(path) as stream:
            if not _try_lock(stream, fcntl.LOCK_SH):
                yield int(path.name.rpartition("-")[2])


@contextlib.contextmanager
def settings_of(run: Run) -> Iterator[bool]:
    """Be the only one to read and write the corpus' settings; gives whether other runs go by them now."""
    with _one_at_a_time(run.root):
        yield sum(1 for _ in _shards_at_work(run.root)) > (run.workers != ".workers")


@contextlib.contextmanager
def at_work(run: Run) -> Iterator[None]:
    """Write to the corpus as a worker of this run.

    Raises:
        CorpusError: the run is over and another one has begun.
    """
    with open(run.root / run.workers) as workers:
        fcntl.flock(workers, fcntl.LOCK_SH)
        if workers.read() != run.name:
            raise _in_use(run.root)
        yield


def remove_locks(root: Path) -> None:
    """Take away the files of this module; only the whole corpus' run may."""
    for pattern in (".run*", ".workers*", ".settings"):
        for path in root.glob(pattern):
            path.unlink(missing_ok=True)
