"""A trained model of either kind by its name: PN-Diffusion or the MusicGen baseline."""

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
    """The model, by the class that its configuration names.

    Raises:
        CheckpointError: when there is no such model, or it is damaged.
    """
    if _solver(name_or_path) == "dance_musicgen":
        return DanceMusicGen.get_pretrained(name_or_path, device)
    return PNDiffusion.get_pretrained(name_or_path, device)


def _solver(name_or_path: str | Path) -> str:
    """Name of the solver that a model comes from; exported PN-Diffusion models do not say it."""
    folder = resolve_checkpoint(name_or_path)
    exported, checkpoint = folder / "config.yaml", folder / "checkpoint.th"
    try:
        if exported.is_file():
            config = yaml.safe_load(exported.read_text(encoding="utf-8"))
        elif checkpoint.is_file():
            config = torch.load(checkpoint, "cpu", weights_only=True, mmap=True)["xp.cfg"]
        else:
            return "pn_diffusion"  # whose loading tells what is missing
        return config.get("solver", "pn_diffusion")
    except Exception as error:  # of many kinds: damaged files
        raise CheckpointError(
            f"{folder} cannot be read ({type(error).__name__}): it holds no model of this project"
        ) from error
