"""ST-GCN: a frame sees its neighbours in time and along the skeleton, nothing else, and no batch mates."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.data.skeleton import hop_distance
from pn_diffusion_plugin.modules.st_gcn import STGCN, GraphConv


@pytest.fixture
def net() -> STGCN:
    torch.manual_seed(0)
    return STGCN(2, channels=8, layers=2, kernel_size=3, out_dim=5).eval()


def test_shape(net):
    assert net(torch.randn(3, 20, 33, 2)).shape == (3, 20, 5)


def test_a_clip_does_not_depend_on_its_batch_mates(net):
    x = torch.randn(4, 20, 33, 2)
    torch.testing.assert_close(net.train()(x)[:1], net.eval()(x[:1]))


def test_a_frame_sees_two_frames_to_each_side(net):
    x = torch.randn(1, 21, 33, 2)
    y = x.clone()
    y[:, 10] += 1
    changed = (net(x) - net(y)).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.nonzero().flatten().tolist() == [8, 9, 10, 11, 12]


def test_graph_convolution_reaches_neighbours_only():
    torch.manual_seed(0)
    conv = GraphConv(1, 4)
    x = torch.zeros(1, 1, 33, 1)
    y = x.clone()
    y[0, 0, 13] = 1.0
    reached = (conv(x) - conv(y)).abs().amax(dim=(0, 1, 3)) > 1e-7
    assert reached.tolist() == (hop_distance()[13] <= 1).tolist()


def test_even_kernel_is_refused():
    with pytest.raises(ValueError, match="odd"):
        STGCN(2, kernel_size=4)


@torch.no_grad()
def test_a_frame_without_a_dancer_is_like_the_clips_end(net):
    x = torch.randn(1, 20, 33, 2)
    seen = torch.ones(1, 20, dtype=torch.bool)
    assert torch.equal(net(x, seen), net(x))
    seen[:, 12:] = False
    torch.testing.assert_close(net(x, seen)[:, :12], net(x[:, :12]))
