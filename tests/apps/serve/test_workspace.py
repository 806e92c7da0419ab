"""Temporary files: removed by age and size, kept while in use, found by their own name only."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from pn_diffusion_plugin.apps.serve.workspace import PREFIX, Workspace, last_written_and_size


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    one = Workspace(keep_seconds=100, max_bytes=10_000, parent=tmp_path)
    yield one
    one.close()


def upload(workspace: Workspace, name: str = "dance.mp4", size: int = 100, age: float = 0.0) -> Path:
    """A file as Gradio stores it."""
    folder = workspace.uploads / f"hash-{name}"
    folder.mkdir()
    file = folder / name
    file.write_bytes(bytes(size))
    for path in (file, folder):
        os.utime(path, (time.time() - age,) * 2)
    return file


def test_a_jobs_files_outlive_its_upload_and_only_results_stay(workspace: Workspace) -> None:
    sent = upload(workspace)
    with workspace.job(sent) as (video, folder):
        sent.unlink()
        assert video.name == "dance.mp4" and video.read_bytes() == bytes(100)
        (folder / "out.wav").write_text("music")
        assert workspace.clean(time.time() + 1000) == [sent.parent]
        assert video.exists()
    assert [path.name for path in folder.iterdir()] == ["out.wav"]
    assert workspace.result(folder.name, "out.wav") == folder / "out.wav"
    assert workspace.clean(time.time() + 99) == []
    assert workspace.clean(time.time() + 101) == [folder]
    assert workspace.result(folder.name, "out.wav") is None


def test_a_job_that_fails_leaves_nothing(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), workspace.job(upload(workspace)) as (_, folder):
        (folder / "half.wav").write_text("mus")
        raise ZeroDivisionError
    assert list(workspace.results.iterdir()) == []
    with pytest.raises(FileNotFoundError), workspace.job(workspace.uploads / "gone.mp4"):
        raise AssertionError("never here")
    assert list(workspace.results.iterdir()) == []


def test_names_cannot_be_guessed_or_climbed(workspace: Workspace) -> None:
    (workspace.folder / "secret.wav").write_text("secret")
    with (
        workspace.job(upload(workspace)) as (_, folder),
        workspace.job(upload(workspace, "b.mp4")) as (_, other),
    ):
        (folder / "out.wav").write_text("music")
        (folder / "inner").mkdir()
        (other / "theirs.wav").write_text("theirs")
    assert len(folder.name) >= 20 and folder.name != other.name
    for token, name in (
        ("..", "secret.wav"), (".", "out.wav"), ("", "out.wav"), (folder.name, "../../secret.wav"),
        (folder.name, f"../{other.name}/theirs.wav"), (f"{folder.name}/../{other.name}", "theirs.wav"),
        (str(folder), "out.wav"), (folder.name, "inner"), (folder.name, "."), (folder.name, ""), ("x\0", "out.wav"),
        (folder.name, "source"), ("no such", "out.wav"),
    ):  # fmt: skip
        assert workspace.result(token, name) is None, (token, name)


def test_the_oldest_are_removed_until_the_rest_is_small_enough(workspace: Workspace) -> None:
    files = [upload(workspace, f"{n}.mp4", 4000, age=50 - n) for n in range(4)]
    assert workspace.clean() == [files[0].parent, files[1].parent]
    assert last_written_and_size(workspace.uploads)[1] == 8000


def test_only_uploads_are_held(workspace: Workspace, tmp_path: Path) -> None:
    sent, other = upload(workspace), tmp_path / "other.mp4"
    other.write_text("mine")
    link = workspace.uploads / "link.mp4"
    link.symlink_to(other)
    assert workspace.holds(sent)
    for path in (other, link, workspace.uploads / ".." / "results" / "a.mp4", Path("/etc/hostname")):
        assert not workspace.holds(path)


def test_closing_removes_all_and_the_folder_of_a_killed_server_is_removed_by_the_next(tmp_path: Path) -> None:
    alive, dead, foreign = (tmp_path / f"{PREFIX}{name}" for name in ("alive", "dead", "link"))
    for folder in (alive, dead):
        folder.mkdir()
        (folder / "upload.mp4").write_text("dance")
    target = tmp_path / "elsewhere"
    target.mkdir()
    foreign.symlink_to(target)
    with FileLock(alive / ".lock"):
        workspace = Workspace(100, 100, tmp_path)
        assert alive.is_dir() and not dead.exists() and target.is_dir()
        workspace.close()
    assert not workspace.folder.exists()


def test_error_messages_contain_no_path_of_the_server(workspace: Workspace) -> None:
    sent = upload(workspace, "my dance.mp4")
    with workspace.job(sent) as (video, folder):
        for path in (sent, video, folder / video.name, folder / ".part-x1" / video.name):
            sentence = f"{path}: frame 3 of {path} has another size"
            assert workspace.hide_paths(sentence) == "my dance.mp4: frame 3 of my dance.mp4 has another size"
        assert str(workspace.folder) not in workspace.hide_paths(f"{workspace.folder}/x/y is full")
