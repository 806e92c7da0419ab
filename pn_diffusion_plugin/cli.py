"""The command `pn-diffusion`.

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM).
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from . import __version__
from .commands import prepare
from .commands.common import Debug, Json, Quiet, mode, print_json, reset_mode, set_mode, with_common_options
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.generate import generate
from .commands.grid import grid
from .commands.listening import listening_test
from .commands.prepare_generated import prepare_generated
from .commands.prepare_published import prepare_aistpp, prepare_tiktok
from .commands.report import report
from .commands.serve import serve
from .errors import explain
from .utils.memory import share_heaps

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Music for dance videos: PN-Diffusion (CVPR 2025) as a plugin of audiocraft.",
    epilog="Examples: `pn-diffusion generate dance.mp4 -o out.mp4`, `pn-diffusion doctor`, "
    "`pn-diffusion generate --help`",
)
for command in (generate, serve, evaluate, grid, report, listening_test, export, demo, doctor):
    app.command()(with_common_options(command))
for name, preparation in (
    ("folder", prepare.prepare_folder_command),
    ("mini", prepare.prepare_mini_command),
    ("generated", prepare_generated),
    ("aistpp", prepare_aistpp),
    ("tiktok", prepare_tiktok),
):
    prepare.app.command(name)(with_common_options(preparation))
app.add_typer(prepare.app, name="prepare")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pn-diffusion {__version__}")
        raise typer.Exit


@app.callback()
def options(
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""
    set_mode(json, quiet, debug)


def main() -> None:
    """Entry point: for an error that a user can correct, print one sentence on stderr and exit with code 1."""
    reset_mode()
    share_heaps()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(standalone_mode=True)
    except Exception as error:
        sentence = explain(error)
        if mode.json:
            print_json({"error": sentence or f"{type(error).__name__}: {error}"})
        if sentence is None or mode.debug:
            raise
        console = Console(stderr=True)
        console.print("[red]error:[/red] ", end="")
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def _terminated(number: int, frame: FrameType | None) -> None:
    """Exit as after Ctrl-C, so that incomplete files are removed."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
