"""Guidance, as a wrapper around the denoiser.

With P, N and O the network's outputs under the dance, the negative dance and no dance, all of the same style, U that
under the dance without a style, and N' the negative output converted to an estimate for the same latent
(`Objective.as_estimate`), the guided output is

    O + g (P - O) - h (N' - O) + w (P - N') + (s - 1) (P - U)

g: classifier-free guidance (arXiv 2207.12598); h: the negative dance inside of it, as a negative prompt (h = g - 1
puts it in the place of O); w: negative guidance without O; s: classifier-free guidance of the style. g = s = 1,
w = h = 0 is P alone: the paper. The weights of P, N', O and U sum to 1, so the formula holds for noise, v and clean
latents alike.
"""

from __future__ import annotations

import math
import typing as tp
from dataclasses import dataclass

import torch

from .readings import get_reading
from .windows import Denoiser

Branch = tp.Literal["positive", "negative", "none", "unstyled"]


@dataclass(frozen=True)
class Guidance:
    """Weights of guidance, and the branches that they need.

    Args:
        w: weight of negative guidance, >= 0.
        g, h: weights of classifier-free guidance and of the negative dance in it, h >= 0.
        negative_latent: reading of the negative that the network was trained with; sets the sign of N'.
        rescale: share in [0, 1] by which the result is brought back to the standard deviation of P in each clip, since
            guidance raises the contrast (arXiv 2305.08891, section 3.4).
        timesteps: (first, end) of the timesteps with guidance, P alone at the others (arXiv 2404.07724: at high noise
            guidance costs variety, at low noise it changes little); None: all timesteps.
        s: weight of the style's guidance, >= 0; 1: off.

    Raises:
        ValueError: a weight outside its range, or an unknown reading.

    >>> Guidance().branches, Guidance(w=1.0).branches, Guidance(g=2.0, h=0.5).branches
    (('positive',), ('positive', 'negative'), ('positive', 'negative', 'none'))
    """

    w: float = 0.0
    g: float = 1.0
    h: float = 0.0
    negative_latent: str = "mirrored"
    rescale: float = 0.0
    timesteps: tuple[float, float] | None = None
    s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("w", "h", "s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: give a weight of at least 0")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale={self.rescale}: give a share in [0, 1]")
        get_reading(self.negative_latent)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Branches with a weight other than 0, P always and first."""
        negative: tuple[Branch, ...] = ("negative",) if self.w or self.h else ()
        none: tuple[Branch, ...] = ("none",) if 1.0 - self.g + self.h != 0.0 else ()
        unstyled: tuple[Branch, ...] = ("unstyled",) if self.s != 1.0 else ()
        return ("positive", *negative, *none, *unstyled)

    def applies(self, t: torch.Tensor) -> torch.Tensor:
        """Whether there is guidance at timesteps t (B,), as (B,) bool."""
        first, end = self.timesteps or (-math.inf, math.inf)
        return (t >= first) & (t < end)

    def at(self, t: torch.Tensor) -> Guidance:
        """The guidance of a step, where t (B,) is the same for all rows."""
        if self.timesteps is None or bool(self.applies(t)[0]):
            return self
        return Guidance(negative_latent=self.negative_latent)

    def combine(self, outputs: tp.Mapping[Branch, torch.Tensor]) -> torch.Tensor:
        """Combine the outputs (B, C, F, L) of all ``branches`` to the guided output."""
        out = p = outputs["positive"]
        negative = outputs.get("negative")
        if negative is not None:
            negative = get_reading(self.negative_latent).as_estimate(negative)
        if self.g != 1.0 or self.h:
            out = self.g * p
            if "none" in self.branches:
                out = out + (1.0 - self.g + self.h) * outputs["none"]
            if self.h and negative is not None:
                out = out - self.h * negative
        if self.w and negative is not None:
            out = out + self.w * (p - negative)
        if self.s != 1.0:
            out = out + (self.s - 1.0) * (p - outputs["unstyled"])
        if self.rescale and out is not p:
            axes = tuple(range(1, out.dim()))
            ratio = p.std(axes, keepdim=True) / out.std(axes, keepdim=True).clamp(min=1e-8)
            out = self.rescale * ratio * out + (1 - self.rescale) * out
        return out


def guided(branches: Denoiser, guidance: Guidance) -> Denoiser:
    """Wrap a denoiser of all branches into a guided denoiser.

    Args:
        branches: (z (B, C, F, L), t (B,)) -> (K, B, C, F, L), the outputs of the K branches of ``guidance.at(t)``.
        guidance: the weights.

    >>> cfg = guided(lambda z, t: torch.stack([2 * z, z]), Guidance(g=3.0))
    >>> cfg(torch.ones(1, 1), torch.zeros(1))  # 1 + 3 (2 - 1)
    tensor([[4.]])
    """

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        now = guidance.at(t)
        return now.combine(dict(zip(now.branches, branches(z, t), strict=True)))

    return denoise
