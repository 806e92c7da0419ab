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
    if cfg.solver == "pn_diffusion":
        from .pn_diffusion import PNDiffusionSolver

        return PNDiffusionSolver(cfg)
    if cfg.solver == "compression":
        from .compression import CodecSolver

        return CodecSolver(cfg)
    if cfg.solver == "dance_musicgen":
        from .dance_musicgen import DanceMusicGenSolver

        return DanceMusicGenSolver(cfg)
    from audiocraft.solvers import builders

    return builders.get_solver(cfg)
