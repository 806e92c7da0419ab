"""A real browser for the tests: a Chromium of this machine, fetched from the distribution where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = ("apt-get", "-qq", "install", "-y", "--no-install-recommends", "chromium")
QUIET = [  # no sandbox for root; no word to anybody but the page under test
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def find_browser() -> Path:
    """Path of a Chromium; installed first (Debian, Ubuntu) where there is none and the tests run as root.

    Raises:
        RuntimeError: there is none and it cannot be had; the tests that need it fail, they are never skipped.
    """
    names = (os.environ.get("PN_DIFFUSION_BROWSER", ""), *NAMES)
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (("apt-get", "-qq", "update"), INSTALL):
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
        found = shutil.which("chromium")
    if found is None:
        raise RuntimeError(
            "no Chromium on this machine: install one (Debian, Ubuntu: apt-get install chromium) or name it in "
            "PN_DIFFUSION_BROWSER"
        )
    return Path(found)


@contextmanager
def launched(*options: str) -> Iterator[Browser]:
    """A headless browser; `options` of the program."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[*QUIET, *options])
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What goes wrong in a page, and what it asks for."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: self.requests.append(request.url))
