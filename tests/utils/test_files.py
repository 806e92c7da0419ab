"""Files are whole or not there, and a lock lets one process in at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.utils.files import (
    atomic_path,
    check_writable,
    exclusive,
    fit_name,
    sha256_file,
    write_json,
)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    before = path.read_bytes()
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["a" * 251 + ".txt", "舞" * 83 + ".txt", os.fsdecode(b"caf\xe9.txt"), "12:30.txt"]
)
def test_any_name_that_the_system_takes_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        assert len(os.fsencode(temporary.name)) < 100 and temporary.suffix == ".txt"
        assert temporary.name.startswith(".")
        temporary.write_text("whole")
    assert os.listdir(tmp_path) == [name]


def test_temporary_names_do_not_collide_between_machines_on_a_shared_folder(tmp_path: Path) -> None:
    """Two containers may have the same process and thread numbers."""
    with atomic_path(tmp_path / "a.txt") as first, atomic_path(tmp_path / "a.txt") as second:
        assert first != second
        first.touch()
        second.touch()


def test_a_byte_that_is_not_utf8_survives_json(tmp_path: Path) -> None:
    value = {"video": os.fsdecode(b"caf\xe9.mp4"), "other": "舞"}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == value and "舞" in text


def test_a_name_too_long_with_its_ending_is_cut_between_characters() -> None:
    stem = "舞" * 83
    name = fit_name(stem, "_seed3.mp4")
    assert len(os.fsencode(name)) <= 255 and name.startswith("舞" * 70) and name.endswith("_seed3.mp4")
    assert fit_name(stem[:-1] + "踊", "_seed3.mp4") != name
    assert fit_name("a" * 245, "_seed3.mp4") == "a" * 245 + "_seed3.mp4"


@pytest.mark.parametrize(
    ("place", "reason"),
    [("/dev/null", "device"), ("file/out.mp4", "is not a folder"), (".", "folder"), ("a" * 256, "255 bytes")],
)
def test_where_nothing_can_be_written_is_found_without_writing(
    tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"cannot be written .*{reason}.*give another"):
        check_writable(tmp_path / place)
    check_writable(tmp_path / "new" / "folder" / "out.mp4")
    check_writable(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


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
