from __future__ import annotations

import copy

import pytest
import torch
from audiocraft.optim.ema import ModuleDictEMA

from pn_diffusion_plugin.solvers.ema import ForeachEMA


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)  # a buffer of floats and one of integers
        self.register_buffer("derived", torch.ones(2), persistent=False)


@pytest.mark.parametrize("unbias", [True, False])
def test_it_is_audiocrafts_average(unbias: bool) -> None:
    model = torch.nn.ModuleDict({"model": Model()})
    ours, theirs = (
        kind(model, decay=0.9, unbias=unbias, device="cpu") for kind in (ForeachEMA, ModuleDictEMA)
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(7):
        for value in (*model.parameters(), model["model"].norm.running_mean):
            value.data.add_(torch.randn_like(value))
        ours.step()
        theirs.step()
    expected, found = theirs.state_dict(), ours.state_dict()
    assert found["count"] == expected["count"]
    assert found["state"]["model"].keys() == expected["state"]["model"].keys()
    for key, value in expected["state"]["model"].items():
        torch.testing.assert_close(found["state"]["model"][key], value)


def test_it_goes_on_from_a_state() -> None:
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"model": Model()})
    first = ForeachEMA(model, decay=0.9, device="cpu")
    first.step()
    second = ForeachEMA(model, decay=0.9, device="cpu")
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for value in model.parameters():
        value.data.add_(1)
    first.step()
    second.step()
    for key, value in first.state["model"].items():
        assert torch.equal(second.state["model"][key], value)
