"""A queue of jobs: one runs, a bounded number waits, each can be cancelled at any time.

Gradio's queue cannot stop a computation in a thread, and does not say how many requests are before one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from ...errors import UserError

Result = TypeVar("Result")
Progress = TypeVar("Progress")


class QueueFull(UserError):
    """No more jobs may wait."""


class Job(Generic[Progress, Result]):
    """A job that waits, runs or is done.

    Attributes:
        progress: the last one reported; None before the first.
        future: of the result; raises `CancelledError` if the job was cancelled.
    """

    def __init__(self, work: Callable[[Job[Progress, Result]], Result]) -> None:
        self._work = work
        self._cancelled = threading.Event()
        self.future: Future[Result]
        self.progress: Progress | None = None

    def report(self, progress: Progress) -> None:
        """Set the progress (called by the work).

        Raises:
            CancelledError: the job was cancelled.
        """
        if self._cancelled.is_set():
            raise CancelledError
        self.progress = progress

    def cancel(self) -> None:
        """Cancel the job: if it runs, at its next report."""
        self._cancelled.set()
        self.future.cancel()

    def run(self) -> Result:
        """Do the work (called by the queue)."""
        if self._cancelled.is_set():
            raise CancelledError
        return self._work(self)


class JobQueue(Generic[Progress, Result]):
    """Runs jobs one at a time, first come first served, in a thread of its own.

    Args:
        max_waiting: jobs that may wait behind the running one.
    """

    def __init__(self, max_waiting: int) -> None:
        self.max_waiting = max_waiting
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="music")
        self._jobs: list[Job[Progress, Result]] = []
        self._lock = threading.Lock()

    def submit(self, work: Callable[[Job[Progress, Result]], Result]) -> Job[Progress, Result]:
        """Append a job.

        Raises:
            QueueFull: `max_waiting` jobs wait already.
        """
        with self._lock:
            self._jobs = [job for job in self._jobs if not job.future.done()]
            if len(self._jobs) > self.max_waiting:
                raise QueueFull(
                    f"{len(self._jobs)} videos are before yours and no more may wait: try again in a minute"
                )
            job = Job(work)
            job.future = self._executor.submit(job.run)
            self._jobs.append(job)
        return job

    def count_before(self, job: Job[Progress, Result]) -> int:
        """How many jobs come before this one, the running one included."""
        with self._lock:
            before = self._jobs[: self._jobs.index(job)] if job in self._jobs else []
            return sum(not other.future.done() for other in before)

    def run_in_background(self, work: Callable[[], object]) -> None:
        """Do something before the next job; it does not count as one."""
        self._executor.submit(work)

    def cancel_all(self) -> None:
        """Cancel all jobs."""
        with self._lock:
            for job in self._jobs:
                job.cancel()

    def close(self) -> None:
        """Cancel all jobs and wait until the running one has ended."""
        self.cancel_all()
        self._executor.shutdown(wait=True, cancel_futures=True)
