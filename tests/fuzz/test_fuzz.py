"""Two hundred mutated files for every parser; `python tests/fuzz --inputs 10000` gives them more."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS  # noqa: E402

INPUTS = 200


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of all targets, read in one process."""
    file = tmp_path_factory.mktemp("fuzz") / "results.json"
    command = [sys.executable, str(Path(__file__).parent), "--inputs", str(INPUTS), "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert file.exists(), done.stderr[-3000:]
    return json.loads(file.read_text())


@pytest.mark.parametrize("name", TARGETS)
def test_a_mutated_file_is_read_or_refused_in_a_sentence(results: dict[str, Any], name: str) -> None:
    result = results[name]
    assert result["findings"] == []
    assert result["inputs"] == INPUTS
    assert 0 < result["refused"] < INPUTS or name == "fingerprints"  # which are made again, never refused


def test_the_driver_sees_what_no_reader_may_do() -> None:
    """Other exceptions, messages that are no sentence, time and memory."""
    from driver import judge

    from pn_diffusion_plugin.errors import UserError

    def forget() -> None:
        raise KeyError("x")

    def mumble() -> None:
        raise UserError("no")

    def swell() -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        assert bytearray(b"x") * (peak - resident + (80 << 20))

    def refuse() -> None:
        raise UserError("this file is damaged: give another one")

    def count() -> None:
        sum(range(10_000_000))

    assert judge(refuse, 0) == {"refused": True} and judge(list, 1) == {}
    assert judge(forget, 2)["what"] == "KeyError" and judge(forget, 2)["number"] == 2
    assert judge(mumble, 3)["what"] == "no sentence"
    assert judge(swell, 4, most_megabytes=40)["what"].startswith("grew by")
    assert judge(count, 5, most_seconds=0.01)["what"].startswith("took")
