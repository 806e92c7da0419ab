"""The page's temporary files: one folder, emptied by age and size, gone at the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

PREFIX = "pn-diffusion-serve-"


class Workspace:
    """A folder for uploads and results.

    `uploads/` is written to by the page's framework, `results/TOKEN/` by one job each; a token cannot be guessed.

    Args:
        keep_seconds: how long anything stays after it was last written.
        most_bytes: of all files together; the oldest go first.
        parent: where to; the system's folder for temporary files by default. Folders that a killed server left
            there are removed.
    """

    def __init__(self, keep_seconds: float, most_bytes: float, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_abandoned(parent)
        self.keep_seconds, self.most_bytes = keep_seconds, most_bytes
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = _locked(self.folder)
        self.uploads, self.results = self.folder / "uploads", self.folder / "results"
        self.uploads.mkdir()
        self.results.mkdir()
        self._in_use: set[Path] = set()
        self._guard = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._sweep_now_and_then, name="sweeper", daemon=True).start()

    @contextlib.contextmanager
    def job(self, upload: Path) -> Iterator[tuple[Path, Path]]:
        """(video, folder for results) of a job; neither is swept before the block ends.

        The video is a second name of the upload, which may be swept or replaced in the meantime. After an exception
        nothing of the job stays.
        """
        folder = self.results / secrets.token_urlsafe(16)
        with self._guard:
            folder.mkdir()
            self._in_use.add(folder)
        inside = folder / "source" / upload.name
        try:
            inside.parent.mkdir()
            os.link(upload, inside)
            yield inside, folder
            shutil.rmtree(inside.parent)
            os.utime(folder)  # its time begins now
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            with self._guard:
                self._in_use.discard(folder)

    def holds(self, path: Path) -> bool:
        """Whether a file is an upload, wherever links lead."""
        return path.resolve().is_relative_to(self.uploads.resolve())

    def result(self, token: str, name: str) -> Path | None:
        """A file of a finished job, or None: only what lies in that job's folder, whatever the words contain."""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", token):
            return None
        folder = self.results / token
        try:
            return next((file for file in folder.iterdir() if file.name == name and file.is_file()), None)
        except OSError:
            return None

    def sweep(self, now: float | None = None) -> list[Path]:
        """Remove what is too old, then the oldest until the rest is small enough; what went."""
        now = time.time() if now is None else now
        with self._guard:
            kept = [
                path
                for parent in (self.uploads, self.results)
                for path in parent.iterdir()
                if path not in self._in_use
            ]
            kept.sort(key=_age)
            sizes = {path: size_of(path) for path in kept}
            total, gone = sum(sizes.values()), []
            for path in kept:
                if now - _age(path) > self.keep_seconds or total > self.most_bytes:
                    total -= sizes[path]
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                    gone.append(path)
        return gone

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _sweep_now_and_then(self) -> None:
        while not self._closed.wait(min(60.0, self.keep_seconds / 4)):
            with contextlib.suppress(OSError):  # a file that came or went meanwhile: next time
                self.sweep()


def _age(path: Path) -> float:
    """When a file, or anything in a folder, was last written (seconds since 1970)."""
    times = [0.0]
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            times.append(file.stat().st_mtime)
    return max(times)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    total = 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _locked(folder: Path) -> IO[str]:
    """The folder's lock, held as long as this process lives."""
    stream = open(folder / ".lock", "w")
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return stream


def remove_abandoned(parent: Path) -> None:
    """Remove workspaces of this user whose server was killed: nobody holds their lock."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            _locked(folder).close()
            shutil.rmtree(folder, ignore_errors=True)
