"""The page's temporary files: one folder, cleaned by age and size, removed at the end."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "pn-diffusion-serve-"


class Workspace:
    """A folder for uploads and results.

    Gradio writes to `uploads/`, each job to its own `results/TOKEN/`; a token cannot be guessed.

    Args:
        keep_seconds: how long files stay after they were last written.
        max_bytes: of all files together; the oldest are removed first.
        parent: of the folder; the system's folder for temporary files by default. Folders of servers that were killed
            are removed from it.
    """

    def __init__(self, keep_seconds: float, max_bytes: float, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_abandoned(parent)
        self.keep_seconds, self.max_bytes = keep_seconds, max_bytes
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        self._process_lock = FileLock(self.folder / ".lock")
        self._process_lock.acquire(timeout=0)
        self.uploads, self.results = self.folder / "uploads", self.folder / "results"
        self.uploads.mkdir()
        self.results.mkdir()
        self._in_use: set[Path] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._clean_regularly, name="cleaner", daemon=True).start()

    @contextlib.contextmanager
    def job(self, upload: Path) -> Iterator[tuple[Path, Path]]:
        """(video, folder for results) of a job; neither is removed in this context.

        The video is a hard link to the upload, which may be removed meanwhile. After an exception nothing of the job
        is left.
        """
        folder = self.results / secrets.token_urlsafe(16)
        video = folder / "source" / upload.name
        with self._lock:
            folder.mkdir()
            self._in_use.add(folder)
        try:
            video.parent.mkdir()
            os.link(upload, video)
            yield video, folder
            shutil.rmtree(video.parent)
            os.utime(folder)  # its age counts from now
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            with self._lock:
                self._in_use.discard(folder)

    def holds(self, path: Path) -> bool:
        """Whether a file is an upload; links are followed."""
        return path.resolve().is_relative_to(self.uploads)

    def hide_paths(self, sentence: str) -> str:
        """An error message with file names instead of paths in this folder."""
        inner = r"(?:(?:uploads|results)/[^/]+/(?:source/|\.part-[^/]+/)?)?"
        return re.sub(rf"{re.escape(str(self.folder))}/{inner}", "", sentence)

    def result(self, token: str, name: str) -> Path | None:
        """A file of a finished job, or None. Nothing outside the job's folder is returned, whatever the arguments."""
        if not re.fullmatch(r"[A-Za-z0-9_-]+", token):
            return None
        try:
            files = list((self.results / token).iterdir())
        except OSError:
            return None
        return next((file for file in files if file.name == name and file.is_file()), None)

    def clean(self, now: float | None = None) -> list[Path]:
        """Remove what is too old, then the oldest until the rest is small enough; returns what was removed."""
        now = time.time() if now is None else now
        removed = []
        with self._lock:
            kept = [path for folder in (self.uploads, self.results) for path in folder.iterdir()]
            written, sizes = {}, {}
            for path in kept:
                written[path], sizes[path] = last_written_and_size(path)
            total = sum(sizes.values())
            for path in sorted(set(kept) - self._in_use, key=written.__getitem__):
                if now - written[path] > self.keep_seconds or total > self.max_bytes:
                    total -= sizes[path]
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                    removed.append(path)
        return removed

    def close(self) -> None:
        """Remove everything."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._process_lock.release()

    def _clean_regularly(self) -> None:
        while not self._closed.wait(min(60.0, self.keep_seconds / 4)):
            with contextlib.suppress(OSError):  # a file appeared or vanished meanwhile: next time
                self.clean()


def last_written_and_size(path: Path) -> tuple[float, int]:
    """Of a file, or of all files in a folder: the last modification (seconds since 1970) and bytes."""
    written, size = 0.0, 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            written = max(written, file.stat().st_mtime)
            size += file.stat().st_size if file.is_file() else 0
    return written, size


def remove_abandoned(parent: Path) -> None:
    """Remove this user's workspaces whose server was killed: no process holds their lock."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            if not folder.is_symlink() and folder.stat().st_uid == os.geteuid():
                with FileLock(folder / ".lock", timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
