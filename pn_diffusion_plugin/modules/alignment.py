"""Put dance tokens on the latent's time axis without losing their finer timing.

A latent column is 93–186 ms wide, a beat must land within 70 ms. Merely resampling tokens to columns would blur
them to the column's width; so each column gets the tokens at several moments inside it, one after the other
as channels, and the network can see where in the column a move lands.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch.nn import functional as F


def fold_to_columns(
    tokens: torch.Tensor,
    rate: float,
    columns: int,
    column_seconds: float,
    moments: int,
    seen: torch.Tensor | None = None,
    lengths: torch.Tensor | None = None,
) -> torch.Tensor:
    """Tokens at `moments` evenly spaced times inside every latent column.

    Column l covers the seconds [l, l + 1)·column_seconds; its moment s lies at its (s + ½)/moments part. Values
    between tokens are linear, the ends are held. Positions are tied to seconds, not to indices, so that a model
    may be trained on one length and used on another.

    Args:
        tokens: (B, T, D), token k at time k / rate.
        rate: tokens a second (Hz).
        seen: (B, T) bool: between a token that was seen and one that stands for nobody, the nearer one holds; None:
            all were seen.
        lengths: (B,) tokens of each clip, the rest being padding; None: T of them.

    Returns:
        (B, moments · D, L), L = columns.
    """
    clips, length, width = tokens.shape
    times = (torch.arange(columns * moments, device=tokens.device, dtype=torch.float64) + 0.5) * (
        column_seconds / moments
    )
    last = tokens.new_full((clips,), length, dtype=torch.long) if lengths is None else lengths.clamp(min=1)
    last = (last - 1)[:, None]
    index = torch.minimum((times * rate)[None], last)
    below = torch.minimum(index.floor().long(), (last - 1).clamp(min=0))
    above = torch.minimum(below + 1, last)
    weight = (index - below).to(tokens.dtype)
    if seen is not None:
        differ = seen.gather(1, below) != seen.gather(1, above)
        weight = torch.where(differ, weight.round(), weight)
    low, high = (tokens.gather(1, at[..., None].expand(-1, -1, width)) for at in (below, above))
    values = low * (1 - weight[..., None]) + high * weight[..., None]
    return rearrange(values, "b (l s) d -> b (s d) l", l=columns, s=moments)


def average_tokens(tokens: torch.Tensor, stride: int, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over every `stride` tokens, for a shorter sequence to attend to; the last group may be smaller.

    Args:
        weight: (B, T) of each token in its group's mean; where a group's are all 0 its mean is 0. None: all alike.

    Shape: (B, T, D) → (B, ceil(T / stride), D).
    """
    if stride == 1:
        return tokens
    if weight is None:
        return _group_mean(tokens, stride)
    w = weight[..., None].to(tokens.dtype)
    return _group_mean(tokens * w, stride) / _group_mean(w, stride).clamp(min=1e-6)


def group_any(mask: torch.Tensor, stride: int) -> torch.Tensor:
    """Whether any of every `stride` tokens is True: (B, T) → (B, ceil(T / stride))."""
    return _group_mean(mask[..., None].float(), stride)[..., 0] > 0


def _group_mean(x: torch.Tensor, stride: int) -> torch.Tensor:
    return F.avg_pool1d(x.transpose(1, 2), stride, ceil_mode=True).transpose(1, 2)


def time_positions(length: int, rate: float, dim: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Sines and cosines of time in seconds, periods from 0.25 s to 64 s: (length, dim), dim even."""
    half = dim // 2
    seconds = (torch.arange(length, device=device) + 0.5) / rate
    period = 0.25 * 256.0 ** (torch.arange(half, device=device) / max(half - 1, 1))
    angle = 2 * math.pi * seconds[:, None] / period[None]
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
