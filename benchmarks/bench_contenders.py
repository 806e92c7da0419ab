"""Contenders side by side: each in a process of its own, one at work at a time, round by round (A B C, A B C, …).

A process of its own gives every contender its own peak memory, its own compiled code and its own memory layout; that
they take turns gives all of them the same machine. Ratios are taken within a round.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import statistics
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import torch

Seconds = dict[str, float]  # by stage

logging.getLogger("xformers").setLevel(
    logging.ERROR
)  # audiocraft imports it; what it misses is not used here


@dataclass
class Use:
    """Of one part: calls, rows of its inputs together, FLOPs of its forward passes."""

    calls: int = 0
    rows: int = 0
    flops: int = 0


@dataclass
class Counts:
    """What a piece of work took; `flops` counts all of it, backward passes too."""

    flops: int = 0
    parts: dict[str, Use] = field(default_factory=dict)

    def times(self, n: int) -> Counts:
        """The same work n times."""
        parts = {name: Use(use.calls * n, use.rows * n, use.flops * n) for name, use in self.parts.items()}
        return Counts(self.flops * n, parts)

    def __add__(self, other: Counts) -> Counts:
        parts = {
            name: Use(use.calls + more.calls, use.rows + more.rows, use.flops + more.flops)
            for (name, use), more in zip(self.parts.items(), other.parts.values(), strict=True)
        }
        return Counts(self.flops + other.flops, parts)


class Subject(Protocol):
    """What a contender does in its process; the functions named by `Contender.make` build one."""

    def run(self) -> Seconds:
        """The work once; seconds of each stage, which add up to the whole."""

    def count(self) -> Counts:
        """The same, counted."""

    def profile(self) -> dict[str, Seconds]:
        """The same, profiled: stage → group of operators → seconds."""


@dataclass(frozen=True)
class Contender:
    """One row of a table.

    Attributes:
        name: of the row.
        make: a module's function that builds its `Subject`.
        arguments: of `make`.
    """

    name: str
    make: Callable[..., Subject]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass
class Measured:
    """What came out for a contender; `pairs` are its rounds beside the first contender's, seconds of each."""

    name: str
    rounds: list[Seconds] = field(default_factory=list)
    pairs: list[tuple[float, float]] = field(default_factory=list)
    counts: Counts | None = None
    peak_mb: float = 0.0
    rest_mb: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As plain containers, with medians: of seconds, of the ratio to the first contender and its spread."""
        ratios = [own / first for own, first in self.pairs]
        return {
            **asdict(self),
            "seconds": statistics.median(sum(stages.values()) for stages in self.rounds),
            "stages": {
                stage: statistics.median(stages[stage] for stages in self.rounds) for stage in self.rounds[0]
            },
            "ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        }


def peak_mb(reset: bool = False) -> float:
    """Most memory this process has held (MB) since it began, or since the last reset."""
    status = Path("/proc/self/status").read_text()
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def _serve(
    connection: Connection, make: Callable[..., Subject], arguments: dict[str, Any], threads: int
) -> None:
    """Build a subject and do what is asked, until told to stop."""
    torch.set_num_threads(threads)
    try:
        subject = make(**arguments)
        connection.send(("ready", None))
        while (asked := connection.recv()) != "stop":
            if asked == "reset":
                result: Any = peak_mb(reset=True)
            elif asked == "peak":
                result = peak_mb()
            else:
                result = getattr(subject, asked)()
            connection.send(("done", result))
    except Exception:
        connection.send(("failed", traceback.format_exc()))


class Worker:
    """A contender in its process.

    Raises:
        RuntimeError: whatever went wrong there, with its traceback.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        self.name = contender.name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, contender.make, contender.arguments, threads)
        )
        self._process.start()
        other.close()
        try:
            self._receive()
        except RuntimeError:
            self.stop()
            raise

    def ask(self, what: str) -> Any:
        """Result of one of the subject's methods, or of `reset` or `peak`: memory in MB."""
        self._connection.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(
                f"{self.name}: its process ended with code {self._process.exitcode} (-9: out of memory?)"
            ) from None
        if kind == "failed":
            raise RuntimeError(f"{self.name}:\n{value}")
        return value

    def stop(self) -> None:
        """End the process and wait for its end."""
        if self._process.is_alive():
            try:
                self._connection.send("stop")
            except OSError:
                self._process.kill()
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


@contextmanager
def worker(contender: Contender, threads: int) -> Iterator[Worker]:
    """A contender's process, ended at the block's end."""
    one = Worker(contender, threads)
    try:
        yield one
    finally:
        one.stop()


def alternate(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    threads: int | None = None,
    at_once: int = 3,
    say: Callable[[str], None] = print,
) -> list[Measured]:
    """Measure contenders in turn, after one round each that is counted and one that warms up.

    Args:
        contenders: the first is what the others are compared with.
        rounds: of each group.
        threads: of torch; None: as many as there are cores.
        at_once: processes alive together: memory is bounded by it. The first contender is in every group.
        say: told of every contender's round.
    """
    threads = threads or os.cpu_count() or 1
    first, others = contenders[0], list(contenders[1:])
    beside = max(1, at_once - 1)
    groups = [others[i : i + beside] for i in range(0, len(others), beside)] or [[]]
    measured = {contender.name: Measured(contender.name) for contender in contenders}
    with worker(first, threads) as reference:
        _begin(reference, measured, say)
        for group in groups:
            _one_group(reference, group, measured, rounds, threads, say)
    return list(measured.values())


def _one_group(
    reference: Worker,
    group: Sequence[Contender],
    measured: dict[str, Measured],
    rounds: int,
    threads: int,
    say: Callable[[str], None],
) -> None:
    workers: list[Worker] = []
    try:
        for contender in group:
            workers.append(Worker(contender, threads))
            _begin(workers[-1], measured, say)
        for number in range(1, rounds + 1):
            seconds = 0.0
            for one in [reference, *workers]:
                stages = one.ask("run")
                result, whole = measured[one.name], sum(stages.values())
                seconds = whole if one is reference else seconds
                result.rounds.append(stages)
                result.pairs.append((whole, seconds))
                say(f"{one.name}, round {number}: {whole:.2f} s")
        for one in [reference, *workers]:
            measured[one.name].peak_mb = max(measured[one.name].peak_mb, one.ask("peak"))
    finally:
        for one in workers:
            one.stop()


def _begin(one: Worker, measured: dict[str, Measured], say: Callable[[str], None]) -> None:
    """Count, warm up (compile), and begin to watch the memory."""
    measured[one.name].counts = one.ask("count")
    warm = sum(one.ask("run").values())
    measured[one.name].rest_mb = one.ask("reset")
    say(f"{one.name}, warm-up: {warm:.2f} s")
