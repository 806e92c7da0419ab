"""Shared options of the commands, and their output: results on stdout, messages and warnings on stderr."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json as json_module
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ..errors import PNDiffusionWarning, UserError
from ..utils.progress import stderr

_PANEL = "Common options"
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, nothing else.", rich_help_panel=_PANEL)
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.", rich_help_panel=_PANEL)]
Debug = Annotated[
    bool, typer.Option("--debug", help="Print tracebacks and log messages.", rich_help_panel=_PANEL)
]
Dancer = Annotated[
    str,
    typer.Option(
        help="Which person to use if there are several: prominent (large, central, visible for long), left, right, "
        "largest, or a number counted from the left."
    ),
]


@dataclass
class Mode:
    """Output options of this call of the program."""

    json: bool = False
    quiet: bool = False
    debug: bool = False
    result: Mapping[str, Any] | None = None


mode = Mode()


def reset_mode() -> None:
    """Reset the options, after an earlier call of the program in the same process."""
    mode.__dict__.update(Mode().__dict__)
    stderr.quiet = False


def set_mode(json: bool = False, quiet: bool = False, debug: bool = False) -> None:
    """Turn on options, which may stand before or after the command's name; none is turned off again.

    Without `debug`, warnings of this package are printed on stderr, one line each, and those of other packages are not.
    """
    mode.json |= json
    mode.quiet |= quiet
    mode.debug |= debug
    stderr.quiet = mode.quiet
    if mode.debug:
        logging.basicConfig(level=logging.DEBUG, force=True)
        warnings.resetwarnings()
        return
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # they have handlers of their own
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    if _WARNINGS not in logging.root.handlers:
        logging.root.addHandler(_WARNINGS)
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("always", category=PNDiffusionWarning)
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # it ignores the place


class _PackageWarnings(logging.Handler):
    """Print warnings of this package and errors of all packages."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            complain(f"error: {record.getMessage()}")
        elif record.levelno >= logging.WARNING and record.name.split(".")[0] == __name__.split(".")[0]:
            warn(record.getMessage())


_WARNINGS = _PackageWarnings()


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    warn(str(message))


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--json`, `--quiet` and `--debug` to a command."""
    parameters = list(inspect.signature(command, eval_str=True).parameters.values())
    for name, hint in (("json", Json), ("quiet", Quiet), ("debug", Debug)):
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, default=False, annotation=hint))

    @functools.wraps(command)
    def run(*, json: bool, quiet: bool, debug: bool, **arguments: Any) -> None:
        set_mode(json, quiet, debug)
        try:
            with _stdout_on_stderr() if mode.json else contextlib.nullcontext():
                command(**arguments)
        except KeyboardInterrupt:
            say("interrupted: no incomplete files are left")
            raise typer.Exit(130) from None
        finally:
            if mode.result is not None:
                print_json(mode.result)

    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


@contextlib.contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """Redirect stdout to stderr, also for child processes, so that only the result is on stdout."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def say(text: str) -> None:
    """Print a message on stderr, unless `--quiet`."""
    stderr.print(text, markup=False, highlight=False, soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning on stderr, unless `--quiet`."""
    say(f"warning: {text}")


def complain(text: str) -> None:
    """Print a failure on stderr, even with `--quiet`."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def show(text: str) -> None:
    """Print a result that is text, such as a table, unless `--json` or `--quiet`."""
    if not (mode.json or mode.quiet):
        print(text)


def finish(result: Mapping[str, Any], failed: bool = False) -> None:
    """End a command.

    Args:
        result: printed with `--json`; paths become strings.
        failed: exit with code 1, because a part of the work failed.
    """
    if mode.json:
        mode.result = result
    if failed:
        raise typer.Exit(1)


def print_json(result: Mapping[str, Any]) -> None:
    """Print a result or error as JSON."""
    text = json_module.dumps(result, ensure_ascii=False, indent=1, default=str)
    print(text.encode("utf-8", "backslashreplace").decode())  # a file name need not be UTF-8


def command_line() -> str:
    """The command line of this call, for reports."""
    return shlex.join(["pn-diffusion", *sys.argv[1:]])


def check_output(path: Path, *suffixes: str) -> None:
    """Validate the name of an output file before the work instead of after it.

    Raises:
        UserError: it is a folder, or has none of the suffixes.
    """
    if path.is_dir() or path.suffix.lower() not in suffixes:
        raise UserError(
            f"{path} cannot be written: give the name of a file that ends in {' or '.join(suffixes)}"
        )
