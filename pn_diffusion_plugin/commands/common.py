"""What every command needs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from rich.console import Console

from ..errors import UserError

stderr = Console(stderr=True)


def command_line() -> str:
    """This call, for reports."""
    return shlex.join(["pn-diffusion", *sys.argv[1:]])


def check_output(path: Path, *suffixes: str) -> None:
    """Tell before the work what would only be found when its result is written."""
    if path.is_dir() or path.suffix.lower() not in suffixes:
        raise UserError(
            f"{path} cannot be written: give the name of a file that ends in {' or '.join(suffixes)}"
        )
