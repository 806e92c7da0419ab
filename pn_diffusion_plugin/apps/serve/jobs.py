"""One job after the other, a bounded number waiting, each of which can be given up at any time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from ...errors import UserError

Result = TypeVar("Result")
Told = TypeVar("Told")


class Cancelled(Exception):
    """Raised inside work that nobody waits for any more."""


class QueueFull(UserError):
    """As many are waiting as may."""


class Job(Generic[Told, Result]):
    """Work that waits, runs or is over.

    Attributes:
        told: what the work said last; None before its first word.
    """

    def __init__(self, work: Callable[[Job[Told, Result]], Result]) -> None:
        self._work = work
        self._cancelled = threading.Event()
        self.future: Future[Result]
        self.told: Told | None = None

    def tell(self, told: Told) -> None:
        """Called by the work wherever it may be interrupted.

        Raises:
            Cancelled: it shall end.
        """
        if self._cancelled.is_set():
            raise Cancelled
        self.told = told

    def cancel(self) -> None:
        """Give it up: a waiting job never begins, a running one ends at its next word."""
        self._cancelled.set()
        self.future.cancel()

    def run(self) -> Result:
        """Do the work (called by the queue)."""
        if self._cancelled.is_set():
            raise Cancelled
        return self._work(self)

    @property
    def waiting(self) -> bool:
        """Whether it has not begun."""
        return not self.future.running() and not self.future.done()

    @property
    def over(self) -> bool:
        """Whether it is done, failed or given up."""
        return self.future.done()

    def result(self) -> Result:
        """What came out of a job that is over.

        Raises:
            Cancelled: it was given up.
            Exception: what the work raised.
        """
        try:
            return self.future.result(timeout=0)
        except CancelledError as error:
            raise Cancelled from error


class JobQueue(Generic[Told, Result]):
    """Runs jobs one at a time in the order they came, in a thread of its own.

    Args:
        most_waiting: how many may wait behind the one that runs.
    """

    def __init__(self, most_waiting: int) -> None:
        self.most_waiting = most_waiting
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="music")
        self._jobs: list[Job[Told, Result]] = []
        self._guard = threading.Lock()

    def submit(self, work: Callable[[Job[Told, Result]], Result]) -> Job[Told, Result]:
        """Put work at the end of the line.

        Raises:
            QueueFull: the line is as long as it may be.
        """
        with self._guard:
            self._jobs = [job for job in self._jobs if not job.over]
            waiting = len(self._jobs) - 1
            if waiting >= self.most_waiting:
                raise QueueFull(
                    f"{len(self._jobs)} videos are before yours, no more may wait: try again in a minute"
                )
            job = Job(work)
            job.future = self._executor.submit(job.run)
            self._jobs.append(job)
        return job

    def before(self, job: Job[Told, Result]) -> int:
        """How many jobs come before this one, the running one included."""
        with self._guard:
            ahead = self._jobs[: self._jobs.index(job)] if job in self._jobs else []
            return sum(not other.over for other in ahead)

    def prepare(self, work: Callable[[], object]) -> None:
        """Do something before the next job, for nobody."""
        self._executor.submit(work)

    def stop(self) -> None:
        """Give up all jobs."""
        with self._guard:
            for job in self._jobs:
                job.cancel()

    def close(self) -> None:
        """Give up all jobs and wait for the running one's end."""
        self.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)
