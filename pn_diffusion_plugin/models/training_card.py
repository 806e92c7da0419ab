"""How a model was trained, in numbers: written beside exported weights, told again where they are used."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

from ..utils.files import write_json

CARD = "training.json"


def training_card(experiment: Path, hardware: str | None = None) -> dict[str, Any]:
    """Command, updates and minutes of a Dora experiment.

    Args:
        experiment: its folder.
        hardware: what it ran on; this machine's number of cores by default.

    Returns:
        {"sig", "command", "data" (name of the corpus), "updates", "minutes" (of the train stages), "hardware",
        "losses" (last epoch)}.
    """
    argv = json.loads((experiment / ".argv.json").read_text(encoding="utf-8"))
    history = json.loads((experiment / "history.json").read_text(encoding="utf-8"))
    from .checkpoint import load_experiment

    config = load_experiment(experiment, "pn_diffusion")["xp.cfg"]
    return {
        "sig": experiment.name,
        "command": shlex.join(["dora", "run", *argv]),
        "data": (config.get("corpus") or {}).get("name") or config.get("datasource", {}).get("dset"),
        "updates": len(history) * config["optim"]["updates_per_epoch"],
        "minutes": round(sum(epoch["train"]["duration"] for epoch in history) / 60, 1),
        "hardware": hardware or f"{os.cpu_count()} CPU cores",
        "losses": {
            name: value for name, value in history[-1]["train"].items() if name.startswith(("loss", "cosine"))
        },
    }


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Put the card beside exported weights."""
    write_json(folder / CARD, card)


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card beside weights, or None where there is none."""
    file = folder / CARD
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
