"""The progress bar of every long job: on stderr, with the time left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bar(shown: bool = True, console: Console | None = None) -> Progress:
    """A bar to be used in a `with` statement.

    Args:
        shown: False for a bar that takes the calls and draws nothing.
        console: where to draw; stderr by default.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
        disable=not shown,
    )
