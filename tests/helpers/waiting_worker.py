"""One of two processes that work together, for test_distributed.py."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from pn_diffusion_plugin.errors import CorpusError
from pn_diffusion_plugin.solvers.distributed import WeightedMeans, gather_clips, on_rank_zero, wait_for_all

PATIENCE = 2  # seconds that the group waits which trains


def work(rank: int, port: int, folder: str) -> None:
    """Go through what workers do together and write down what this one saw."""
    store = distributed.TCPStore("127.0.0.1", port, 2, rank == 0)
    timeout = timedelta(seconds=PATIENCE)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timeout)

    def make() -> str:
        time.sleep(2 * PATIENCE)
        return f"made by {rank}"

    def fail() -> str:
        raise CorpusError("no corpus: make one")

    found: dict[str, Any] = {"made": on_rank_zero(make)}
    if rank == 0:
        time.sleep(2 * PATIENCE)
    wait_for_all()
    try:
        on_rank_zero(fail)
    except CorpusError as error:
        found["error"] = str(error)
    means = WeightedMeans()
    means.update({"loss": float(rank)}, weight=(0.75, 0.25)[rank])
    if rank == 1:
        means.update({"loss": 4.0, "rare": 7.0}, weight=1.0)
    found["means"] = means.compute(everywhere=True)
    found["clips"] = gather_clips(torch.arange(rank + 1.0)).tolist()
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    wait_for_all()  # nobody leaves while another still talks to it
    distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a process that ends in the ordinary way
