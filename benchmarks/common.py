"""What several benchmarks share: time by stage, features of any length, tables."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.utils.files import atomic_path


class Clock:
    """Wall and processor seconds by stage.

    >>> clock = Clock()
    >>> clock.measure("sum", sum, [1, 2])
    3
    >>> list(clock.wall), clock.processor["sum"] < 1
    (['sum'], True)
    """

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processor: dict[str, float] = {}

    def measure(self, stage: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function and add the time it takes to a stage."""
        wall, processor = time.perf_counter(), time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            self.wall[stage] = self.wall.get(stage, 0.0) + time.perf_counter() - wall
            self.processor[stage] = self.processor.get(stage, 0.0) + time.process_time() - processor

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Add the time of every later call of `owner.name` to a stage."""
        function = getattr(owner, name)
        setattr(owner, name, lambda *args, **kwargs: self.measure(stage, function, *args, **kwargs))

    def clear(self) -> None:
        """Set all stages to 0."""
        self.wall.clear()
        self.processor.clear()


def repeated(features: Features, seconds: float) -> Features:
    """A dance repeated to a length."""
    times = int(-(-seconds // features.header.seconds))
    streams = {name: np.concatenate([rows] * times) for name, rows in features.streams.items()}
    header = replace(features.header, seconds=times * features.header.seconds)
    return Features(header, **streams).segment(0.0, seconds)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(table(["clips", "seconds"], [["4", "1.5"]]))
    | clips | seconds |
    |---|---|
    | 4 | 1.5 |
    """
    lines = [head, *rows]
    text = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([text[0], "|---" * len(head) + "|", *text[1:]])


def publish(text: str, file: Path) -> None:
    """Write a report to a file and print it."""
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows a module's docstring as it is."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
