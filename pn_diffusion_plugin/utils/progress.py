"""Progress of long jobs on stderr: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

ProgressCallback = Callable[[int, int], None]
"""Called with the number of steps done and their total."""

stderr = Console(stderr=True)
"""For messages and progress (results go to stdout); `stderr.quiet = True` silences it, bars too."""

EVERY = 10.0
"""Seconds between two plain lines of a job."""


def progress_bar(shown: bool = True, console: Console | None = None) -> Progress:
    """A progress bar, as a context manager.

    Args:
        shown: False: draw nothing.
        console: where to draw; stderr by default. Without a terminal: plain lines.
    """
    console = console or stderr
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    if shown and not console.is_terminal:
        return Lines(*columns, console=console, disable=True)
    return Progress(*columns, console=console, disable=not shown)


class Lines(Progress):
    """Progress for log files: a line every `EVERY` seconds, and one at the end of a job."""

    def __init__(self, *columns: Any, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._printed: dict[TaskID, float] = {}
        self._ended: set[TaskID] = set()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """See `rich.progress.Progress.advance`."""
        self.update(task_id, advance=advance)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """See `rich.progress.Progress.update`."""
        super().update(task_id, **changes)
        with self._lock:
            task, now = self._tasks[task_id], self.get_time()
            ended = task.finished and task_id not in self._ended
            if ended or (not task.finished and now - self._printed.setdefault(task_id, now) >= EVERY):
                self._printed[task_id] = now
                self._ended |= {task_id} if ended else set()
                self.console.print(_line(task), markup=False, highlight=False, soft_wrap=True)


def _line(task: Task) -> str:
    """`videos: 3 of 12, 0:01:10 left`."""
    done = f"{task.description}: {task.completed:g}"
    if task.total is None:
        return done
    done += f" of {task.total:g}"
    if task.finished or task.time_remaining is None:
        return f"{done}, {_clock(task.elapsed or 0)}"
    return f"{done}, {_clock(task.time_remaining)} left"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
