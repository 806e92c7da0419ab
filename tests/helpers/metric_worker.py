"""One of the processes of `test_torch_metrics.py`: python metric_worker.py RANK FOLDER; and what it is fed with."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from pn_diffusion_plugin.metrics import torch_metrics
from pn_diffusion_plugin.metrics.nulls import click_track

RATE = 22050
WORKERS = 3  # the third has no clip
SECONDS = [5.0, 5.5, 6.0, 4.2, 5.12, 7.0]


def events(seed: int) -> list[list[float]]:
    """Event times for each clip; the third has none."""
    rng = np.random.default_rng(seed)
    found = [sorted((s * rng.random(rng.integers(3, 15))).tolist()) for s in SECONDS]
    found[2] = []
    return found


PREDS, TARGETS = events(1), [t or [0.5, 1.0] for t in events(2)]


def sounds(count: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A padded batch of generated and of reference clicks, with its sizes and rates."""
    sizes = [round(s * RATE) for s in (4, 5, 4.5, 5, 4)][:count]
    preds, targets = torch.zeros(2, count, 1, max(sizes))
    for i, size in enumerate(sizes):
        preds[i, 0, :size] = torch.from_numpy(click_track(size, RATE, period=0.4 + 0.05 * i))
        targets[i, 0, :size] = torch.from_numpy(click_track(size, RATE, period=0.4 + 0.03 * i))
    return preds, targets, torch.tensor(sizes), torch.full((count,), RATE)


def main(rank: int, folder: Path) -> None:
    """Update with this worker's clips, compute with all, store the numbers."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORKERS
    )
    beat, loris, embedded = (
        torch_metrics.BeatFMeasure(),
        torch_metrics.LorisScores(),
        torch_metrics.FrechetMusicnn(),
    )
    if rank < 2:
        share = slice(rank, 4, 2)
        beat.update(PREDS[share], TARGETS[share])
        loris.update(PREDS[share], TARGETS[share], SECONDS[share])
        preds, targets, sizes, rates = sounds(4)
        for _ in range(2 + rank):  # uneven: 8 and 12 clips
            embedded.update(preds, targets + 0.01 * rank, sizes, rates)
    interval = beat.interval()
    assert interval is not None
    found = {
        "beat": float(beat.compute()),
        "interval": interval.n,
        "loris": {name: float(value) for name, value in loris.compute().items()},
        "frechet": embedded.report(seed=1),
        "own": len(beat.per_clip()),
    }
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
