"""Does our procedure learn what the reference procedure learns? Both from the same weights, by seed.

The mini set-up on the embedded corpus with the bundled autoencoder, some hundred updates. The reference draws its
timesteps and noise by itself, so two seeds of one procedure differ as much as chance makes them; what is asked is
whether the procedures differ by more. Validation losses are on fixed clips with fixed draws.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.corpora import ensure_corpus
from pn_diffusion_plugin.utils.files import atomic_path

from .bench_training import ReferenceUpdate, SolverUpdate
from .configs import ARCHITECTURE

PROCEDURES = ("reference procedure", "ours")


def curve(procedure: str, overrides: list[str], folder: Path, seed: int, updates: int) -> dict[str, Any]:
    """Losses of every update, and the validation loss at the end.

    Args:
        procedure: one of `PROCEDURES`.
        overrides: of the experiment; the reference's have no switches of ours.
        folder: for experiments.
    """
    torch.set_num_threads(1)
    length = [f"seed={seed}", "optim.epochs=1", f"optim.updates_per_epoch={updates}"]
    losses = []
    if procedure == "ours":
        ours = SolverUpdate([*overrides, *length], folder)
        solver = ours.solver
        run_step = solver.run_step

        def recorded(*arguments: Any) -> Any:
            metrics = run_step(*arguments)
            losses.append(float(metrics["loss"]))
            return metrics

        solver.run_step = recorded
        ours.update()
        solver.run_step = run_step
    else:
        reference = ReferenceUpdate([*overrides, *length], folder)
        solver = reference.solver
        torch.manual_seed(seed)
        solver.model.train()
        for batch in solver.dataloaders["train"]:
            losses.append(reference.step(batch))
    valid = solver.run_stage("valid", solver.valid)
    return {"procedure": procedure, "seed": seed, "losses": losses, "valid": float(valid["loss"])}


def compare(
    folder: Path, seeds: Sequence[int], updates: int, processes: int, batch_size: int = 4
) -> dict[str, Any]:
    """Curves of both procedures for every seed, and what they differ by."""
    ensure_corpus("mini", paths.outputs_dir() / "corpora" / "mini")
    common = [
        *ARCHITECTURE["mini"],
        "vae.checkpoint=mini",
        f"dataset.batch_size={batch_size}",
        "dataset.train.start_every=0.5",  # seconds: fewer segments to encode for a short run
        f"latents.folder={folder / 'latents'}",
    ]
    switches = {"reference procedure": [], "ours": ["latents.cache=true", "autocast=true"]}
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        jobs = [
            pool.submit(curve, procedure, [*common, *switches[procedure]], folder, seed, updates)
            for seed in seeds
            for procedure in PROCEDURES
        ]
        curves = [job.result() for job in jobs]
    return {"updates": updates, "batch_size": batch_size, "curves": curves, "summary": summary(curves)}


def summary(curves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds of the losses at the end, and whether the procedures' means differ by more
    than two standard errors of the difference."""
    result: dict[str, Any] = {}
    for what in ("train", "valid"):
        ends = {
            procedure: [_end(c, what) for c in curves if c["procedure"] == procedure]
            for procedure in PROCEDURES
        }
        means = {name: statistics.mean(values) for name, values in ends.items()}
        spreads = {name: statistics.stdev(values) for name, values in ends.items()}
        errors = [spreads[name] ** 2 / len(ends[name]) for name in PROCEDURES]
        difference = means["ours"] - means["reference procedure"]
        noise = sum(errors) ** 0.5
        result[what] = {
            "means": means,
            "spreads": spreads,
            "difference": difference,
            "standard_error": noise,
            "within_noise": abs(difference) <= 2 * noise,
        }
    return result


def _end(curve: dict[str, Any], what: str) -> float:
    """Mean loss of the last third of the updates, or the validation loss."""
    if what == "valid":
        return curve["valid"]
    losses = curve["losses"]
    return statistics.mean(losses[-max(1, len(losses) // 3) :])


def draw(path: Path, curves: Sequence[dict[str, Any]]) -> None:
    """Both procedures' losses by update, averaged over 20 neighbours: a line a seed."""
    figure = Figure(figsize=(6.5, 3.5), layout="constrained")
    axes = figure.subplots()
    for number, procedure in enumerate(PROCEDURES):
        for k, one in enumerate(c for c in curves if c["procedure"] == procedure):
            losses = torch.tensor(one["losses"])
            width = min(20, len(losses))
            smooth = losses.unfold(0, width, 1).mean(1)
            at = torch.arange(len(smooth)) + width / 2
            axes.plot(at, smooth, color=f"C{number}", lw=1, label=procedure if k == 0 else None)
    axes.set_xlabel("updates")
    axes.set_ylabel("training loss (mean of 20)")
    axes.set_yscale("log")
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
