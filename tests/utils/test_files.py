"""Files are whole or not there, and a lock lets one process in at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pn_diffusion_plugin.utils.files import atomic_path, exclusive, sha256_file, write_json


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == expected


def test_who_does_not_want_to_wait_is_told(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock"):
        with pytest.raises(BlockingIOError), exclusive(tmp_path / "lock", wait=False):
            raise AssertionError("it was let in")
    with exclusive(tmp_path / "lock", wait=False):
        pass


def test_two_threads_writing_one_file_leave_one_of_theirs(tmp_path: Path) -> None:
    path, texts = tmp_path / "a.txt", ["1" * 100_000, "2" * 100_000]
    together = threading.Barrier(2)

    def write(text: str) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(text)
            together.wait()

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts and list(tmp_path.iterdir()) == [path]


def test_two_processes_are_never_inside_the_lock_at_once(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from pn_diffusion_plugin.utils.files import exclusive
folder = Path(sys.argv[1])
for _ in range(5):
    with exclusive(folder / "lock"):
        with open(folder / "inside", "x"):
            time.sleep(0.02)
        (folder / "inside").unlink()
"""
    runs = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(3)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0, 0]
