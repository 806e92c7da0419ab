"""Training card: how a model was trained, stored beside exported weights."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from ...utils.files import write_json

CARD = "training.json"
_POINTS = 12  # points of a curve


def training_card(
    experiment: Path, hardware: str | None = None, solver: str = "pn_diffusion"
) -> dict[str, Any]:
    """Command, updates and minutes of a Dora experiment.

    Args:
        experiment: folder.
        hardware: description; this machine's number of cores by default.
        solver: name of its solver.

    Returns:
        {"sig", "command", "data" (corpus), "seed", "updates", "minutes" (of the train stages), "hardware",
        "losses" (last epoch), "curve"}; `curve` is a list of {"updates", "train", "valid"} for some epochs, with
        rounded losses.
    """
    from .checkpoint import load_experiment

    argv = json.loads((experiment / ".argv.json").read_text(encoding="utf-8"))
    history = json.loads((experiment / "history.json").read_text(encoding="utf-8"))
    config = load_experiment(experiment, solver)["xp.cfg"]
    updates = config["optim"]["updates_per_epoch"]
    return {
        "sig": experiment.name,
        "command": shlex.join(["dora", "run", *argv]),
        "data": (config.get("corpus") or {}).get("name") or config.get("datasource", {}).get("dset"),
        "seed": config["seed"],
        "updates": len(history) * updates,
        "minutes": round(sum(epoch["train"]["duration"] for epoch in history) / 60, 1),
        "hardware": hardware or f"{os.cpu_count()} CPU cores",
        "losses": {
            name: value for name, value in history[-1]["train"].items() if name.startswith(("loss", "cosine"))
        },
        "curve": [
            {
                "updates": (number + 1) * updates,
                **{
                    stage: round(history[number][stage]["loss"], 4)
                    for stage in ("train", "valid")
                    if "loss" in history[number].get(stage, {})
                },
            }
            for number in _spread(len(history))
        ],
    }


def _spread(epochs: int) -> list[int]:
    """At most `_POINTS` evenly spaced epochs, with the last one."""
    every = -(-epochs // _POINTS)
    return list(range(epochs - 1, -1, -every))[::-1]


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the card beside exported weights."""
    write_json(folder / CARD, card)


def read_card(folder: Path) -> dict[str, Any] | None:
    """Read the card beside weights; None if there is none."""
    file = folder / CARD
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
