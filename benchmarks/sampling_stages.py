"""Where the time of `generate` goes once a dance's features are there: conditions, U-Net, decoder, mel inversion, mux.

    python benchmarks/sampling_stages.py -o outputs/sampling_stages
    python benchmarks/sampling_stages.py --set sampler=ddim steps=24 -o outputs/sampling_stages_24

One clip of the embedded corpus (8 s) and its dance repeated to 32 s, the median of `--rounds` after a warm-up. Wall
seconds are of this process' threads (`--threads`); processor seconds hold also where other programs share the machine.
Writes report.json, prints a table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from scaling import repeated
from torch import nn

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.metrics.corpus import CorpusClip, read_split
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.utils.files import write_json

Times = tuple[float, float]  # wall, processor (s)


class Stages:
    """Seconds by stage of the modules that are watched."""

    def __init__(self) -> None:
        self.seconds: dict[str, Times] = {}
        self._began: Times = (0.0, 0.0)

    def watch(self, module: nn.Module, stage: str) -> None:
        """Count the time of the module's forward as the stage's."""
        module.register_forward_pre_hook(lambda *_: self._begin())
        module.register_forward_hook(lambda *_: self._end(stage))

    def measure(self, stage: str, call: Callable[[], Any]) -> Any:
        """Count the time of a call as the stage's."""
        began = time.perf_counter(), time.process_time()
        result = call()
        self._add(stage, began)
        return result

    def _begin(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def _end(self, stage: str) -> None:
        self._add(stage, self._began)

    def _add(self, stage: str, began: Times) -> None:
        wall, processor = self.seconds.get(stage, (0.0, 0.0))
        now = time.perf_counter(), time.process_time()
        self.seconds[stage] = wall + now[0] - began[0], processor + now[1] - began[1]


def one_round(model: PNDiffusion, stages: Stages, clip: CorpusClip, video: Path, seconds: float) -> None:
    """A clip from its features to the video with its music (the mux is the 8 s video's, whatever the length)."""
    stages.seconds.clear()
    features = repeated(clip.features, seconds)
    (wave,) = stages.measure("whole", lambda: model.generate_from_features([features], [0]))
    sound = wave[:, : len(clip.reference)].numpy()
    with tempfile.TemporaryDirectory() as folder:
        stages.measure("mux", lambda: mux(video, sound, model.sample_rate, Path(folder) / "out.mp4"))


def table(length: float, rounds: list[dict[str, Times]]) -> dict[str, Times]:
    """Median seconds by stage; what of `whole` is in none of the others is `rest`."""
    for seconds in rounds:
        parts = [seconds[stage] for stage in seconds if stage not in ("whole", "mux")]
        wall, processor = seconds["whole"]
        seconds["rest"] = wall - sum(p[0] for p in parts), processor - sum(p[1] for p in parts)
    medians = {
        stage: (
            statistics.median(r[stage][0] for r in rounds),
            statistics.median(r[stage][1] for r in rounds),
        )
        for stage in rounds[0]
    }
    print(f"\n{length:g} s of dance\n\n| stage | wall s | processor s | share |", "|---" * 4 + "|", sep="\n")
    for stage, (wall, processor) in medians.items():
        print(f"| {stage} | {wall:.2f} | {processor:.2f} | {processor / medians['whole'][1]:.0%} |")
    print(f"\n{length / medians['whole'][0]:.1f} x real time.")
    return medians


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    parser.add_argument("--corpus", type=Path, default=paths.outputs_dir() / "corpora/mini")
    parser.add_argument("--lengths", type=float, nargs="+", default=[8, 32], help="seconds")
    parser.add_argument("--set", nargs="*", default=[], help="KEY=VALUE of the generation's parameters")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of report.json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, stages = PNDiffusion.get_pretrained(args.model), Stages()
    named = (item.split("=", 1) for item in args.set)
    model.set_generation_params(**{key: yaml.safe_load(value) for key, value in named})
    denoiser, vae = model.networks()
    stages.watch(model.dual.provider, "conditions")
    stages.watch(denoiser.unet, "U-Net")
    stages.watch(model.vocoder, "mel inversion")  # type: ignore[arg-type]
    decode = vae.decode
    vae.decode = lambda z: stages.measure("decoder", lambda: decode(z))  # type: ignore[method-assign]
    (clip,) = read_split(args.corpus / "egs/valid", 1)
    video = args.corpus / clip.info.video
    report: dict[str, Any] = {"threads": args.threads, "params": vars(model.params), "seconds": {}}
    for length in args.lengths:
        rounds = []
        for _ in range(args.rounds + 1):
            one_round(model, stages, clip, video, length)
            rounds.append(dict(stages.seconds))
        report["seconds"][f"{length:g}"] = table(length, rounds[1:])
    write_json(args.output / "report.json", report)


if __name__ == "__main__":
    main()
