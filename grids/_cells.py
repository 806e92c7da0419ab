"""Experiments of the grids, for any base configuration: full grids and their `mini` forms differ in it only.

Cells set what they compare even if it is the default, so that they do not change with a default. Batch sizes differ so
that all cells of a grid have as many U-Net rows per update.
"""

from __future__ import annotations

from typing import Any

Launcher = Any  # dora.Launcher
Overrides = dict[str, Any]

PN: Overrides = {
    "negative.alpha": 0.6,
    "negative.latent": "mirrored",
    "negative.cue": "reversed",
    "conditioning.temporal": "aligned",
    "sampling.guidance": 1,
    "sampling.steps": 30,
}
PAPER: Overrides = {
    **PN,
    "conditioning.temporal": "pooled",
    "conditioning.motion.inputs": ["position"],
    "conditioning.dropout": 0,
    "diffusion.prediction": "epsilon",
    "diffusion.beta_schedule": "linear",
    "diffusion.zero_terminal_snr": False,
}
DRAWN: Overrides = {"negative.latent": "drawn", "negative.alpha": 0.85, "negative.branch_flag": True}
CONTRAST: Overrides = {**PN, "negative.latent": "contrast", "negative.alpha": 0.95}
SEEDS = (2036, 1, 2)


def full(launcher: Launcher) -> tuple[Launcher, int]:
    """Base: AIST++, one GPU per cell; and the batch size."""
    bound = launcher.bind(
        {"solver": "pn_diffusion/ours", "dset": "dance/aistpp", "device": "cuda", "autocast": True}
    )
    return bound.slurm_(gpus=1), 32


def mini(launcher: Launcher) -> tuple[Launcher, int]:
    """Base: the embedded corpus, 400 updates per cell (four minutes on one CPU core); and the batch size."""
    return launcher.bind({"solver": "pn_diffusion", "optim.epochs": 4}), 8


def with_negatives(batch_size: int) -> Overrides:
    """PN-Diffusion: both streams."""
    return {**PN, "dataset.batch_size": batch_size}


def positive_only(batch_size: int) -> Overrides:
    """Plain latent diffusion at the same compute."""
    return {**PN, "negative.alpha": 1, "dataset.batch_size": 2 * batch_size}


def contrast(batch_size: int) -> Overrides:
    """The objective `contrast`, one U-Net row per clip, at the same compute."""
    return {**CONTRAST, "dataset.batch_size": 2 * batch_size}


def signature(launcher: Launcher, overrides: Overrides) -> str:
    """Dora's signature of a cell."""
    bound = launcher.bind(overrides)
    return str(bound._shepherd.get_sheep_from_argv(bound._argv).xp.sig)


def alpha(launcher: Launcher, batch_size: int) -> None:
    """α for each objective; they are equal at 1."""
    for latent in ("mirrored", "shared"):
        for tenth in range(1, 10):
            launcher({**with_negatives(batch_size), "negative.latent": latent, "negative.alpha": tenth / 10})
    for weight in (0.8, 0.9, 0.95, 0.98):
        launcher({**contrast(batch_size), "negative.alpha": weight})
    launcher(positive_only(batch_size))


def ablation(launcher: Launcher, batch_size: int) -> None:
    """Feature streams, with and without negatives, and how they enter the U-Net."""
    streams: tuple[Overrides, ...] = ({}, {"conditioning.motion.dim": 0}, {"conditioning.visual_out": 0})
    for stream in streams:
        for negatives in (with_negatives(batch_size), contrast(batch_size), positive_only(batch_size)):
            for temporal in ("pooled", "tokens", "aligned"):
                launcher({**negatives, **stream, "conditioning.temporal": temporal})


def baselines(launcher: Launcher, batch_size: int, musicgen: Launcher) -> None:
    """PN-Diffusion and its baselines, three seeds each."""
    for seed in SEEDS:
        launcher({**with_negatives(batch_size), "seed": seed})
        launcher({**contrast(batch_size), "seed": seed})
        launcher({**positive_only(batch_size), "seed": seed})
        launcher({**PAPER, "dataset.batch_size": batch_size, "seed": seed})
    launcher({**positive_only(batch_size), "conditioning.temporal": "pooled"})
    musicgen()


