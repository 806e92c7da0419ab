"""Guidance as a wrapper around denoisers, never a flag inside a sampler.

With P, N, O the network's outputs under the dance, the negative dance and no dance, and N' the negative one
read as an estimate for the latent it is given (``negative_as_estimate``: -N where trained with ``shared``
latents),

    P                                       no guidance: one evaluation a step, the paper
    P + w * (P - N')                        negative guidance
    O + g * (P - O) - h * (N' - O)          classifier-free guidance (arXiv 2207.12598) with a negative

The weights of P, N' and O sum to 1, so at a given z_t the same formulas hold for noise, v and clean latents.
"""

from __future__ import annotations

import math
import typing as tp
from dataclasses import dataclass

import torch

from .diffusion import negative_as_estimate
from .windows import Denoiser

Branch = tp.Literal["positive", "negative", "none"]


@dataclass(frozen=True)
class Guidance:
    """Which branches a step evaluates, and what is made of their outputs.

    Args:
        w: strength of the negative guidance, >= 0; the formula without O.
        g, h: strengths of the positive and negative conditions in the formula with O.
        negative_latent: how the negative branch was trained, ``"mirrored"`` or ``"shared"``; decides its
            sign.
        rescale: share in [0, 1] of the result brought back to the standard deviation that P has in each clip,
            against guidance that raises the contrast (arXiv 2305.08891, section 3.4).
        timesteps: (first, end) of those at which there is guidance, with P alone at the others (arXiv 2404.07724:
            at much noise it costs variety, at little it changes next to nothing); None: at all.

    Raises:
        ValueError: both formulas at once, or a number that cannot be.

    >>> Guidance().branches, Guidance(w=1.0).branches, Guidance(g=2.0, h=0.5).branches
    (('positive',), ('positive', 'negative'), ('positive', 'negative', 'none'))
    """

    w: float = 0.0
    g: float = 1.0
    h: float = 0.0
    negative_latent: str = "mirrored"
    rescale: float = 0.0
    timesteps: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.w < 0:
            raise ValueError(f"w={self.w}: give a negative guidance of at least 0")
        if self.w and (self.g != 1.0 or self.h):
            raise ValueError(f"w={self.w} with g={self.g}, h={self.h}: give w, or g and h, not both")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale={self.rescale}: give a share in [0, 1]")
        # Fail here and not at the first step.
        negative_as_estimate(torch.zeros(()), self.negative_latent)

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Those whose weight is not 0: P always, N' with w or h, O where 1 - g + h is not 0."""
        if self.w:
            return ("positive", "negative")
        negative: tuple[Branch, ...] = ("negative",) if self.h else ()
        nothing: tuple[Branch, ...] = ("none",) if 1.0 - self.g + self.h != 0.0 else ()
        return ("positive", *negative, *nothing)

    def applies(self, t: torch.Tensor) -> torch.Tensor:
        """Whether there is guidance at timesteps t (B,), (B,) of bool."""
        first, end = self.timesteps or (-math.inf, math.inf)
        return (t >= first) & (t < end)

    def at(self, t: torch.Tensor) -> Guidance:
        """The guidance of a step, t (B,) being the same for all rows."""
        if self.timesteps is None or bool(self.applies(t)[0]):
            return self
        return Guidance(negative_latent=self.negative_latent)

    def combine(self, outputs: tp.Mapping[Branch, torch.Tensor]) -> torch.Tensor:
        """The guided output (B, C, F, L) from one such output for each of ``branches``."""
        out = p = outputs["positive"]
        if self.w:
            out = p + self.w * (p - negative_as_estimate(outputs["negative"], self.negative_latent))
        elif self.g != 1.0 or self.h:
            out = self.g * p
            if "none" in self.branches:
                out = out + (1.0 - self.g + self.h) * outputs["none"]
            if self.h:
                out = out - self.h * negative_as_estimate(outputs["negative"], self.negative_latent)
        if self.rescale and out is not p:
            axes = tuple(range(1, out.dim()))
            ratio = p.std(axes, keepdim=True) / out.std(axes, keepdim=True).clamp(min=1e-8)
            out = self.rescale * ratio * out + (1 - self.rescale) * out
        return out


def guided(
    positive: Denoiser,
    negative: Denoiser | None = None,
    unconditional: Denoiser | None = None,
    **weights: tp.Any,
) -> Denoiser:
    """A denoiser that combines up to three; a branch whose weight is 0 is never evaluated.

    Args:
        positive, negative, unconditional: the network under the dance, the negative dance and no dance.
        weights: of ``Guidance``.

    Raises:
        ValueError: a weight without its branch; or see ``Guidance``.

    >>> two, one = (lambda z, t: 2 * z), (lambda z, t: z)
    >>> guided(two, unconditional=one, g=3.0)(torch.ones(1), torch.zeros(1))  # 1 + 3 (2 - 1)
    tensor([4.])
    """
    guidance = Guidance(**weights)
    if (guidance.w or guidance.h) and negative is None:
        raise ValueError(
            f"w={guidance.w}, h={guidance.h} without a negative denoiser: give one, or leave the weight at 0"
        )
    if (guidance.g != 1.0 or guidance.h) and unconditional is None:
        raise ValueError(
            f"g={guidance.g}, h={guidance.h} without an unconditional denoiser: give one "
            "(condition dropout in training)"
        )
    denoisers: dict[Branch, Denoiser | None] = {
        "positive": positive,
        "negative": negative,
        "none": unconditional,
    }

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        outputs: dict[Branch, torch.Tensor] = {}
        for name in guidance.branches:
            denoiser = denoisers[name]
            assert denoiser is not None
            outputs[name] = denoiser(z, t)
        return guidance.combine(outputs)

    return denoise


def guided_together(branches: Denoiser, guidance: Guidance) -> Denoiser:
    """The same where one call gives all branches.

    Args:
        branches: (z (B, C, F, L), t (B,)) -> (K, B, C, F, L), the outputs of the K branches of
            ``guidance.at(t)``.
        guidance: what to make of them.
    """

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        now = guidance.at(t)
        return now.combine(dict(zip(now.branches, branches(z, t), strict=True)))

    return denoise
