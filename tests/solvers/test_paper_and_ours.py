"""The big configurations, made tiny, through the real solver: a batch is learned and music is made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_experiment import overrides

TINY_UNET = [
    "unet.channels=[8,16,16,16]",
    "unet.layers_per_block=1",
    "features.visual_encoder=inception_i3d",
    "conditioning.motion.layers=2",
    "sampling.steps=2",
    "mel.n_fft=1024",
    "mel_vae.layers_per_block=1",
    "mel_vae.mid_attention=false",
    "num_threads=1",
    "autocast=false",
]


@pytest.fixture
def make(tiny_corpus: Path, tiny_vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Builds the solver of a big configuration with tiny widths."""
    from pn_diffusion_plugin.train import get_solver, main

    monkeypatch.setattr(main.dora, "dir", tmp_path / "dora")
    kept = (
        "unet.channels",
        "unet.attention",
        "conditioning.visual_out",
        "conditioning.moments",
        "segment_seconds",
    )
    with ExitStack() as stack:

        def build(system: str, seconds: float) -> Any:
            argv = overrides(
                tiny_corpus, f"vae.checkpoint={tiny_vae}", f"segment_seconds={seconds}", *TINY_UNET
            )
            argv = [item for item in argv if item in TINY_UNET or not item.startswith(kept)]
            if system == "real":  # has three levels
                argv = [item for item in argv if not item.startswith("unet.channels")] + [
                    "unet.channels=[8,16,16]"
                ]
            argv[argv.index("solver=pn_diffusion")] = f"solver=pn_diffusion/{system}"
            xp = main.get_xp([*argv, f"segment_seconds={seconds}"])
            stack.close()
            stack.enter_context(xp.enter())
            return get_solver(xp.cfg)

        yield build


def learn(solver: Any, times: int) -> list[dict[str, Any]]:
    solver.seed_epoch()
    batch = next(iter(solver.dataloaders["train"]))
    metrics: list[dict[str, Any]] = []

    def stage() -> None:
        solver.model.train()
        metrics.extend(solver.run_step(0, batch, {}) for _ in range(times))

    solver.run_stage("train", stage)
    return metrics


@pytest.mark.parametrize("system, channels", [("paper", 2), ("ours", 2 + 4), ("real", 2 + 4)])
def test_a_step_and_a_clip(make: Callable[..., Any], system: str, channels: int) -> None:
    solver = make(system, 2.56)
    streams = len(solver.objective.streams)
    assert streams == 2 or system != "paper"
    assert (solver.dataloaders["train"].dataset.augment is not None) == (system == "real")
    rows: list[torch.Size] = []
    solver.model.denoiser.unet.register_forward_hook(lambda _, args, out: rows.append(args[0].shape))
    steps = learn(solver, 3)
    clips = solver.cfg.dataset.batch_size
    assert [(shape[0], shape[1]) for shape in rows] == [(streams * clips, channels)] * 3
    assert all(torch.isfinite(torch.as_tensor(float(step["loss"]))) for step in steps)
    assert ("loss_negative" in steps[0]) == (streams == 2)
    assert solver.model.denoiser.temporal == ("pooled" if system == "paper" else "aligned")
    dataset = solver.dataloaders["valid"].dataset
    (wav,) = solver.inference().generate_from_conditions([dataset[0][1].dance], seeds=[1])
    assert wav.shape == (1, solver.sequence.samples) and wav.isfinite().all()
