"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` (same suffix, leading dot) to write to; rename it at the end.

    A reader sees the old file or the new one, never half of it. On an exception the temporary file goes. Whoever
    may read the folder may read the file (safetensors would leave it to its writer alone).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{threading.get_native_id()}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.chmod(temporary.stat().st_mode | (path.parent.stat().st_mode & 0o044))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256_file(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
