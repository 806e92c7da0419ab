"""`pn-diffusion doctor`: check the installation."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from .common import finish, mode


def doctor() -> None:
    """Check the installation and print a remedy for what is missing. Exit code 1 if a required part is.

    Example: `pn-diffusion doctor`, or with JSON output: `pn-diffusion doctor --json`
    """
    from ..apps.doctor import run_checks

    console = Console(quiet=mode.json or mode.quiet)
    checks = []
    for check in run_checks():
        checks.append(check)
        word, style = (
            ("ok", "green") if check.ok else ("missing", "red") if check.required else ("-", "yellow")
        )
        remedy = f": {check.remedy}" if check.remedy else ""
        line = Text.assemble((f"{word:8}", style), f"{check.name:15}{check.detail}{remedy}")
        console.print(line, soft_wrap=True)
    ok = all(check.ok or not check.required for check in checks)
    finish({"ok": ok, "checks": [vars(check) for check in checks]}, failed=not ok)
