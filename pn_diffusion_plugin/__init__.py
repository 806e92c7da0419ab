"""PN-Diffusion (CVPR 2025) for audiocraft: music for dance videos by negative-conditioning latent diffusion."""

from __future__ import annotations

from ._compat import set_audiocraft_config

__version__ = "0.1.0"

set_audiocraft_config()
