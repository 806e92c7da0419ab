"""Let a dataset give latents instead of sound: what the frozen autoencoder says of a segment is asked for once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

import flashy
import torch
from torch import nn

from ..data.dataset import DanceDataset
from ..data.latents import LatentStore
from .distributed import on_rank_zero, wait_for_all

Encode = Callable[[torch.Tensor], torch.Tensor]

_BATCH = 16  # segments encoded at once
_LINES = 5  # of progress


def weights_hash(module: nn.Module) -> str:
    """Of all weights, wherever they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def worth_caching(dataset: DanceDataset, draws: int) -> bool:
    """Whether a run that draws so many segments draws more than there are."""
    if dataset.start_every is None and not dataset.segments:
        return False
    return draws > sum(len(dataset.starts(meta)) for meta in dataset.meta)


def use_latents(
    dataset: DanceDataset,
    store: LatentStore,
    encode: Encode,
    logger: logging.Logger,
    device: torch.device | str,
) -> None:
    """From now on `dataset` gives posteriors (2C, F, L). Every worker makes its share of what is missing.

    Args:
        encode: sound (K, 1, N) on `device` → moments (K, 2C, F, L).
    """
    starts = {meta.path: dataset.starts(meta) for meta in dataset.meta}
    clips = [meta for meta in dataset.meta if starts[meta.path]]
    found = [store.add(meta, starts[meta.path]) for meta in clips]
    # One list for all workers: files that one has written by now are not missing from another's.
    found = on_rank_zero(lambda: found)
    missing = [meta for meta, there in zip(clips, found, strict=True) if not there]
    mine = missing[flashy.distrib.rank() :: flashy.distrib.world_size()]
    if missing:
        logger.info(
            "Latents of %d segments of %d clips are kept in %s",
            sum(len(starts[meta.path]) for meta in missing),
            len(missing),
            store.folder,
        )
    for number, meta in enumerate(mine, 1):
        segments = [dataset.read(meta, start) for start in starts[meta.path]]
        moments = []
        for at in range(0, len(segments), _BATCH):
            sound = torch.stack([wav for wav, _ in segments[at : at + _BATCH]])
            moments.append(encode(sound.to(device)).cpu())
        store.write(meta, starts[meta.path], torch.cat(moments), [n_frames for _, n_frames in segments])
        if number % max(1, len(mine) // _LINES) == 0:
            logger.info("Latents | %d/%d clips", number, len(mine))
    wait_for_all()
    dataset.latents = store
