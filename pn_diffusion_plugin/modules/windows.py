"""Latents of any length from a network of one length: overlapping windows denoised together.

At every denoising step each window is denoised separately and the outputs are cross-faded (MultiDiffusion,
arXiv 2302.08113), so that neighbouring windows agree before the next step: no seams and no drift. The cross-fade
weights of a column sum to 1, and an output is linear in eps and z0 at a given z_t, so cross-fading outputs is
cross-fading noise estimates, for either prediction type.
"""

from __future__ import annotations

import typing as tp

import torch
from einops import rearrange

Denoiser = tp.Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(z (B, C, F, L), t (B,)) -> output (B, C, F, L)."""

WindowDenoiser = tp.Callable[[torch.Tensor, torch.Tensor, list[int]], torch.Tensor]
"""(z (W*B, C, F, window), t (W*B,), starts of the W windows) -> output; row w * B + b: window w, clip b.

The output may have leading axes, (..., W*B, C, F, window); the denoiser then has them too."""


def window_starts(length: int, window: int, hop: int) -> list[int]:
    """First columns of the windows that cover ``length`` columns; the last window ends at the end of the latent.

    >>> window_starts(100, window=40, hop=30)
    [0, 30, 60]
    >>> window_starts(75, window=40, hop=30)
    [0, 30, 35]
    >>> window_starts(30, window=40, hop=30)
    [0]
    """
    if not 0 < hop <= window:
        raise ValueError(f"window={window}, hop={hop}: give 0 < hop <= window, so that no column is left out")
    last = max(0, length - window)
    return [*range(0, last, hop), last]


def crossfade_weights(starts: tp.Sequence[int], window: int) -> torch.Tensor:
    """Weights (W, window) for a weighted sum of windows that begin at ``starts``.

    Linear ramps where neighbouring windows overlap, normalised to a sum of 1 in every column.
    """
    weights = torch.ones(len(starts), window)
    for i in range(len(starts) - 1):
        overlap = starts[i] + window - starts[i + 1]
        if overlap > 0:
            ramp = (torch.arange(overlap) + 0.5) / overlap
            weights[i + 1, :overlap] *= ramp
            weights[i, window - overlap :] *= ramp.flip(0)
    total = torch.zeros(starts[-1] + window)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + window] += weight
    return torch.stack([w / total[s : s + window] for s, w in zip(starts, weights, strict=True)])


def windowed(
    denoise_window: WindowDenoiser, window: int, hop: int, *, windows_per_call: int | None = None
) -> Denoiser:
    """Extend a denoiser of windows to latents of any length.

    Args:
        denoise_window: called with the windows stacked in the batch and the first column of each.
        window, hop: length of a window and distance of two windows, in columns; a shorter latent is one window.
        windows_per_call: most windows in one call, which bounds the memory; None: all.
    """
    if windows_per_call is not None and windows_per_call < 1:
        raise ValueError(f"windows_per_call={windows_per_call}: give at least 1, or None for all at once")

    def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        starts = window_starts(z.shape[-1], window, hop)
        if len(starts) == 1:
            return denoise_window(z, t, starts)
        weights = crossfade_weights(starts, window).to(z)
        result = z.new_zeros(0)
        step = windows_per_call or len(starts)
        for i in range(0, len(starts), step):
            group = starts[i : i + step]
            stacked = rearrange([z[..., s : s + window] for s in group], "w b c f l -> (w b) c f l")
            outputs = denoise_window(stacked, t.repeat(len(group)), group).to(z)
            outputs = rearrange(outputs, "... (w b) c f l -> w ... b c f l", w=len(group))
            if not i:
                result = z.new_zeros(*outputs.shape[1:-1], z.shape[-1])
            for start, weight, output in zip(group, weights[i : i + step], outputs, strict=True):
                result[..., start : start + window] += weight * output
        return result

    return denoise
