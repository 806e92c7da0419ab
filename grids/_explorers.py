"""Columns of the grids' tables."""

from __future__ import annotations

from typing import Any

import treetable as tt
from audiocraft.grids._base_explorers import BaseExplorer

#: Column of the table → metric of the evaluate stage (`metrics.corpus.flat_metrics`).
SCORES = {
    "F": "beat_f70",
    "onset": "onset_f50",
    "d→m": "bas_dance_to_music",
    "m→d": "bas_music_to_dance",
}
NULLS = {
    "shuffled": "shuffled/beat_f70",
    "click": "click/beat_f70",
    "ceiling": "ceiling/beat_f70",
}


class DanceExplorer(BaseExplorer):
    """Losses, minutes of training, and strict scores beside those of null and ceiling rows."""

    def get_grid_metrics(self) -> list[Any]:
        def leaves(names: Any, form: str = ".2f") -> list[Any]:
            return [tt.leaf(name, form) for name in names]

        return [
            tt.group(
                "train", [tt.leaf("epoch"), tt.leaf("minutes", ".1f"), *leaves(["loss+", "loss-"], ".3f")]
            ),
            tt.group("valid", leaves(["loss+", "influence"], ".3f")),
            tt.group("test", leaves(SCORES)),
            tt.group("F of", leaves(NULLS)),
        ]

    def process_sheep(self, sheep: Any, history: list[dict[str, Any]]) -> dict[str, Any]:
        parts: dict[str, dict[str, Any]] = {}
        for epoch in history:
            for stage, metrics in epoch.items():
                parts.setdefault(stage, {}).update(metrics)
        train, valid, test = (parts.get(stage, {}) for stage in ("train", "valid", "evaluate"))
        loss = "ce" if "ce" in train else "loss_positive"  # a language model's loss is a cross entropy
        seconds = sum(epoch["train"]["duration"] for epoch in history if "train" in epoch)
        shown = {
            "train": {
                "epoch": len(history),
                "minutes": seconds / 60,
                "loss+": train.get(loss),
                "loss-": train.get("loss_negative"),
            },
            "valid": {"loss+": valid.get(loss), "influence": valid.get("influence")},
            "test": {column: test.get(name) for column, name in SCORES.items()},
            "F of": {column: test.get(name) for column, name in NULLS.items()},
        }
        return {
            group: {k: v for k, v in columns.items() if v is not None} for group, columns in shown.items()
        }