def readings(launcher: Launcher, batch_size: int) -> None:
    """Every kind of negative, and none."""
    launcher(positive_only(batch_size))
    for latent in ("mirrored", "shared"):
        for cue in ("reversed", "shifted", "mismatched"):
            launcher({**with_negatives(batch_size), "negative.latent": latent, "negative.cue": cue})
    for cue in ("reversed", "shifted", "mismatched"):
        launcher({**with_negatives(batch_size), "negative.cue": cue, "negative.branch_flag": True})
    launcher({**with_negatives(batch_size), "negative.music": "reversed"})
    for cue in ("reversed", "shifted", "mismatched"):
        launcher({**contrast(batch_size), "negative.cue": cue})
        launcher({**with_negatives(batch_size), "negative.latent": "comparison", "negative.cue": cue})
    launcher({**positive_only(batch_size), **DRAWN})


def negatives(launcher: Launcher, batch_size: int, clips: tuple[int, ...] = ()) -> None:
    """Negatives at one U-Net row per clip and their positive-only twins, three seeds each; with fewer clips too."""
    base: Overrides = {"sampling.steps": 4, "dataset.train.augment.use": True}
    positive = {**positive_only(batch_size), **base}
    comparison = {"negative.latent": "comparison", "negative.cue": "shifted", "negative.alpha": 0.95}

    def pushed(cue: str, weight: float) -> Overrides:
        return {**contrast(batch_size), **base, "negative.cue": cue, "negative.alpha": weight}

    first = [positive, pushed("reversed", 0.95), pushed("shifted", 0.9)]
    more = [
        pushed("mismatched", 0.9),
        pushed("reversed", 0.9),
        pushed("shifted", 0.8),
        {**positive, **DRAWN},
        {**with_negatives(batch_size), **base, **comparison, "negative.tau": 0.05},
    ]
    cells = first + [{**cell, "dataset.train.clips": number} for number in clips for cell in first] + more
    for cell in cells:
        for seed in SEEDS:
            launcher({**cell, "seed": seed})


def guidance(launcher: Launcher, batch_size: int, evaluations: int = 48) -> None:
    """One model, trained by the first cell: guidance weights w x g at equal numbers of network evaluations."""
    base = {**with_negatives(batch_size), "negative.latent": "shared", "negative.cue": "shifted"}
    launcher(base)
    source = f"//sig/{signature(launcher, base)}"
    for g in (1, 2, 4):
        for w in (0, 0.25, 0.5, 1, 2):
            steps = evaluations // (1 + (g != 1) + (w != 0))
            negative = "negative_guidance" if g == 1 else "negative_cfg"
            sampling = {"guidance": g, negative: w, "steps": steps}
            _evaluate(launcher, base, source, sampling)


def sampler_steps(launcher: Launcher, batch_size: int, most: int = 1000) -> None:
    """One model, trained by the first cell: samplers x numbers of steps."""
    base = positive_only(batch_size)
    launcher(base)
    source = f"//sig/{signature(launcher, base)}"
    for sampler in ("ddim", "dpm++", "unipc"):
        for steps in (4, 8, 16, 32, 64):
            _evaluate(launcher, base, source, {"sampler": sampler, "steps": steps})
    _evaluate(launcher, base, source, {"sampler": "ddpm", "steps": most})


def _evaluate(launcher: Launcher, base: Overrides, source: str, sampling: Overrides) -> None:
    """Evaluate a trained model with other sampling parameters, as an experiment of its own."""
    named = {f"sampling.{name}": value for name, value in sampling.items()}
    launcher({**base, **named, "label": "sampling", "continue_from": source, "execute_only": "evaluate"})


def scale(launcher: Launcher, batch_size: int, widths: list[list[int]], clips: list[int]) -> None:
    """Width of the U-Net x number of training clips."""
    for channels in widths:
        for number in clips:
            cell = {"unet.channels": channels, "dataset.train.clips": number}
            launcher({**positive_only(batch_size), **cell})
