"""Chunks against one pass over the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pn_diffusion_plugin.modules.chunks import Chunk, chunks, in_chunks, in_crossfaded_chunks


class Net(nn.Module):
    """Two convolutions and two normalisations a level, and as many columns as it is told."""

    def __init__(self, resample: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        stride = 2 if resample == "down" else 1
        self.third = nn.Conv2d(8, 3, 3, padding=1, stride=stride)
        self.norms = nn.ModuleList([nn.GroupNorm(4, 8), nn.GroupNorm(2, 8)])
        for norm in self.norms:
            nn.init.normal_(norm.weight, 1.0)
            nn.init.normal_(norm.bias)
        self.up = nn.Upsample(scale_factor=2) if resample == "up" else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.norms[0](self.first(x)))
        return self.third(torch.tanh(self.norms[1](self.second(self.up(x)))))


def test_chunks_stand_edge_to_edge_with_context_where_there_is_any() -> None:
    assert chunks(7, 10, 3) == [Chunk(0, 7, 0, 7)]
    for length in range(1, 60):
        found = chunks(length, 10, 3)
        assert [c for chunk in found for c in range(chunk.start, chunk.stop)] == list(range(length))
        assert all(c.first == max(0, c.start - 3) and c.last == min(length, c.stop + 3) for c in found)
    for size, context in ((0, 3), (10, -1)):
        with pytest.raises(ValueError, match=f"size={size}, context={context}"):
            chunks(7, size, context)


@pytest.mark.parametrize("resample", ["none", "up", "down"])
@pytest.mark.parametrize("size", [4, 12, 30])
def test_chunks_give_what_the_whole_gives(resample: str, size: int) -> None:
    """Values drift along the picture, so that no chunk has the mean and variance of the whole."""
    net = Net(resample)
    x = torch.randn(2, 2, 6, 60, generator=torch.Generator().manual_seed(0))
    x = x * torch.linspace(0.2, 3, 60) + torch.linspace(-2, 5, 60)
    with torch.no_grad():
        whole = net(x)
    apart = in_chunks(net, list(net.norms), x, size=size, reach=4)  # type: ignore[arg-type]
    assert apart.shape == whole.shape and torch.allclose(apart, whole, atol=1e-5)
    assert torch.equal(net(x), whole)  # the network is as it was
    if size < 30:
        crossed = in_crossfaded_chunks(net, x, size=20, overlap=8)
        assert crossed.shape == whole.shape and (crossed - whole).abs().max() > 1e-2


def test_a_context_smaller_than_the_reach_would_be_noticed() -> None:
    net = Net("none")
    x = torch.randn(1, 2, 6, 60, generator=torch.Generator().manual_seed(0))
    short = in_chunks(net, list(net.norms), x, size=12, reach=2)  # type: ignore[arg-type]
    assert (short - net(x)).abs().max() > 1e-3


@pytest.mark.parametrize("factor", [0.5, 1, 4])
def test_crossfaded_chunks_of_one_mind_are_that_mind(factor: float) -> None:
    x = torch.randn(1, 2, 3, 88, generator=torch.Generator().manual_seed(0))

    def network(x: torch.Tensor) -> torch.Tensor:
        if factor < 1:
            return x[..., ::2]
        return x.repeat_interleave(int(factor), dim=-1)

    assert torch.allclose(in_crossfaded_chunks(network, x, size=24, overlap=8), network(x), atol=1e-6)


def test_crossfaded_chunks_that_disagree_have_no_seam() -> None:
    """Every chunk says its own number: the result goes from one to the next in small steps."""
    numbers = iter(range(10))
    out = in_crossfaded_chunks(
        lambda x: torch.full_like(x, next(numbers)).repeat_interleave(2, dim=-1),
        torch.zeros(1, 1, 1, 80),
        size=32,
        overlap=16,
    )
    steps = out[0, 0, 0].diff()
    assert out[0, 0, 0, 0] == 0 and out[0, 0, 0, -1] == 3
    assert steps.min() >= -1e-6 and steps.max() <= 1 / 31
