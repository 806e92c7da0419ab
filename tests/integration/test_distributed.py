"""An update is the same whoever computes it: one worker, two, or one in several parts."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_experiment import Experiment, experiments, overrides, program, run, vae_overrides
from torch import multiprocessing
from waiting_worker import work

pytestmark = pytest.mark.integration

STEPS = 20  # an epoch each, so that the history holds every update
CURVE = [
    f"optim.epochs={STEPS}",
    "optim.updates_per_epoch=1",
    "optim.ema.updates=1",
    "schedule.cosine.warmup=2",
    "dataset.batch_size=4",
    "dataset.generate.num_samples=2",
]
TWO = ["-d", "--ddp_workers", "2"]
DIFFERENT = {"duration", "influence", "loss_other_dance"}  # the latter compare with a worker's next clip


def train(
    dora: Path, solver: str, options: list[str], *how: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """History and last checkpoint of an experiment on the CPU."""
    environment = {"AUDIOCRAFT_DORA_DIR": str(dora), "CUDA_VISIBLE_DEVICES": ""}
    result = run(program("dora"), "run", *how, *options, **environment)
    assert result.returncode == 0, result.stderr[-3000:]
    (folder,) = experiments(dora, solver)
    history = json.loads((folder / "history.json").read_text())
    return history, torch.load(folder / "checkpoint.th", weights_only=True)


def assert_same_curve(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """All metrics of all stages, to 1e-4 of their size."""
    assert len(ours) == len(theirs) == STEPS
    for epoch, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for stage in ("train", "valid"):
            names = set(a[stage]) - DIFFERENT
            assert names == set(b[stage]) - DIFFERENT, (epoch, stage)
            for name in names:
                assert a[stage][name] == pytest.approx(b[stage][name], rel=1e-4, abs=1e-5), (
                    epoch,
                    stage,
                    name,
                )


def assert_same_weights(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The weights, and the averaged ones that are validated and kept."""
    for state, other in (
        (ours["model"], theirs["model"]),
        (ours["best_state"]["model"], theirs["best_state"]["model"]),
    ):
        assert state.keys() == other.keys()
        for name, value in state.items():
            if value.is_floating_point():
                assert torch.allclose(value, other[name], rtol=1e-3, atol=1e-4), name


@pytest.mark.slow
def test_pn_diffusion_learns_the_same_on_two_workers_in_two_parts_each(
    experiment: Experiment, tiny_corpus: Path, tmp_path: Path
) -> None:
    given = {"optim", "dataset"}
    options = [item for item in overrides(tiny_corpus) if item.split(".")[0] not in given]
    options += [*CURVE, f"vae.checkpoint={experiment.vae}", "conditioning.dropout=0.5"]
    curve, state = train(tmp_path / "one", "pn_diffusion", options)
    losses = [epoch["train"]["loss"] for epoch in curve]
    assert len(set(losses)) == STEPS  # it does learn, from other clips and noise each time
    other_curve, other_state = train(tmp_path / "two", "pn_diffusion", [*options, "optim.accumulate=2"], *TWO)
    assert_same_curve(other_curve, curve)
    assert_same_weights(other_state, state)


@pytest.mark.slow
def test_the_autoencoder_learns_the_same_on_two_workers_in_two_parts_each(
    tiny_corpus: Path, tmp_path: Path
) -> None:
    options = [item for item in vae_overrides(tiny_corpus) if item.split(".")[0] not in {"optim", "dataset"}]
    options += CURVE
    curve, state = train(tmp_path / "one", "mel_vae", options)
    other_curve, other_state = train(tmp_path / "two", "mel_vae", [*options, "optim.accumulate=2"], *TWO)
    assert_same_curve(other_curve, curve)
    assert_same_weights(other_state, state)
    assert other_curve[-1]["evaluate"]["l1"] == pytest.approx(curve[-1]["evaluate"]["l1"], rel=1e-4)
    assert torch.allclose(other_state["model"]["latent_std"], state["model"]["latent_std"], rtol=1e-4)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_workers_wait_for_the_first_and_share_what_it_made(tmp_path: Path) -> None:
    """Longer than the group's timeout; errors reach everybody; metrics are averaged by name."""
    multiprocessing.spawn(work, (_free_port(), str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first == {
        "made": "made by 0",
        "error": "no corpus: make one",
        "means": {"loss": pytest.approx((0.25 + 4.0) / 2), "rare": 7.0},
        "clips": [0.0, 0.0, 1.0],
    }
