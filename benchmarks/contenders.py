"""Contenders side by side: each in its own process, taking turns with the reference (A B, A B, …).

A process of its own gives every contender its own peak memory and compiled code; taking turns gives both the same
machine. Ratios are taken within a round.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from .counts import Counts

Seconds = dict[str, float]  # by stage


class Subject(Protocol):
    """The work of a contender, built in its process by `Contender.make`."""

    def run(self) -> Seconds:
        """Do the work once; seconds of each stage, which add up to the whole."""

    def count(self) -> Counts:
        """Do the work once and count it."""


@dataclass(frozen=True)
class Contender:
    """One row of a table.

    Attributes:
        name: of the row.
        make: function or class, importable by name, that builds the `Subject`.
        arguments: of `make`.
    """

    name: str
    make: Callable[..., Subject]
    arguments: dict[str, Any] = field(default_factory=dict)


_subject: Subject


def _build(make: Callable[..., Subject], arguments: dict[str, Any], threads: int) -> Counts:
    """Build the subject of this process, and warm it up."""
    global _subject
    torch.set_num_threads(threads)
    _subject = make(**arguments)
    counts = _subject.count()
    _subject.run()
    peak_mb(reset=True)
    return counts


def _run() -> Seconds:
    return _subject.run()


def peak_mb(reset: bool = False) -> float:
    """Largest resident memory of this process (MB) since it began, or since the last reset."""
    status = Path("/proc/self/status").read_text()
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


class _Process:
    """A contender's process, which ends with the block.

    Raises:
        RuntimeError: the contender failed, or its process died.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        self.name = contender.name
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            self.counts: Counts = self.call(_build, contender.make, contender.arguments, threads)
        except RuntimeError:
            self._pool.shutdown()
            raise

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return self._pool.submit(function, *args).result()
        except Exception as error:
            raise RuntimeError(f"{self.name} failed: {error}") from error

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


def alternate(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    threads: int | None = None,
    log: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Measure every contender in turns with the first one.

    Args:
        rounds: of each contender, after one run that is counted and one that warms up.
        threads: of torch; None: as many as there are cores.
        log: called with a line after every round.

    Returns:
        A row for each contender: `name`, `rounds` (seconds by stage), `seconds` and `stages` (medians), `ratio` to the
        first contender within a round (`median`, `low`, `high`), `counts`, `peak_mb`.
    """
    threads = threads or os.cpu_count() or 1
    first, others = contenders[0], contenders[1:]
    rows = []
    with _Process(first, threads) as reference:
        of_reference: list[Seconds] = []
        for contender in others:
            with _Process(contender, threads) as own:
                found, ratios = [], []
                for number in range(1, rounds + 1):
                    of_reference.append(reference.call(_run))
                    found.append(own.call(_run))
                    ratios.append(sum(found[-1].values()) / sum(of_reference[-1].values()))
                    log(
                        f"{contender.name}, round {number}: {sum(found[-1].values()):.2f} s, {ratios[-1]:.3f}"
                    )
                rows.append(_row(contender.name, found, ratios, own.counts, own.call(peak_mb)))
        return [_row(first.name, of_reference, [1.0], reference.counts, reference.call(peak_mb)), *rows]


def _row(
    name: str, rounds: list[Seconds], ratios: list[float], counts: Counts, peak: float
) -> dict[str, Any]:
    return {
        "name": name,
        "rounds": rounds,
        "seconds": statistics.median(sum(stages.values()) for stages in rounds),
        "stages": {stage: statistics.median(stages[stage] for stages in rounds) for stage in rounds[0]},
        "ratio": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "counts": asdict(counts),
        "peak_mb": peak,
    }
