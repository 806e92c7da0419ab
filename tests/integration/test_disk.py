"""A full or read-only disk: one sentence, and no existing file is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import disk_worker
import pytest
from disk_worker import SCENARIOS

pytestmark = pytest.mark.integration

#: Runs a command on a disk of 8 MB of its own, at the place that comes first.
SMALL_DISK = (
    'place="$1"; shift; mount -t tmpfs -o size=8m,mode=777 none "$place" && exec env DISK_IS_MOUNTED=1 "$@"'
)


def on_a_small_disk(place: Path, *command: str) -> list[str]:
    """The command, in a mount namespace of its own if this system lets us have one."""
    if shutil.which("unshare"):
        root = [] if os.getuid() == 0 else ["--map-root-user"]
        namespace = ["unshare", "--mount", *root, "sh", "-c", SMALL_DISK, "sh", str(place)]
        if subprocess.run([*namespace, "true"], capture_output=True).returncode == 0:
            return [*namespace, *command]
    return list(command)


@pytest.fixture(scope="module", params=["full", "read-only"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each scenario, all run in one process."""
    place = tmp_path_factory.mktemp("disk")
    worker = [sys.executable, disk_worker.__file__, str(place), request.param]
    done = subprocess.run(on_a_small_disk(place, *worker), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_nothing_is_lost_and_one_sentence_tells_why(results: dict[str, str], scenario: str) -> None:
    assert not results[scenario], results[scenario]
