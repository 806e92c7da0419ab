"""Data loaders of the four stages from `cfg.datasource` and `cfg.dataset`, in audiocraft's manner."""

from __future__ import annotations

from typing import Any

import flashy
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from ..data.augment import Augmentation
from ..data.dataset import DanceDataset
from ..models.builders import Config, build_feature_spec
from .distributed import ShareSampler

STAGES = ("train", "valid", "evaluate", "generate")


def build_dance_loaders(config: Config, load_features: bool = True) -> dict[str, DataLoader]:
    """A loader a stage, of batches `(wav (B, 1, N), [DanceSegmentInfo])`: this worker's share of each.

    Args:
        config: the experiment's configuration as plain containers, batch sizes already a worker's.
        load_features: False for solvers that need the sound alone.

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
