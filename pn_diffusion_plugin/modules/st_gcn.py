"""Spatial-temporal graph convolution over body keypoints (Yan et al. 2018, arXiv 1801.07455).

Each block mixes joints along the skeleton's edges and then frames of each joint. The layout is (B, T, J, C), the memory
format of `channels_last` convolutions. Normalisation is over C alone, so that a frame's output does not depend on the
clip's length or on the other clips of the batch (with the published code's BatchNorm it does).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn

from ..data.skeleton import spatial_partition


class GraphConv(nn.Module):
    """Y = Σ_k (A_k ∘ M_k) X W_k with learnable edge weights M_k. (B, T, J, C_in) → (B, T, J, C_out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        adjacency = torch.from_numpy(spatial_partition())
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.edge_weight = nn.Parameter(torch.ones_like(adjacency))
        self.linear = nn.Linear(in_channels, out_channels * len(adjacency))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.adjacency, torch.Tensor)
        mixed = rearrange(self.linear(x), "b t j (k c) -> b t (k j) c", k=len(self.adjacency))
        graph = rearrange(self.adjacency * self.edge_weight, "k i j -> i (k j)")
        return torch.matmul(graph, mixed)


class STGCNBlock(nn.Module):
    """Graph convolution, temporal convolution, residual. (B, T, J, C_in) → (B, T, J, C_out)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.graph = GraphConv(in_channels, out_channels)
        self.norm_graph = nn.LayerNorm(out_channels)
        self.temporal = nn.Conv2d(out_channels, out_channels, (kernel_size, 1), padding=(kernel_size // 2, 0))
        self.norm_temporal = nn.LayerNorm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.residual = nn.Identity() if in_channels == out_channels else nn.Linear(in_channels, out_channels)

    def forward(self, x: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        y = torch.relu(self.norm_graph(self.graph(x)))
        if seen is not None:  # a frame without a dancer is like padding for its neighbours
            y = y * seen[..., None, None].to(y.dtype)
        y = self.temporal(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return torch.relu(self.dropout(self.norm_temporal(y)) + self.residual(x))


class STGCN(nn.Module):
    """A stack of blocks, then a projection of all joints to one vector per frame.

    Args:
        in_channels: inputs per joint and frame.
        channels: width of the blocks (paper: 32).
        layers: number of blocks (paper: 10).
        kernel_size: of the temporal convolutions, frames (paper: 3), odd.
        out_dim: size of a frame's vector (paper: 1024).

    Shape: (B, T, J, C) → (B, T, D). With `seen` (B, T) bool, frames without a detected dancer do not affect other
    frames; their own vectors are undefined.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: int = 32,
        layers: int = 10,
        kernel_size: int = 3,
        out_dim: int = 1024,
        joints: int = 33,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}: give an odd number")
        widths = [in_channels] + [channels] * layers
        self.blocks = nn.ModuleList(
            STGCNBlock(a, b, kernel_size, dropout) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.out = nn.Linear(joints * channels, out_dim)

    def forward(self, x: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, seen)
        return self.out(rearrange(x, "b t j c -> b t (j c)"))
