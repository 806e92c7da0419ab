"""Jobs run one at a time and in order, wait, and can be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait

import pytest

from pn_diffusion_plugin.apps.serve.jobs import Job, JobQueue, QueueFull

Held = tuple[Callable[[Job[int, str]], str], threading.Event, threading.Event]


@pytest.fixture
def queue() -> Iterator[JobQueue[int, str]]:
    queue: JobQueue[int, str] = JobQueue(2)
    yield queue
    queue.close()


def held(answer: str = "done") -> Held:
    """Work that reports 1, waits for the second event, reports 2 and returns; the first event: it has begun."""
    begun, go = threading.Event(), threading.Event()

    def work(job: Job[int, str]) -> str:
        job.report(1)
        begun.set()
        go.wait(30)
        job.report(2)
        return answer

    return work, begun, go


def test_order_and_results(queue: JobQueue[int, str]) -> None:
    go, seen = threading.Event(), []
    queue.run_in_background(lambda: (go.wait(30), seen.append("background")))
    works = [held(name) for name in "abc"]
    jobs = [queue.submit(work) for work, _, _ in works]
    assert not seen and queue.count_before(jobs[0]) == 0
    go.set()
    assert works[0][1].wait(30) and seen == ["background"]
    assert [queue.count_before(job) for job in jobs] == [0, 1, 2]
    assert jobs[0].progress == 1 and jobs[1].progress is None
    for _, _, go in works:
        go.set()
    assert [job.future.result(30) for job in jobs] == ["a", "b", "c"]
    assert queue.count_before(jobs[2]) == 0


@pytest.mark.parametrize("waiting", [0, 2])
def test_a_full_queue_refuses_until_a_job_is_done(waiting: int) -> None:
    queue: JobQueue[int, str] = JobQueue(waiting)
    work, begun, go = held()
    jobs = [queue.submit(work) for _ in range(waiting + 1)]
    assert begun.wait(30)
    with pytest.raises(QueueFull, match=f"{waiting + 1} videos are before yours.*try again"):
        queue.submit(work)
    go.set()
    wait([job.future for job in jobs], 30)
    assert queue.submit(work).future.result(30) == "done"
    queue.close()


def test_cancelled_jobs_end_at_a_report_or_never_begin(queue: JobQueue[int, str]) -> None:
    work, begun, go = held()
    other, other_begun, _ = held()
    running, waiting, last = queue.submit(work), queue.submit(other), queue.submit(work)
    assert begun.wait(30)
    waiting.cancel()
    assert waiting.future.done() and queue.count_before(last) == 1
    running.cancel()
    go.set()
    for job in (running, waiting):
        with pytest.raises(CancelledError):
            job.future.result(30)
    assert running.progress == 1 and not other_begun.is_set()
    assert last.future.result(30) == "done"


def test_an_exception_comes_out_and_the_queue_continues(queue: JobQueue[int, str]) -> None:
    def fails(job: Job[int, str]) -> str:
        raise ZeroDivisionError("broken")

    with pytest.raises(ZeroDivisionError, match="broken"):
        queue.submit(fails).future.result(30)
    assert queue.submit(lambda job: "next").future.result(30) == "next"


def test_closing_cancels_everything() -> None:
    queue: JobQueue[int, str] = JobQueue(5)
    work, begun, go = held()
    jobs = [queue.submit(work) for _ in range(3)]
    assert begun.wait(30)
    threading.Timer(0.05, go.set).start()
    queue.close()
    for job in jobs:
        with pytest.raises(CancelledError):
            job.future.result(0)
