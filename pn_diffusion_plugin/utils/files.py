"""Files that are either whole or not there, and names that a file system takes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError

_MAX_NAME = 255  # bytes of a file name, on every common file system


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` (same suffix, leading dot, short name) to write to; rename it at the end.

    A reader sees the old file or the new one, never half of it. On an exception the temporary file is removed. The file
    may be read by whoever may read the folder (safetensors would leave it to its writer alone).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.chmod(temporary.stat().st_mode | (path.parent.stat().st_mode & 0o044))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def fit_name(stem: str, ending: str) -> str:
    """A file name from a stem and its ending, the stem cut where the name would be longer than file systems take.

    What is cut is replaced by a few digits of its hash.

    >>> fit_name("dance", "_seed3.mp4")
    'dance_seed3.mp4'
    """
    room = _MAX_NAME - len(os.fsencode(ending))
    if len(os.fsencode(stem)) <= room:
        return stem + ending
    kept = stem
    while len(os.fsencode(kept)) > room - 7:
        kept = kept[:-1]
    return f"{kept}-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:6]}{ending}"


def check_writable(path: Path) -> None:
    """Raise UserError unless a file can be written at `path`, whose folder need not exist yet."""
    folder = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if len(os.fsencode(path.name)) > _MAX_NAME:
        reason = f"its name has more than {_MAX_NAME} bytes"
    elif path.is_dir():
        reason = "it is a folder"
    elif path.exists() and not path.is_file():
        reason = "it is a device, not a file"
    elif not folder.is_dir():
        reason = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"no permission to write in {folder}"
    else:
        return
    raise UserError(f"{path} cannot be written ({reason}): give another file or folder")


@contextlib.contextmanager
def exclusive(path: str | Path, wait: bool = True) -> Iterator[None]:
    """Wait until no other process is inside this block with the same lock file, then enter it.

    The system lets go of the lock when the process dies; the empty file stays.

    Raises:
        BlockingIOError: with `wait` False, when another process is inside.
    """
    import fcntl  # Linux and macOS

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        # A file name may hold bytes that are not UTF-8, which Python has as surrogates: \\udcff is also JSON's escape.
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
