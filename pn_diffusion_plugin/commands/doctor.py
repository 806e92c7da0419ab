"""`pn-diffusion doctor`: what is there, what is missing, and the remedy."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from .common import finish, mode


def doctor() -> None:
    """Look whether everything is there that this program needs. Exit code 1 where something required is not.

    Example: `pn-diffusion doctor`, or for a program: `pn-diffusion doctor --json`
    """
    from ..apps.doctor import check_health

    console = Console(quiet=mode.json or mode.quiet)
    checks = []
    for check in check_health():
        checks.append(check)
        word, style = (
            ("ok", "green") if check.ok else ("missing", "red") if check.required else ("-", "yellow")
        )
        remedy = f": {check.remedy}" if check.remedy else ""
        line = Text.assemble((f"{word:8}", style), f"{check.name:15}{check.detail}{remedy}")
        console.print(line, soft_wrap=True)
    ok = all(check.ok or not check.required for check in checks)
    finish({"ok": ok, "checks": [vars(check) for check in checks]}, failed=not ok)
