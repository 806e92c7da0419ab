"""The command `pn-diffusion`: its commands put together, and how an error is told."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from .commands import prepare
from .commands.common import stderr
from .commands.demo import demo
from .commands.evaluate import evaluate
from .commands.export import export
from .commands.generate import generate
from .commands.grid import grid
from .commands.listening import listening_test
from .commands.prepare_published import prepare_aistpp, prepare_tiktok
from .commands.report import report
from .errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Music for dance videos: PN-Diffusion (CVPR 2025) as a plugin of audiocraft.",
)
for command in (generate, evaluate, grid, report, listening_test, export, demo):
    app.command()(command)
prepare.app.command("aistpp")(prepare_aistpp)
prepare.app.command("tiktok")(prepare_tiktok)
app.add_typer(prepare.app, name="prepare")

_debug = False


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""
    global _debug
    _debug = debug
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING)
    if not debug:
        import warnings

        warnings.filterwarnings("ignore")  # of the libraries: a user can do nothing about them
        logging.disable(logging.WARNING)


def main() -> None:
    """Entry point: one sentence on stderr and exit code 1 for a user's mistake."""
    try:
        app(standalone_mode=True)
    except (UserError, OSError) as error:  # a folder that cannot be written to is no bug either
        if _debug:
            raise
        stderr.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
