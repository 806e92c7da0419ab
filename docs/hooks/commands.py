"""The page of the command line, from the commands themselves."""

from __future__ import annotations

import re
from typing import Any

import typer
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click
from typer.main import get_command

from pn_diffusion_plugin.cli import app

_HEAD = """# Commands

Made from the commands themselves: `pn-diffusion COMMAND --help` says the same. Exit codes: 0 success, 1 something could
not be done (one sentence says what and how to mend it), 2 wrong usage, 130 interrupted with Ctrl-C.
Experiments are run by Dora's own command, `dora run KEY=VALUE …`: see [Train and evaluate](../research/train.md).

"""
_COMMON = re.compile(r"(?m)^\* `--(?:json|quiet|debug|help)`: .*\n")


def on_files(files: Files, config: Any, **kwargs: Any) -> Files:
    """MkDocs calls this with the files of the site."""
    files.append(File.generated(config, "reference/commands.md", content=_HEAD + commands()))
    return files


def commands() -> str:
    """Markdown: arguments, options and examples of every command."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="pn-diffusion", indent=1)
    text = text.replace("[OPTIONS] COMMAND [ARGS]...", "COMMAND [OPTIONS] …")
    head, *sections = re.split(r"(?m)^(?=### )", text)  # what every command has is told once
    return head + "".join(_COMMON.sub("", section) for section in sections)
