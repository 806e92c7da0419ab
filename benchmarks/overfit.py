"""One batch of 8 clips learned by heart: does each system reach its end?

    python benchmarks/overfit.py paper ours -o outputs/overfit.json

Both systems in small form on the same 8 clips of the embedded corpus (1.49 s each, to be done in two minutes),
each with its own schedule, prediction, conditioning, objective and sampler (of DDPM 100 steps), its widths made
smaller. Latents
are those of the bundled "mini" autoencoder. Then music is made from noise for the 8 dances and compared with the mel
pictures that were learned: what should come out is the clip itself, so the correlation says how much of it does
(`other`: with the next clip's picture, what no condition at all would get; `ceiling`: through the autoencoder alone).

What to expect, one thread of a CPU, seed 0 (losses of an ε- and a v-prediction cannot be compared; `ours` trains a
tenth of the clips without their dance):

| | updates | minutes | loss, mean of the last 100 | correlation, mean (worst clip) | other | ceiling |
|---|---|---|---|---|---|---|
| paper | 700 | 2.0 | 0.031 (0.096 at 250, 0.044 at 500) | .973 (.963) | .19 | .977 |
| ours | 700 | 1.3 | 0.085 (0.229 at 250, 0.104 at 500) | .974 (.963) | .19 | .977 |
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.data.corpora import ensure_corpus
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.data.dataset import DanceDataset
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.modules.sampling import clip_generators, sample
from pn_diffusion_plugin.utils.files import write_json

CLIPS, SECONDS = 8, 1.486  # 64 mel frames, 16 latent columns
SMALL = [
    "unet.channels=[32,48,48]",
    "unet.attention=[false,true,true]",
    "unet.layers_per_block=1",
    "unet.norm_num_groups=8",
    "conditioning.motion.channels=8",
    "conditioning.motion.layers=3",
    "conditioning.motion.dim=48",
]
#: What else makes a system small, and how it is trained and sampled here.
SYSTEMS: dict[str, list[str]] = {
    "paper": ["sampling.steps=100"],  # of DDPM; 1000 would take ten times as long and find the same
    "ours": ["conditioning.visual_out=16", "conditioning.aligned_channels=16", "conditioning.moments=4"],
}


@dataclass
class Result:
    """What a system reached; correlations are Pearson's over a picture's values, means over the clips."""

    system: str
    updates: int
    cpu_minutes: float
    loss: float
    correlation: float
    correlation_worst: float
    other: float
    ceiling: float


def small_config(system: str, mini: PNDiffusion) -> dict[str, Any]:
    """The system's configuration with small widths, for the pictures of the bundled autoencoder."""
    with initialize_config_dir(str(paths.config_dir()), version_base="1.3"):
        cfg = compose("config", [f"solver=pn_diffusion/{system}", *SMALL, *SYSTEMS[system]])
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    config.update({key: mini.config[key] for key in ("sample_rate", "mel", "mel_vae", "features")})
    return {**config, "segment_seconds": SECONDS}


def first_clips(config: dict[str, Any], root: Path) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """Beginnings of the corpus's first training clips: waves (B, 1, N), dances."""
    dataset = DanceDataset.from_meta(
        root / "egs" / "train",
        sample_rate=config["sample_rate"],
        segment_duration=SECONDS,
        shuffle=False,
        num_samples=CLIPS,
        expect=builders.build_feature_spec(config),
    )
    wavs, infos = zip(*(dataset[index] for index in range(CLIPS)), strict=True)
    return torch.stack(wavs), [info.dance for info in infos]


def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Pearson's, of each of two batches' pictures (B, …): (B,)."""
    return torch.stack(
        [torch.corrcoef(torch.stack([x, y]))[0, 1] for x, y in zip(a.flatten(1), b.flatten(1), strict=True)]
    )


def overfit(system: str, mini: PNDiffusion, root: Path, updates: int, lr: float, seed: int) -> Result:
    """Train a system on the 8 clips and see what it makes of their dances."""
    config = small_config(system, mini)
    wavs, dances = first_clips(config, root)
    torch.manual_seed(seed)
    started = time.process_time()
    sequence, schedule = builders.build_sequence(config), builders.build_schedule(config)
    objective = builders.build_objective(config, schedule)
    dual = builders.build_dual_diffusion(config)
    denoiser, encoder = dual.denoiser, dual.provider.dance.encoder
    padded = torch.nn.functional.pad(wavs, (0, sequence.padded_samples - wavs.shape[-1]))
    with torch.no_grad():
        target = mini.mel(padded)
        z0 = mini.vae.encode(target, sample=False)
        ceiling = mini.vae.decode(z0)

    streams = (POSITIVE, NEGATIVE) if objective.uses_negative else (POSITIVE,)
    tokenized = dual.provider.tokenize([DanceAttributes(dance=dance) for dance in dances], streams)
    dance = tokenized[POSITIVE]
    encoder.visual_norm.fit([dance.visual])
    encoder.motion_norm.fit([encoder.motion_features(dance.motion, dance.motion_rate[0])])

    adam = config["optim"]["adam"]
    optimizer = torch.optim.AdamW(
        dual.parameters(), lr, tuple(adam["betas"]), adam["eps"], adam["weight_decay"]
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, updates, pct_start=0.05, cycle_momentum=False)
    losses = []
    for update in range(updates):
        t = schedule.sample_timesteps(CLIPS)
        noisy = objective.corrupt(z0, torch.randn_like(z0), t)
        dropped = torch.rand(CLIPS) < config["conditioning"]["dropout"]
        positive, negative = dual(noisy, tokenized, {name: dropped for name in streams})
        loss = objective.loss(positive, negative, noisy).total
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(dual.parameters(), config["optim"]["max_norm"])
        optimizer.step()
        rate.step()
        losses.append(loss.item())
        if (update + 1) % 250 == 0:
            print(f"{system}: {update + 1} updates, loss {sum(losses[-100:]) / 100:.4f}", flush=True)

    dual.eval()
    with torch.no_grad():
        prepared = denoiser.prepare(dual.provider({POSITIVE: dance})[POSITIVE], sequence.latent_columns)
        z = sample(
            lambda z, t: denoiser.denoise(z, t, prepared),
            schedule,
            z0.shape,
            sampler=config["sampling"]["sampler"],
            steps=config["sampling"]["steps"],
            generators=clip_generators(range(seed, seed + CLIPS)),
        )
        made = mini.vae.decode(z)
    own = correlation(made, target)
    return Result(
        system=system,
        updates=updates,
        cpu_minutes=round((time.process_time() - started) / 60, 2),
        loss=round(sum(losses[-100:]) / len(losses[-100:]), 5),
        correlation=round(own.mean().item(), 4),
        correlation_worst=round(own.min().item(), 4),
        other=round(correlation(made, target.roll(1, 0)).mean().item(), 4),
        ceiling=round(correlation(ceiling, target).mean().item(), 4),
    )


def main() -> None:
    """Train, sample, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "systems", nargs="*", default=list(SYSTEMS), help=f"of {', '.join(SYSTEMS)}; default: all"
    )
    parser.add_argument("--updates", type=int, default=700)
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("-o", "--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    root = paths.outputs_dir() / "corpora" / "mini"
    ensure_corpus("mini", root)
    mini = PNDiffusion.get_pretrained("mini")
    results = [asdict(overfit(name, mini, root, args.updates, args.lr, args.seed)) for name in args.systems]
    for result in results:
        print(json.dumps(result))
    if args.output:
        write_json(args.output, results)


if __name__ == "__main__":
    main()
