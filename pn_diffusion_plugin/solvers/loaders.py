"""Data loaders of the stages, the cache of latents they read from, and statistics of the training set."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flashy
import torch
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from ..data.augment import Augmentation
from ..data.condition import positive_condition
from ..data.dataset import DanceDataset
from ..data.features.feature_file import Features, FeatureSpec, load_features
from ..data.latents import LatentStore
from ..data.manifest import CorpusPaths, corpus_root
from ..models.builders import Config, build_feature_spec, uses_scores
from ..modules.dance_encoder import DanceEncoder
from ..modules.normalizer import Normalizer
from .distributed import ShareSampler, on_rank_zero, wait_for_all

logger = logging.getLogger(__name__)

STAGES = ("train", "valid", "evaluate", "generate")
SCORED = ("train", "valid")  # in experiments with scores these read images of them, the other stages sound

_STATISTICS_CLIPS = 256  # training clips that input statistics are computed on
_ENCODED_SEGMENTS = 16  # per call of the autoencoder
_PROGRESS_LINES = 5


def build_dance_loaders(config: Config, load_features: bool = True) -> dict[str, DataLoader]:
    """One loader per stage, with this worker's share of each batch: `(wav (B, 1, N), [DanceSegmentInfo])`.

    Args:
        config: the experiment's configuration as plain containers, with batch sizes per worker.
        load_features: False for solvers that need the audio only.

    Raises:
        CorpusError: a manifest is missing or empty.
    """
    common = {key: value for key, value in config["dataset"].items() if key not in STAGES}
    loaders: dict[str, DataLoader] = {}
    for stage in STAGES:
        options: dict[str, Any] = {**common, **config["dataset"][stage]}
        batch_size, num_workers = options.pop("batch_size"), options.pop("num_workers")
        augment = Augmentation.from_config(options.pop("augment", None))
        if stage == "train" and config["optim"]["updates_per_epoch"]:
            options["num_samples"] = (
                flashy.distrib.world_size() * batch_size * config["optim"]["updates_per_epoch"]
            )
        dataset: Any = DanceDataset.from_meta(
            config["datasource"][stage],
            sample_rate=config["sample_rate"],
            channels=1,
            segment_duration=config["segment_seconds"],
            load_features=load_features,
            expect=build_feature_spec(config) if load_features else None,
            negative_cue=config.get("negative", {}).get("cue", "reversed"),
            augment=augment,
            seed=int(config.get("seed", 0)),
            score_hop=config["mel"]["hop_length"] if uses_scores(config) and stage in SCORED else None,
            **options,
        )
        order = RandomSampler(dataset) if options["shuffle"] else SequentialSampler(dataset)
        loaders[stage] = DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=ShareSampler(order, len(dataset)),
            num_workers=num_workers,
            persistent_workers=num_workers > 0,  # each takes seconds to import audiocraft
            pin_memory=str(config["device"]).startswith("cuda"),
            collate_fn=dataset.collater,
        )
    return loaders


def training_features(dataset: DanceDataset, spec: FeatureSpec) -> Iterator[Features]:
    """Features of whole training clips, the first ones of the manifest."""
    for meta in dataset.meta[:_STATISTICS_CLIPS]:
        paths = CorpusPaths(corpus_root(meta.path))
        yield load_features(paths.features(Path(meta.path).stem), spec)


def fit_statistics(encoder: DanceEncoder, dataset: DanceDataset, spec: FeatureSpec) -> None:
    """Store the mean and standard deviation of the encoder's inputs in it. Interpolated keypoints do not count."""
    encoder.visual_norm.fit(torch.from_numpy(clip.visual) for clip in training_features(dataset, spec))
    for name, norm in encoder.stream_norms.items():
        assert isinstance(norm, Normalizer)
        norm.fit(torch.from_numpy(clip.streams[name]) for clip in training_features(dataset, spec))

    def motions() -> Iterator[torch.Tensor]:
        for clip in training_features(dataset, spec):
            dance = positive_condition(clip)
            detected = dance.detected[..., None] & (dance.motion[..., 2] > 0)
            yield encoder.motion_features(dance.motion, dance.motion_rate[0], detected)[detected]

    encoder.motion_norm.fit(motions())


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of all weights of a module."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def worth_caching(dataset: DanceDataset, draws: int) -> bool:
    """Whether a run that draws this many segments draws more than there are."""
    if dataset.start_every is None and not dataset.segments:
        return False
    return draws > sum(len(dataset.starts(meta)) for meta in dataset.meta)


def use_latents(
    dataset: DanceDataset,
    store: LatentStore,
    encode: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device | str,
) -> None:
    """Let a dataset return posterior parameters (2C, F, L) instead of audio; missing ones are computed first.

    Every worker computes its share of what is missing.

    Args:
        encode: audio (K, 1, N) on `device` → posterior parameters (K, 2C, F, L).
    """
    starts = {meta.path: dataset.starts(meta) for meta in dataset.meta}
    clips = [meta for meta in dataset.meta if starts[meta.path]]
    stored = [store.add(meta, starts[meta.path]) for meta in clips]
    # One list for all workers: a clip that one of them has written by now is not missing in another's.
    stored = on_rank_zero(lambda: stored)
    missing = [meta for meta, exists in zip(clips, stored, strict=True) if not exists]
    mine = missing[flashy.distrib.rank() :: flashy.distrib.world_size()]
    if missing:
        segments = sum(len(starts[meta.path]) for meta in missing)
        logger.info(
            "Latents of %d segments of %d clips are cached in %s", segments, len(missing), store.folder
        )
    for number, meta in enumerate(mine, 1):
        audio = [dataset.read(meta, start) for start in starts[meta.path]]
        params = []
        for first in range(0, len(audio), _ENCODED_SEGMENTS):
            batch = torch.stack([wav for wav, _ in audio[first : first + _ENCODED_SEGMENTS]])
            params.append(encode(batch.to(device)).cpu())
        store.write(meta, starts[meta.path], torch.cat(params), [n_frames for _, n_frames in audio])
        if number % max(1, len(mine) // _PROGRESS_LINES) == 0:
            logger.info("Latents | %d/%d clips", number, len(mine))
    wait_for_all()
    dataset.latents = store
