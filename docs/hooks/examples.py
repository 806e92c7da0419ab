"""Doctests in docstrings as code: without a section of their own they would be read as quotations."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"(?m)^>>> .*\n?(?:^(?!\s*$).*\n?)*")


class Examples(Extension):
    """Puts every doctest between fences."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """griffe calls this with everything it has read."""
        if obj.docstring is not None and ">>>" in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The text with its doctests, each up to the next empty line, as fenced code."""
    return _EXAMPLE.sub(lambda match: f"```pycon\n{match[0].rstrip()}\n```\n", text)
