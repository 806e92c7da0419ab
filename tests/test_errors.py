"""An error that a user can correct is one sentence; a bug is not."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pn_diffusion_plugin.errors import VideoError, explain


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (VideoError("a.mp4 is empty: copy it again"), "a.mp4 is empty: copy it again"),
        (OSError(errno.ENOSPC, "No space left on device", "out/a.wav"), r"out/a.wav: the disk is full: free"),
        (
            OSError(errno.EROFS, "Read-only file system", "out"),
            r"out: the file system is read-only: choose",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "out"),
            r"out: permission denied: change",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open: raise the limit"),
        (RuntimeError("SafetensorError: No space left on device (os error 28)"), "the disk is full: free"),
        (MemoryError(), "there is not enough memory: use a smaller"),
        (torch.OutOfMemoryError("CUDA out of memory"), "there is not enough memory: use a smaller"),
        (
            ModuleNotFoundError("no", name="dora.hydra"),
            "training and experiments need dora.hydra, which is not",
        ),
        (
            ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
            "the system library libGL.so.1 is missing: install it",
        ),
        (ConnectionError("the network is unreachable"), "the network is unreachable"),
    ],
)
def test_an_error_that_a_user_can_correct_is_a_sentence(error: Exception, sentence: str) -> None:
    message = explain(error)
    assert message is not None and message.startswith(sentence) and "\n" not in message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes differ"),
        KeyError("x"),
        ValueError("negative"),
        ModuleNotFoundError("no", name="einops"),
    ],
)
def test_a_bug_is_not_explained_away(error: Exception) -> None:
    assert explain(error) is None


def test_the_command_names_a_file_size_limit(repository: Path, tmp_path: Path) -> None:
    """The system's limit on a file's size stands in for a full disk."""
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # noqa: E731
    command = [
        sys.executable,
        "-m",
        "pn_diffusion_plugin.cli",
        "export",
        "mini",
        "-o",
        str(tmp_path / "model"),
    ]
    unmeasured = {
        key: value for key, value in os.environ.items() if not key.startswith("COV")
    }  # it writes a file too
    done = subprocess.run(
        command, cwd=repository, preexec_fn=small, capture_output=True, text=True, env=unmeasured
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and done.stderr.startswith(
        "error: the file would be larger than"
    ), done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class Deadly(torch.utils.data.Dataset[int]):
    """Kills the process that loads its second item."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> int:
        if index:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def test_a_killed_loader_process_is_named_with_the_remedy() -> None:
    loader = torch.utils.data.DataLoader(Deadly(), num_workers=1, multiprocessing_context="fork")
    with pytest.raises(RuntimeError) as caught:
        list(loader)
    message = explain(caught.value)
    assert (
        message is not None and "a loader process was killed" in message and "same command again" in message
    )
