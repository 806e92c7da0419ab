"""Mean and spread are those of the data; silent dimensions stay finite."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.modules.normalizer import Normalizer


def test_result_has_mean_zero_and_spread_one():
    torch.manual_seed(0)
    data = torch.randn(5, 400, 3) * torch.tensor([1.0, 10.0, 0.1]) + torch.tensor([0.0, 5.0, -2.0])
    norm = Normalizer(3)
    norm.fit(iter(data))
    out = norm(data).reshape(-1, 3)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.std(0), torch.ones(3), atol=1e-3, rtol=0)


def test_a_constant_dimension_does_not_explode():
    data = torch.randn(100, 2)
    data[:, 1] = 3.0
    norm = Normalizer(2)
    norm.fit([data])
    assert norm(torch.tensor([[0.0, 3.1]])).abs().max() <= norm.max_value


def test_no_data_is_told():
    with pytest.raises(ValueError, match="empty"):
        Normalizer(2).fit([])
