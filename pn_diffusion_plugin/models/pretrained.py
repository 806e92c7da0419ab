"""Load a trained model of either kind: PN-Diffusion or the MusicGen baseline."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from ..errors import CheckpointError
from .io.checkpoint import resolve_checkpoint
from .musicgen.dance_musicgen import DanceMusicGen
from .pn_diffusion import PNDiffusion


def get_pretrained(
    name_or_path: str | Path, device: torch.device | str = "cpu"
) -> PNDiffusion | DanceMusicGen:
    """Load a model with the class of its configuration.

    Raises:
        CheckpointError: when there is no such model, or it is damaged.
    """
    if _solver(name_or_path) == "dance_musicgen":
        return DanceMusicGen.get_pretrained(name_or_path, device)
    return PNDiffusion.get_pretrained(name_or_path, device)


def _solver(name_or_path: str | Path) -> str:
    """Solver that a model was trained with; exported PN-Diffusion models do not store it."""
    folder = resolve_checkpoint(name_or_path)
    exported, checkpoint = folder / "config.yaml", folder / "checkpoint.th"
    try:
        if exported.is_file():
            config = yaml.safe_load(exported.read_text(encoding="utf-8"))
        elif checkpoint.is_file():
            config = torch.load(checkpoint, "cpu", weights_only=True, mmap=True)["xp.cfg"]
        else:
            return "pn_diffusion"  # its loader reports what is missing
        return config.get("solver", "pn_diffusion")
    except Exception as error:  # damaged files raise many kinds
        raise CheckpointError(
            f"{folder} cannot be read ({type(error).__name__}): give the folder of a model of this project"
        ) from error
