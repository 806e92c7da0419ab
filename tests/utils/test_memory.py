"""Threads share heaps: seen in how much a process holds after many threads have worked."""

from __future__ import annotations

import os
import subprocess
import sys

HELD = """
import sys, threading
from pn_diffusion_plugin.utils.memory import share_heaps

took = share_heaps() if sys.argv[1] == "shared" else None
ready, done = threading.Barrier(17), threading.Event()

def work():
    kept = [bytes(1000) for _ in range(1000)]  # of a size that a heap serves, not a mapping of its own
    ready.wait()
    done.wait()

threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads:
    thread.start()
ready.wait()
heaps = sum(line.split()[1].startswith("rw") and "-" in line.split()[0] and not line.split()[5:]
            and int(line.split()[0].split("-")[0], 16) % 2**26 == 0 for line in open("/proc/self/maps"))
done.set()
print(took, heaps)
"""


def held(way: str, **environment: str) -> tuple[str, int]:
    """What `share_heaps` said, and how many heaps of threads (64 MiB each, at such addresses) a process has."""
    unset = {key: value for key, value in os.environ.items() if key != "MALLOC_ARENA_MAX"}
    said = subprocess.check_output([sys.executable, "-c", HELD, way], env={**unset, **environment}, text=True)
    took, heaps = said.split()
    return took, int(heaps)


def test_threads_share_two_heaps() -> None:
    took, own = held("own")
    assert took == "None" and own > 8
    # The first thread's heap is no mapping of its own; another mapping may stand at such an address by chance.
    found = [held("shared") for _ in range(3)]
    assert {took for took, _ in found} == {"True"}
    assert min(heaps for _, heaps in found) == 1 and max(heaps for _, heaps in found) <= 2


def test_the_environment_goes_before_it() -> None:
    assert held("shared", MALLOC_ARENA_MAX="4")[0] == "False"
