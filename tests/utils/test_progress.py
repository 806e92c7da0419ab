"""Bars on a terminal, lines in a log file, nothing when silenced."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from pn_diffusion_plugin.utils import progress
from pn_diffusion_plugin.utils.progress import Lines, progress_bar


class Clock:
    """A time that moves when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log() -> Console:
    """A console that is no terminal."""
    return Console(file=io.StringIO(), width=40)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_log_file_gets_a_line_every_ten_seconds_and_one_at_the_end(log: Console) -> None:
    clock = Clock()
    bar = progress_bar(console=log)
    assert isinstance(bar, Lines)
    bar.get_time = clock
    with bar:
        task = bar.add_task("a job with a name that is longer than the console is wide", total=40)
        for step in range(40):
            clock.now = 1.0 * step + 1
            bar.advance(task)
        bar.update(task, completed=40)  # told of its end once
    name = "a job with a name that is longer than the console is wide"
    assert text(log).splitlines() == [
        f"{name}: 11 of 40, 0:00:29 left",
        f"{name}: 21 of 40, 0:00:19 left",
        f"{name}: 31 of 40, 0:00:09 left",
        f"{name}: 40 of 40, 0:00:40",
    ]


def test_a_job_of_unknown_length_is_told_without_an_end(log: Console) -> None:
    clock = Clock()
    bar = progress_bar(console=log)
    bar.get_time = clock
    with bar:
        task = bar.add_task("looking", total=None)
        bar.update(task, advance=1)
        clock.now = 11.0
        bar.update(task, advance=1)
        bar.update(task, description="making", total=4, completed=4)
    assert text(log).splitlines() == ["looking: 2", "making: 4 of 4, 0:00:11"]


def test_a_terminal_gets_a_bar() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_bar(console=terminal) as bar:
        assert type(bar) is Progress
        bar.update(bar.add_task("videos", total=2), completed=2)
    assert "\u2501" in text(terminal) and "2/2" in text(terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_silenced_console_stays_silent(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, quiet=True)
    with progress_bar(console=console) as bar:
        bar.update(bar.add_task("videos", total=2), completed=2)
    assert text(console) == ""


def test_a_bar_that_is_not_shown_takes_the_calls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress_bar(False) as bar:
        bar.update(bar.add_task("videos", total=2), completed=2)
    assert capsys.readouterr() == ("", "")
