from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.solvers.diagnostics import ClipAverages, update_by_timestep


def test_means_are_over_clips_and_not_over_batches() -> None:
    averages = ClipAverages()
    averages.update({"loss": torch.tensor([1.0, 2.0, 3.0])})
    averages.update({"loss": torch.tensor([10.0])})
    assert averages.compute() == {"loss": 4.0}


def test_losses_stand_under_the_quarter_of_their_timestep() -> None:
    averages = ClipAverages()
    losses = {"loss": torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])}
    update_by_timestep(averages, losses, torch.tensor([0, 249, 250, 750, 999]), 1000)
    update_by_timestep(averages, {"loss": torch.tensor([3.0])}, torch.tensor([100]), 1000)
    assert averages.compute() == {
        "loss_quarter1": pytest.approx(2.0),
        "loss_quarter2": 4.0,
        "loss_quarter4": 12.0,
    }
    assert ClipAverages().compute() == {}
