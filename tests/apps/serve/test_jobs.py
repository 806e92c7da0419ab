"""Jobs run one after the other, wait in line, and end when nobody wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pn_diffusion_plugin.apps.serve.jobs import Cancelled, Job, JobQueue, QueueFull

Held = tuple[Callable[[Job[int, str]], str], threading.Event, threading.Event]


@pytest.fixture
def queue() -> Iterator[JobQueue[int, str]]:
    queue: JobQueue[int, str] = JobQueue(2)
    yield queue
    queue.close()


def held(answer: str = "done") -> Held:
    """Work that begins, says 1, waits to be let go, says 2 and ends."""
    begun, go = threading.Event(), threading.Event()

    def work(job: Job[int, str]) -> str:
        job.tell(1)
        begun.set()
        go.wait(30)
        job.tell(2)
        return answer

    return work, begun, go


def finish(job: Job[int, str]) -> None:
    """Wait for a job's end, whatever it is."""
    job.future.exception(30) if not job.future.cancelled() else None


def test_order_places_and_results(queue: JobQueue[int, str]) -> None:
    works = [held(name) for name in "abc"]
    jobs = [queue.submit(work) for work, _, _ in works]
    assert works[0][1].wait(30)
    assert [queue.before(job) for job in jobs] == [0, 1, 2]
    assert [job.waiting for job in jobs] == [False, True, True]
    assert jobs[0].told == 1 and jobs[1].told is None
    for _, _, go in works:
        go.set()
    finish(jobs[2])
    assert [job.result() for job in jobs] == ["a", "b", "c"]
    assert all(job.over for job in jobs) and queue.before(jobs[2]) == 0


def test_one_more_than_may_wait_is_refused_and_the_next_is_not(queue: JobQueue[int, str]) -> None:
    work, begun, go = held()
    jobs = [queue.submit(work) for _ in range(3)]
    assert begun.wait(30)
    with pytest.raises(QueueFull, match="3 videos are before yours.*try again"):
        queue.submit(work)
    go.set()
    finish(jobs[0])
    finish(jobs[1])
    assert queue.submit(work).future.result(30) == "done"


def test_nobody_may_wait() -> None:
    queue: JobQueue[int, str] = JobQueue(0)
    work, begun, go = held()
    job = queue.submit(work)
    assert begun.wait(30)
    with pytest.raises(QueueFull):
        queue.submit(work)
    go.set()
    finish(job)
    queue.close()


def test_a_running_job_ends_at_its_next_word(queue: JobQueue[int, str]) -> None:
    work, begun, go = held()
    job = queue.submit(work)
    assert begun.wait(30)
    job.cancel()
    go.set()
    finish(job)
    assert job.told == 1
    with pytest.raises(Cancelled):
        job.result()


def test_a_waiting_job_never_begins_and_frees_its_place(queue: JobQueue[int, str]) -> None:
    work, begun, go = held()
    other, other_begun, _ = held()
    first, second, third = queue.submit(work), queue.submit(other), queue.submit(work)
    assert begun.wait(30)
    second.cancel()
    assert second.over and queue.before(third) == 1
    with pytest.raises(Cancelled):
        second.result()
    go.set()
    assert first.future.result(30) == third.future.result(30) == "done"
    assert not other_begun.is_set()


def test_what_the_work_raises_comes_out_and_the_queue_goes_on(queue: JobQueue[int, str]) -> None:
    def fails(job: Job[int, str]) -> str:
        raise ZeroDivisionError("broken")

    job = queue.submit(fails)
    finish(job)
    with pytest.raises(ZeroDivisionError, match="broken"):
        job.result()
    assert queue.submit(lambda job: "next").future.result(30) == "next"


def test_preparation_comes_first_and_is_nobodys_job(queue: JobQueue[int, str]) -> None:
    go, seen = threading.Event(), []
    queue.prepare(lambda: (go.wait(30), seen.append("prepared")))
    job = queue.submit(lambda job: seen.append("job") or "done")
    assert queue.before(job) == 0 and not seen
    go.set()
    assert job.future.result(30) == "done" and seen == ["prepared", "job"]


def test_closing_ends_everything() -> None:
    queue: JobQueue[int, str] = JobQueue(5)
    work, begun, go = held()
    jobs = [queue.submit(work) for _ in range(3)]
    assert begun.wait(30)
    threading.Timer(0.05, go.set).start()
    queue.close()
    for job in jobs:
        with pytest.raises(Cancelled):
            job.result()
