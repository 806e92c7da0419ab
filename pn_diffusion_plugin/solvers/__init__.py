"""Solvers by name: this package's first, then audiocraft's own."""

from __future__ import annotations

import importlib
from typing import Any

#: `solver` of a configuration → module of this package and class.
SOLVERS = {
    "mel_vae": ("mel_vae", "MelVAESolver"),
    "pn_diffusion": ("pn_diffusion", "PNDiffusionSolver"),
    "distill": ("distill", "DistillSolver"),
    "vocoder": ("vocoder", "VocoderSolver"),
    "compression": ("compression", "CodecSolver"),
    "dance_musicgen": ("dance_musicgen", "DanceMusicGenSolver"),
}


def solver_name(cfg: Any) -> str:
    """`cfg.solver`; in early recipes a section `distill` was all that told distillation from training."""
    return "distill" if cfg.solver == "pn_diffusion" and "distill" in cfg else str(cfg.solver)


def get_solver(cfg: Any) -> Any:
    """Build the solver that `cfg.solver` names.

    Raises:
        KeyError: neither this package nor audiocraft has a solver of that name.
    """
    name = solver_name(cfg)
    if name not in SOLVERS:
        from audiocraft.solvers import builders

        return builders.get_solver(cfg)
    module, solver = SOLVERS[name]
    return getattr(importlib.import_module(f".{module}", __name__), solver)(cfg)


def describe(cfg: Any) -> str | None:
    """Text of `show=true`, from the configuration alone: without corpus, autoencoder or weights.

    None for solvers that must be built to be described.
    """
    if cfg.solver not in ("mel_vae", "pn_diffusion", "distill", "vocoder"):
        return None
    from omegaconf import OmegaConf

    from ..models.io.summary import describe as describe_models

    return describe_models(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
