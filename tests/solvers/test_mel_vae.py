from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.models.io.checkpoint import load_vae_weights

MakeSolver = Callable[..., Any]


def train_on_one_batch(solver: Any, times: int) -> list[dict[str, Any]]:
    metrics: list[dict[str, Any]] = []

    def stage() -> None:
        solver.seed_epoch()
        batch = next(iter(solver.dataloaders["train"]))
        solver.model.train()
        metrics.extend(solver.run_step(0, batch, {}) for _ in range(times))

    solver.run_stage("train", stage)
    return metrics


def test_latents_are_measured_on_the_weights_that_are_kept(make_solver: MakeSolver) -> None:
    solver = make_solver("mel_vae", "optim.epochs=1")
    solver.run()
    weights = load_vae_weights(solver.folder).vae
    solver.model.load_state_dict(weights)
    with torch.no_grad():
        z = torch.cat(
            [solver.model.encode(solver.mel_spectrogram(wav)) for wav, _ in solver.dataloaders["train"]]
        )
    assert z.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0], abs=0.1)
    assert z.std(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1], abs=0.1)


def test_a_batch_can_be_learned_by_heart(make_solver: MakeSolver) -> None:
    solver = make_solver("mel_vae", "optim.lr=1e-2", "schedule.lr_scheduler=null")
    losses = [float(metrics["l1"]) for metrics in train_on_one_batch(solver, 60)]
    assert losses[-1] < 0.5 * losses[0]


def test_adversarial_and_perceptual_terms_train_a_discriminator(make_solver: MakeSolver) -> None:
    solver = make_solver(
        "mel_vae", "losses.adversarial=0.1", "losses.perceptual=0.1", "discriminator.channels=4"
    )
    before = [p.clone() for p in solver.adversary.adversary.parameters()]
    (metrics,) = train_on_one_batch(solver, 1)
    assert {"adv", "perceptual", "d_loss", "l1", "kl"} <= set(metrics)
    after = solver.adversary.adversary.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert "adversary" in solver.state_dict()


def test_validation_gives_the_same_number_each_time(make_solver: MakeSolver) -> None:
    solver = make_solver("mel_vae")
    with torch.no_grad():
        losses = []
        for _ in range(2):
            solver._start_epoch()  # forgets that this epoch was validated
            losses.append(solver.run_stage("valid", solver.valid)["l1"])
    assert losses[0] == losses[1]
