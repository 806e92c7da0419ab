"""Solvers by name: ours first, then audiocraft's own."""

from __future__ import annotations

from typing import Any


def get_solver(cfg: Any) -> Any:
    """The solver that `cfg.solver` names, built.

    audiocraft's own list is closed, so ours is asked first and audiocraft's builder gets the rest.
    """
    if cfg.solver == "mel_vae":
        from .mel_vae import MelVAESolver

        return MelVAESolver(cfg)
    if cfg.solver == "pn_diffusion" and "distill" in cfg:
        from .distill import DistillSolver

        return DistillSolver(cfg)
    if cfg.solver == "pn_diffusion":
        from .pn_diffusion import PNDiffusionSolver

        return PNDiffusionSolver(cfg)
    if cfg.solver == "vocoder":
        from .vocoder import VocoderSolver

        return VocoderSolver(cfg)
    if cfg.solver == "compression":
        from .compression import CodecSolver

        return CodecSolver(cfg)
    if cfg.solver == "dance_musicgen":
        from .dance_musicgen import DanceMusicGenSolver

        return DanceMusicGenSolver(cfg)
    from audiocraft.solvers import builders

    return builders.get_solver(cfg)


def describe(cfg: Any) -> str | None:
    """What `show=true` tells, of the configuration alone: it needs no corpus, no autoencoder and no weights.

    None for solvers that have to be built to be shown.
    """
    if cfg.solver not in ("mel_vae", "pn_diffusion", "vocoder"):
        return None
    from omegaconf import OmegaConf

    from ..models.io.summary import describe as describe_models

    return describe_models(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
