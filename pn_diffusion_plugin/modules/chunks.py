"""Convolutional networks over long spectrograms in chunks, with the result of one pass over the whole.

A column of the output depends on the columns within the network's receptive field, so each chunk is computed with that
much context on both sides, which is then discarded. Group normalisation depends on all columns: its mean and variance
are measured layer by layer, each in a pass over the chunks that stops at that layer, with the layers before it using
the values of the earlier passes. N normalisations cost N partial passes (about N / 2 whole ones), and memory does not
grow with the length.

Cross-fading chunks that are normalised on their own, as diffusers' tiling does, is simpler but gives another result: it
evens out loudness that changes along a clip. It is used where attention rules out the exact way.
"""

from __future__ import annotations

import typing as tp
from dataclasses import dataclass

import torch
from torch import nn

from .windows import crossfade_weights, window_starts

Network = tp.Callable[[torch.Tensor], torch.Tensor]
"""(B, C, F, L) -> (B, C', F', L * s), for any L and one ratio s."""


@dataclass(frozen=True)
class Chunk:
    """Columns ``start`` to ``stop`` are kept; ``first`` to ``last`` are computed."""

    start: int
    stop: int
    first: int
    last: int


def chunks(length: int, size: int, context: int) -> list[Chunk]:
    """Adjacent chunks of ``size`` columns, each with up to ``context`` more on both sides.

    >>> [(c.start, c.stop, c.first, c.last) for c in chunks(25, size=10, context=3)]
    [(0, 10, 0, 13), (10, 20, 7, 23), (20, 25, 17, 25)]
    """
    if size < 1 or context < 0:
        raise ValueError(
            f"size={size}, context={context}: give chunks of at least 1 column and a context >= 0"
        )
    return [
        Chunk(start, stop, max(0, start - context), min(length, stop + context))
        for start in range(0, length, size)
        for stop in (min(start + size, length),)
    ]


def _wide(x: torch.Tensor) -> torch.Tensor:
    """Convert to single precision at least, in which normalisations are computed."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _RunningMoments:
    """Running mean and variance of each clip and group (Chan, Golub and LeVeque 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)  # sum of squared deviations from the mean

    def add(self, x: torch.Tensor) -> None:
        """Add values (B, G, N)."""
        variance, mean = torch.var_mean(_wide(x), dim=-1, correction=0)
        count, moved = x.shape[-1], mean.double() - self.mean.to(mean.device)
        total = self.count + count
        self.squares = (
            self.squares.to(mean.device) + variance.double() * count + moved**2 * self.count * count / total
        )
        self.mean = self.mean.to(mean.device) + moved * count / total
        self.count = total


class _Measured(Exception):
    """Stops a pass at the normalisation that it measures."""


class _SharedNorms:
    """Hooks that apply the moments of all columns to group normalisations, one more after each pass."""

    def __init__(self, norms: tp.Sequence[nn.GroupNorm]) -> None:
        self.norms = norms
        self.known: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}  # scale and shift (B, C, 1, 1)
        self.measured: tuple[nn.GroupNorm, _RunningMoments] | None = None
        self.piece, self.handles = Chunk(0, 0, 0, 0), list[tp.Any]()

    def __enter__(self) -> _SharedNorms:
        for norm in self.norms:
            self.handles.append(norm.register_forward_pre_hook(self._measure))
            self.handles.append(norm.register_forward_hook(self._normalise))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _measure(self, norm: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if norm in self.known:
            return
        assert isinstance(norm, nn.GroupNorm)
        (x,), piece = args, self.piece
        computed = piece.last - piece.first
        own = slice(
            (piece.start - piece.first) * x.shape[-1] // computed,
            (piece.stop - piece.first) * x.shape[-1] // computed,
        )
        if self.measured is None:
            self.measured = norm, _RunningMoments()
        self.measured[1].add(x[..., own].unflatten(1, (norm.num_groups, -1)).flatten(2))
        raise _Measured

    def _normalise(self, norm: nn.Module, args: tuple[torch.Tensor, ...], _: torch.Tensor) -> torch.Tensor:
        scale, shift = self.known[norm]
        return torch.addcmul(shift, _wide(args[0]), scale).to(args[0].dtype)

    def end_of_pass(self) -> bool:
        """Store what this pass measured; return whether all normalisations were known already."""
        if self.measured is None:
            return True
        (norm, moments), self.measured = self.measured, None
        spread = (moments.squares / moments.count + norm.eps).rsqrt()
        each = norm.num_channels // norm.num_groups
        mean, spread = (m.repeat_interleave(each, dim=1)[..., None, None] for m in (moments.mean, spread))
        scale = spread * norm.weight.double()[:, None, None]
        shift = norm.bias.double()[:, None, None] - mean * scale
        dtype = torch.promote_types(norm.weight.dtype, torch.float32)
        self.known[norm] = scale.to(dtype), shift.to(dtype)
        return False


@torch.no_grad()
def in_chunks(
    network: Network, norms: tp.Sequence[nn.GroupNorm], x: torch.Tensor, *, size: int, reach: int
) -> torch.Tensor:
    """Compute ``network(x)`` in bounded memory, equal to one pass up to rounding.

    Args:
        network: of convolutions, resampling by integer factors, pointwise functions and ``norms``.
        norms: all its group normalisations (with weight and bias), each called once per pass.
        x: (B, C, F, L).
        size: columns per chunk; for a network that downsamples, a multiple of its factor, as is L.
        reach: columns to each side that an output column depends on, at most; a multiple likewise.
    """
    pieces = chunks(x.shape[-1], size, reach)
    with _SharedNorms(norms) as shared:
        while True:
            result = x.new_zeros(0)
            for shared.piece in pieces:
                piece = shared.piece
                computed = piece.last - piece.first
                try:
                    out = network(x[..., piece.first : piece.last])
                except _Measured:
                    continue
                columns = out.shape[-1]
                if not result.numel():
                    result = out.new_empty(*out.shape[:-1], x.shape[-1] * columns // computed)
                kept = slice(
                    (piece.start - piece.first) * columns // computed,
                    (piece.stop - piece.first) * columns // computed,
                )
                begin = piece.start * columns // computed
                result[..., begin : begin + kept.stop - kept.start] = out[..., kept]
            if shared.end_of_pass():
                return result


@torch.no_grad()
def in_crossfaded_chunks(network: Network, x: torch.Tensor, *, size: int, overlap: int) -> torch.Tensor:
    """Apply a network with attention over all columns to each chunk separately and cross-fade the outputs.

    The result differs from one pass, but has no seams.

    Args:
        network: maps (B, C, F, L) to (B, C', F', L * s).
        x: (B, C, F, L).
        size, overlap: columns of a chunk, and least overlap of two neighbours.
    """
    starts = window_starts(x.shape[-1], size, size - overlap)
    result = weights = x.new_zeros(0)
    for i, start in enumerate(starts):
        out = network(x[..., start : start + size])
        columns = out.shape[-1]
        if not i:
            result = out.new_zeros(*out.shape[:-1], x.shape[-1] * columns // size)
            weights = crossfade_weights([s * columns // size for s in starts], columns).to(out)
        begin = start * columns // size
        result[..., begin : begin + columns] += weights[i] * out
    return result
