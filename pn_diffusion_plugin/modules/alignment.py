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
    tokens: torch.Tensor, rate: float, columns: int, column_seconds: float, moments: int
) -> torch.Tensor:
    """Tokens at `moments` evenly spaced times inside every latent column.

    Column l covers the seconds [l, l + 1)·column_seconds; its moment s lies at its (s + ½)/moments part. Values
    between tokens are linear, the ends are held. Positions are tied to seconds, not to indices, so that a model
    may be trained on one length and used on another.

    Args:
        tokens: (B, T, D), token k at time k / rate.
        rate: tokens a second (Hz).

    Returns:
        (B, moments · D, L), L = columns.
    """
    length = tokens.shape[1]
    times = (torch.arange(columns * moments, device=tokens.device, dtype=torch.float64) + 0.5) * (
        column_seconds / moments
    )
    index = (times * rate).clamp(0, length - 1)
    below = index.floor().long().clamp(max=max(length - 2, 0))
    above = (below + 1).clamp(max=length - 1)
    weight = (index - below).to(tokens.dtype)[None, :, None]
    values = tokens[:, below] * (1 - weight) + tokens[:, above] * weight
    return rearrange(values, "b (l s) d -> b (s d) l", l=columns, s=moments)


def average_tokens(tokens: torch.Tensor, stride: int) -> torch.Tensor:
    """Mean over every `stride` tokens, for a shorter sequence to attend to; the last group may be smaller.

    Shape: (B, T, D) → (B, ceil(T / stride), D).
    """
    if stride == 1:
        return tokens
    return F.avg_pool1d(tokens.transpose(1, 2), stride, ceil_mode=True).transpose(1, 2)


def time_positions(length: int, rate: float, dim: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Sines and cosines of time in seconds, periods from 0.25 s to 64 s: (length, dim), dim even."""
    half = dim // 2
    seconds = (torch.arange(length, device=device) + 0.5) / rate
    period = 0.25 * 256.0 ** (torch.arange(half, device=device) / max(half - 1, 1))
    angle = 2 * math.pi * seconds[:, None] / period[None]
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
