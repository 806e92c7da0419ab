"""Over-fit the MusicGen baseline on one batch of 8 clips, in small form: does everything that should learn learn?

    python benchmarks/overfit_musicgen.py

The real solvers of codec and language model see the same beginnings of 8 clips of the embedded corpus over and over.
Then the model makes the likeliest codes from the dances alone: having learned the batch by heart it must tell the 8
dances apart and give back their music.

Expected with the defaults, 3.5 minutes of one CPU core: the codec's multi-scale mel loss about 0.84 and its mel's
correlation with the music about 0.7; the language model's cross entropy below 0.01 (it begins at 5.8), more than 99 %
of the codes from the dance alone, and a mel correlation with the target (the music through the codec) of 1.00, where
another clip's target has 0.3.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.corpora import ensure_corpus
from pn_diffusion_plugin.modules.mel import MelSpectrogram
from pn_diffusion_plugin.train import get_solver, main

COMMON = [
    "dataset.batch_size=8",
    "dataset.train.shuffle=false",
    "num_threads=1",
    "optim.ema.use=false",
    "schedule.cosine.warmup=10",
]
CODEC = ["solver=compression", "segment_seconds=5.2"]
LM = [
    "solver=dance_musicgen",
    "transformer_lm.dim=96",
    "transformer_lm.num_heads=3",
    "transformer_lm.num_layers=3",
    "transformer_lm.dropout=0",
    "conditioning.dropout=0",
    "classifier_free_guidance.inference_coef=1",
    "generate.lm.use_sampling=false",
]


def learn(overrides: list[str], updates: int, crop: int | None = None) -> tuple[Any, Any, float]:
    """Solver after so many updates on its first batch, the batch, and the last quarter's mean training loss.

    Args:
        crop: samples of a random part of each segment that an update sees; None: all of it.
    """
    xp = main.get_xp([*COMMON, "optim.epochs=1", f"optim.updates_per_epoch={updates}", *overrides])
    losses: list[float] = []
    with xp.enter():
        solver = get_solver(xp.cfg)
        solver.seed_epoch()
        wav, infos = next(iter(solver.dataloaders["train"]))

        def stage() -> None:
            solver.rng = torch.Generator().manual_seed(0)
            solver.model.train()
            for index in range(updates):
                start = 0 if crop is None else int(torch.randint(wav.shape[-1] - crop, ()))
                part = wav if crop is None else wav[..., start : start + crop]
                metrics = solver.run_step(index, (part, infos), {})
                losses.append(float(metrics["ce" if "ce" in metrics else "msspec"]))
                if (index + 1) % max(1, updates // 10) == 0:
                    print(f"{xp.cfg.solver} {index + 1}/{updates}: {np.mean(losses[-10:]):.4f}", flush=True)

        solver.run_stage("train", stage)
        solver.model.eval()
    return solver, (wav, infos), float(np.mean(losses[-updates // 4 :]))


def correlation(a: torch.Tensor, b: torch.Tensor, mel: MelSpectrogram) -> float:
    """Mean correlation of the mel pictures of waves (B, 1, N)."""
    pairs = zip(mel(a), mel(b), strict=True)
    return float(np.mean([np.corrcoef(x.flatten(), y.flatten())[0, 1] for x, y in pairs]))


def run() -> None:
    """Learn, generate, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codec-updates", type=int, default=250)
    parser.add_argument("--updates", type=int, default=300, help="of the language model")
    args = parser.parse_args()
    ensure_corpus("mini", paths.outputs_dir() / "corpora" / "mini")
    with tempfile.TemporaryDirectory() as folder:
        main.dora.dir = Path(folder)
        codec, _, msspec = learn(CODEC, args.codec_updates, crop=22050)
        state = {"xp.cfg": codec.state_dict()["xp.cfg"], "best_state": {"model": codec.model.state_dict()}}
        torch.save(state, Path(folder) / "checkpoint.th")
        source = [f"codec.checkpoint={folder}", "optim.lr=2e-3", "optim.adam.weight_decay=0"]
        solver, (wav, infos), _ = learn([*LM, *source], args.updates)
        with torch.no_grad():
            conditions, codes, mask = solver._prepare_tokens_and_attributes((wav, infos))
            output = solver.model.compute_predictions(codes, [], conditions)
            ce, _ = solver._compute_cross_entropy(output.logits, codes, mask & output.mask)
            made = solver.model.generate(
                None,
                [info.to_condition_attributes() for info in infos],
                max_gen_len=codes.shape[-1],
                use_sampling=False,
            )
            wave, target = solver.codec.decode(made), solver.codec.decode(codes)
    mel = MelSpectrogram(sample_rate=22050, n_fft=1024, hop_length=512, n_mels=64)
    shuffled = target.roll(1, dims=0)
    print(f"codec: multi-scale mel loss {msspec:.3f}, mel correlation {correlation(target, wav, mel):.3f}")
    print(f"language model: cross entropy {float(ce):.4f}")
    print(f"from the dance alone: {float((made == codes).float().mean()):.1%} of the codes")
    print(f"mel correlation with the target {correlation(wave, target, mel):.3f}", end=" ")
    print(f"(another clip's target: {correlation(shuffled, target, mel):.3f})")


if __name__ == "__main__":
    run()
