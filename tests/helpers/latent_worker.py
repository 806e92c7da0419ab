"""One of two ranks that fill latent caches together, for test_loaders.py."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from pn_diffusion_plugin.data.dataset import DanceDataset
from pn_diffusion_plugin.data.latents import LatentStore
from pn_diffusion_plugin.solvers.distributed import wait_for_all
from pn_diffusion_plugin.solvers.loaders import use_latents

#: For each run: seconds before rank 0 and rank 1 begin, and seconds that each needs for a clip.
ORDERS = [
    ((0, 0), (0, 0)),
    ((0, 0.4), (0.1, 0)),  # rank 1 begins after rank 0 has written some clips
    ((0.4, 0), (0, 0.1)),
    ((0, 0.8), (0, 0)),  # … all of its clips
    ((0.8, 0), (0, 0)),
]


def fill(rank: int, port: int, corpus: str, folder: str) -> None:
    """Fill one empty cache for each of `ORDERS`; write down how many clips this rank encoded and could read."""
    store = distributed.TCPStore("127.0.0.1", port, 2, rank == 0)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    found = []
    for number, (begin, each) in enumerate(ORDERS):
        dataset = DanceDataset.from_meta(
            Path(corpus) / "egs" / "train",
            segment_duration=2.56,
            start_every=1.0,
            load_features=False,
            num_samples=4,
        )
        encoded = []

        def encode(
            wav: torch.Tensor, seconds: float = each[rank], calls: list[int] = encoded
        ) -> torch.Tensor:
            time.sleep(seconds)
            calls.append(len(wav))
            return wav[:, :, None, :8]

        latents = LatentStore(Path(folder) / str(number), {})
        wait_for_all()
        time.sleep(begin[rank])
        use_latents(dataset, latents, encode, "cpu")
        readable = 0
        for meta in dataset.meta:
            for start in dataset.starts(meta):
                latent, _ = latents(meta, start)
                readable += torch.equal(latent[:, 0], dataset.read(meta, start)[0][:, :8])
        found.append({"encoded": len(encoded), "readable": readable})
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    wait_for_all()
    distributed.destroy_process_group()
    os._exit(0)  # gloo's threads may abort a process that ends in the ordinary way
