"""A tiny model that generates notes, with two styles."""

from __future__ import annotations

from tiny_model import tiny_model

from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion


def tiny_score_model() -> PNDiffusion:
    """Random weights, always the same: what it generates is anything, or silence."""
    return tiny_model(
        {
            "music": {"representation": "score"},
            "mel.n_mels": 64,
            "diffusion.prediction": "sample",
            "conditioning.styles": ["house", "funk"],
        }
    )
