"""Gives mutated files to their readers in a process of its own, and writes down what no reader may do.

Allowed: a value, or a `UserError` with a sentence. A finding: any other exception, a message of several lines, more
than 2 s of CPU time, more than 500 MB of memory, no end, or the end of the process.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS, MEGABYTES = 2.0, 500
_PATIENCE = 180.0  # seconds without a new input before the process counts as hanging
_ROOM = 6 << 30  # bytes a reader may ask for before it gets a MemoryError


@dataclass
class Result:
    """What came of a target's inputs."""

    name: str
    inputs: int = 0
    refused: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)


def fuzz(names: Sequence[str], inputs: int, seed: int = 0, first: int = 0) -> dict[str, Result]:
    """Run `inputs` inputs of each target, from number `first` on."""
    results = {name: Result(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="pn-diffusion-fuzz-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        start: tuple[int, int] | None = (0, first)
        while start is not None:
            start = _one_process(list(names), inputs, seed, first, start, folder, results)
    return results


def _one_process(
    names: list[str],
    inputs: int,
    seed: int,
    first: int,
    start: tuple[int, int],
    folder: Path,
    results: dict[str, Result],
) -> tuple[int, int] | None:
    """Run a process until it is through or dies; where to go on, or None."""
    log, errors = folder / "log", folder / "stderr"
    log.unlink(missing_ok=True)
    work = json.dumps({"names": names, "inputs": inputs, "seed": seed, "first": first, "start": start})
    command = [sys.executable, str(Path(__file__).parent), "--child", work, "--folder", str(folder)]
    with open(errors, "wb") as stream:
        process = subprocess.Popen(command, stderr=stream, stdout=subprocess.DEVNULL)
    seen, since = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        size = log.stat().st_size if log.exists() else 0
        if size != seen:
            seen, since = size, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            process.kill()
            process.wait()
    at: tuple[int, int] | None = None
    for line in log.read_text().splitlines() if log.exists() else ():
        entry = json.loads(line)
        if "begin" in entry:
            at = tuple(entry["begin"])
            continue
        result = results[entry.pop("name")]
        result.inputs += 1
        result.refused += entry.pop("refused", False)
        if entry:
            result.findings.append(entry)
        at = None
    if process.returncode == 0:
        return None
    if at is None:
        raise RuntimeError(
            f"the process failed outside a reader: {errors.read_text(errors='replace')[-2000:]}"
        )
    target, number = at
    how = "no end" if process.returncode == -signal.SIGKILL else f"died with {process.returncode}"
    tail = errors.read_text(errors="replace")[-300:]
    results[names[target]].inputs += 1
    results[names[target]].findings.append({"number": number, "what": how, "detail": tail})
    return (
        (target, number + 1)
        if number + 1 < first + inputs
        else (target + 1, first)
        if target + 1 < len(names)
        else None
    )


def child(work: dict[str, Any], folder: Path) -> None:
    """The process that reads: a line in the log before and after each input."""
    from targets import TARGETS

    warnings.simplefilter("ignore")
    parent = os.getppid()
    target_start, number_start = work["start"]
    with open(folder / "log", "a", buffering=1) as log:
        for index, name in enumerate(work["names"]):
            if index < target_start:
                continue
            home = Path(tempfile.mkdtemp(dir=folder))
            target = TARGETS[name](home)
            _limit_memory()
            begin = number_start if index == target_start else work["first"]
            for number in range(begin, work["first"] + work["inputs"]):
                if os.getppid() != parent:
                    return
                write_input(target, name, work["seed"], number)
                log.write(json.dumps({"begin": [index, number]}) + "\n")
                log.write(json.dumps({"name": name, **judge(target.read, number)}) + "\n")


def write_input(target: Any, name: str, seed: int, number: int) -> None:
    """Put input `number` where the target's reader looks for it: always the same for the same numbers."""
    from mutation import Mutator

    rng = random.Random(f"{seed}/{name}/{number}")
    files, others = rng.choice(target.seeds), rng.choice(target.seeds)
    victim = rng.choice([path for path in files if path not in target.untouched])
    donor = others.get(victim) or rng.choice(list(others.values()))
    for path, content in files.items():
        changed = Mutator(rng).file(path.name, content, donor) if path == victim else content
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(changed)


def judge(
    read: Any, number: int, most_seconds: float = SECONDS, most_megabytes: float = MEGABYTES
) -> dict[str, Any]:
    """Let the reader read; {} or {"refused"}, and what was wrong."""
    from pn_diffusion_plugin.errors import UserError

    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    told: dict[str, Any] = {}
    try:
        read()
    except UserError as error:
        told["refused"] = True
        if "\n" in str(error) or not 20 < len(str(error)) < 1000:
            told |= {"what": "no sentence", "detail": str(error)[:300]}
    except BaseException as error:  # noqa: BLE001 what it is, is the finding
        trace, place = error.__traceback__, ""
        while trace is not None:
            place, trace = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}", trace.tb_next
        told |= {"what": type(error).__name__, "detail": f"{str(error)[:200]} ({place})"}
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if seconds > most_seconds:
        told.setdefault("what", f"took {seconds:.1f} s")
    if grown > most_megabytes:
        told.setdefault("what", f"grew by {grown:.0f} MB")
    return {**told, "number": number} if "what" in told else told


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
