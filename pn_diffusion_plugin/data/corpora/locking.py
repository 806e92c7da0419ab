"""Locks of a corpus: either one run of the whole corpus writes to it, or several shards in parallel.

File locks are used, since the system releases them when a process dies. A run of the whole corpus holds `.run`
exclusively; shards share it, and each holds a file of its own. Worker processes hold a further file while they write.
It contains the id of their run: workers of a killed run may live a moment longer, and stop when they find another id.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ...errors import CorpusError, UserError


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the videos, of about equal size.

    Raises:
        UserError: the index is out of range.
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
        """Whether the video at this path within its folder is in this shard; depends on the path alone."""
        digest = hashlib.sha256(os.fsencode(relative)).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


@dataclass(frozen=True)
class Run:
    """A run opened by `lock_corpus`: its corpus, its id, and the name of the lock file of its workers."""

    root: Path
    id: str
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
def lock_corpus(root: Path, shard: Shard | None = None) -> Iterator[Run]:
    """Open a run that writes to the corpus `root`, or to one shard of it, until the block or the process ends.

    Raises:
        CorpusError: another run is open: of the whole corpus, of the same shard, or with another number of shards.
    """
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(open(root / ".run", "w"))
        if not _try_lock(whole, fcntl.LOCK_EX if shard is None else fcntl.LOCK_SH):
            raise _in_use(root)
        if shard is not None:
            own = stack.enter_context(open(root / f".run-{shard}", "a"))
            with _exclusive_settings(root):
                if not _try_lock(own, fcntl.LOCK_EX):
                    raise _in_use(root, f"shard {shard.index} of ")
                other = next((n for n in _active_shards(root) if n != shard.count), None)
            if other is not None:
                raise CorpusError(
                    f"{root} is being prepared in {other} shards: give --shards {other} or wait for them"
                )
        run = Run(root, uuid.uuid4().hex, ".workers" if shard is None else f".workers-{shard}")
        _expire_workers(run, every_run=shard is None)
        if shard is None:  # files of finished shards
            for path in (*root.glob(".run-*"), *root.glob(".workers-*")):
                path.unlink()
        yield run


def _expire_workers(run: Run, every_run: bool) -> None:
    """Wait for writes of workers of killed runs, then write the new id, so that they do not begin another one."""
    before = set(run.root.glob(".workers*")) if every_run else {run.root / ".workers"}
    for path in before | {run.root / run.workers}:
        with open(path, "a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.truncate(0)
            if path.name == run.workers:
                stream.write(run.id)
                stream.flush()


@contextlib.contextmanager
def _exclusive_settings(root: Path) -> Iterator[None]:
    with open(root / ".settings", "a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _active_shards(root: Path) -> Iterator[int]:
    """The shard count of each open run of a shard. Takes locks: call it under `_exclusive_settings`."""
    for path in sorted(root.glob(".run-*-of-*")):
        with open(path) as stream:
            if not _try_lock(stream, fcntl.LOCK_SH):
                yield int(path.name.rpartition("-")[2])


@contextlib.contextmanager
def lock_settings(run: Run) -> Iterator[bool]:
    """Exclusive access to the settings of the corpus; yields whether other runs use them now."""
    with _exclusive_settings(run.root):
        yield sum(1 for _ in _active_shards(run.root)) > (run.workers != ".workers")


@contextlib.contextmanager
def worker_lock(run: Run) -> Iterator[None]:
    """Held by a worker process while it writes to the corpus.

    Raises:
        CorpusError: the run has ended and another one has begun.
    """
    with open(run.root / run.workers) as workers:
        fcntl.flock(workers, fcntl.LOCK_SH)
        if workers.read() != run.id:
            raise _in_use(run.root)
        yield


def remove_locks(root: Path) -> None:
    """Remove all lock files. Requires the lock of the whole corpus."""
    for pattern in (".run*", ".workers*", ".settings"):
        for path in root.glob(pattern):
            path.unlink(missing_ok=True)
