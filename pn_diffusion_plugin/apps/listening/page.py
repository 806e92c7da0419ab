"""The folder of a listening test: `page/` to be put on the web or on a stick, and `key.json` to be kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ...errors import UserError
from ..report.blocks import environment
from .design import Design
from .stimuli import Material, write_stimuli

PAGE, STIMULI = "page", "stimuli"


def render(design: Design) -> str:
    """The page as HTML, which holds tokens only."""
    return environment().get_template("listening.html").render(test=design.public(), stimuli=STIMULI)


def write_test(design: Design, material: Material, folder: Path) -> Path:
    """Write the whole test, or nothing.

    Returns:
        The page's index.html.

    Raises:
        UserError: the folder holds something: a test that people answer must keep its key.
        VideoError, AudioError: a dance or its music cannot be read.
    """
    folder = folder.absolute()
    check_empty(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        stimuli = temporary / PAGE / STIMULI
        stimuli.mkdir(parents=True)
        write_stimuli(design, material, stimuli)
        (temporary / PAGE / "index.html").write_text(render(design), encoding="utf-8")
        design.save(temporary)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder / PAGE / "index.html"


def check_empty(folder: Path) -> None:
    """UserError when the folder is there and holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: name a new folder, answers to an old test need the old key")
