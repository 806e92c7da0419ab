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

import torch

from .diffusion import negative_as_estimate
from .windows import Denoiser


def guided(
    positive: Denoiser,
    negative: Denoiser | None = None,
    unconditional: Denoiser | None = None,
    *,
    w: float = 0.0,
    g: float = 1.0,
    h: float = 0.0,
    negative_latent: str = "mirrored",
    rescale: float = 0.0,
) -> Denoiser:
    """A denoiser that combines up to three; a branch whose weight is 0 is never evaluated.

    Args:
        positive, negative, unconditional: the network under the dance, the negative dance and no dance.
        w: strength of the negative guidance, >= 0; the formula without O.
        g, h: strengths of the positive and negative conditions in the formula with O.
        negative_latent: how the negative branch was trained, ``"mirrored"`` or ``"shared"``; decides its
            sign.
        rescale: share in [0, 1] of the result brought back to the standard deviation that P has in each clip,
            against guidance that raises the contrast (arXiv 2305.08891, section 3.4).

    Raises:
        ValueError: a weight without its branch, or both formulas at once.
    """
    if w < 0:
        raise ValueError(f"w={w}: give a negative guidance of at least 0")
    if w and (g != 1.0 or h):
        raise ValueError(f"w={w} with g={g}, h={h}: give w, or g and h, not both")
    if (w or h) and negative is None:
        raise ValueError(f"w={w}, h={h} without a negative denoiser: give one, or leave the weight at 0")
    if (g != 1.0 or h) and unconditional is None:
        raise ValueError(
            f"g={g}, h={h} without an unconditional denoiser: give one (condition dropout in training)"
        )
    if not 0 <= rescale <= 1:
        raise ValueError(f"rescale={rescale}: give a share in [0, 1]")
    # Fail here and not at the first step.
    negative_as_estimate(torch.zeros(()), negative_latent)

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        out = p = positive(z, t)
        estimate = None
        if negative is not None and (w or h):
            estimate = negative_as_estimate(negative(z, t), negative_latent)
        if w and estimate is not None:
            out = p + w * (p - estimate)
        # O has the weight 1 - g + h.
        elif unconditional is not None and (g != 1.0 or h):
            out = g * p
            if 1.0 - g + h != 0.0:
                out = out + (1.0 - g + h) * unconditional(z, t)
            if estimate is not None:
                out = out - h * estimate
        if rescale and out is not p:
            axes = tuple(range(1, out.dim()))
            ratio = p.std(axes, keepdim=True) / out.std(axes, keepdim=True).clamp(min=1e-8)
            out = rescale * ratio * out + (1 - rescale) * out
        return out

    return denoise
