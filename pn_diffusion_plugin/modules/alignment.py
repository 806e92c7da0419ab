"""Align dance tokens to the latent's time axis without losing their finer timing.

A latent column is 93–186 ms wide, and a beat must fall within 70 ms. Resampling tokens to columns would blur them to
the column's width, so each column gets the tokens at several times inside it, concatenated as channels.
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
    samples_per_column: int,
    mask: torch.Tensor | None = None,
    lengths: torch.Tensor | None = None,
) -> torch.Tensor:
    """Sample tokens at `samples_per_column` evenly spaced times inside every latent column.

    Column l covers the seconds [l, l + 1)·column_seconds; sample s is at l + (s + ½)/samples_per_column columns.
    Interpolation is linear, with constant ends. Positions are in seconds, not indices, so that a model trained on one
    length can be used on another.

    Args:
        tokens: (B, T, D), token k at time k / rate.
        rate: tokens per second (Hz).
        mask: (B, T) bool, False at tokens without a detected dancer: between a True and a False token the nearer one is
            used instead of an interpolation. None: all True.
        lengths: (B,) number of tokens of each clip without padding; None: T.

    Returns:
        (B, samples_per_column · D, L), L = columns.
    """
    clips, length, width = tokens.shape
    times = (torch.arange(columns * samples_per_column, device=tokens.device, dtype=torch.float64) + 0.5) * (
        column_seconds / samples_per_column
    )
    last = tokens.new_full((clips,), length, dtype=torch.long) if lengths is None else lengths.clamp(min=1)
    last = (last - 1)[:, None]
    index = torch.minimum((times * rate)[None], last)
    below = torch.minimum(index.floor().long(), (last - 1).clamp(min=0))
    above = torch.minimum(below + 1, last)
    weight = (index - below).to(tokens.dtype)
    if mask is not None:
        differ = mask.gather(1, below) != mask.gather(1, above)
        weight = torch.where(differ, weight.round(), weight)
    low, high = (tokens.gather(1, at[..., None].expand(-1, -1, width)) for at in (below, above))
    values = low * (1 - weight[..., None]) + high * weight[..., None]
    return rearrange(values, "b (l s) d -> b (s d) l", l=columns, s=samples_per_column)


def average_tokens(tokens: torch.Tensor, stride: int, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Average every `stride` tokens to shorten the sequence for attention; the last group may be smaller.

    Args:
        weight: (B, T) weights in the mean of a group; with all 0 the mean is 0. None: equal weights.

    Shape: (B, T, D) → (B, ceil(T / stride), D).
    """
    if stride == 1:
        return tokens
    if weight is None:
        return _group_mean(tokens, stride)
    w = weight[..., None].to(tokens.dtype)
    return _group_mean(tokens * w, stride) / _group_mean(w, stride).clamp(min=1e-6)


def group_any(mask: torch.Tensor, stride: int) -> torch.Tensor:
    """Logical or over every `stride` tokens: (B, T) → (B, ceil(T / stride))."""
    return _group_mean(mask[..., None].float(), stride)[..., 0] > 0


def _group_mean(x: torch.Tensor, stride: int) -> torch.Tensor:
    return F.avg_pool1d(x.transpose(1, 2), stride, ceil_mode=True).transpose(1, 2)


def time_positions(length: int, rate: float, dim: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Sinusoidal embedding of time in seconds, periods from 0.25 s to 64 s: (length, dim), dim even."""
    half = dim // 2
    seconds = (torch.arange(length, device=device) + 0.5) / rate
    period = 0.25 * 256.0 ** (torch.arange(half, device=device) / max(half - 1, 1))
    angle = 2 * math.pi * seconds[:, None] / period[None]
    return torch.cat([angle.sin(), angle.cos()], dim=-1)
