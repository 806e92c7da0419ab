"""What watching a video costs, and how the time of `pn-diffusion generate` divides, for videos of several lengths.

    python benchmarks/extraction.py -o outputs/extraction
    python benchmarks/extraction.py -o outputs/extraction --only generate --seconds 10 30 --videos dance.mp4

Dances of the embedded corpus' kind are rendered; `--videos` adds real ones. Two tables:

- watching: processor seconds a second of video for decoding, pose and windows, each alone on one core; then the whole
  extraction one after the other and side by side, in turns, median wall seconds a second of video with the range;
- generate: wall seconds of the stages inside a process of its own, and of the command as a user calls it. The last
  column is the whole as a multiple of the video's length.

Writes `report.json`. The machine's load counts: run it on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAGES = {
    "start": "start of Python",
    "imports": "imports",
    "load": "model",
    "watching": "watching",
    "denoising": "denoising",
    "decoding": "decoder",
    "sound": "Griffin-Lim",
    "muxing": "muxing",
}


def rendered(seconds: float) -> Path:
    """A dance of the embedded corpus' kind, from a seed that no split has."""
    from pn_diffusion_plugin import paths
    from pn_diffusion_plugin.data.corpora.mini import MiniSpec, write_clip

    folder = paths.outputs_dir() / "extraction" / f"{seconds:g}s"
    folder.mkdir(parents=True, exist_ok=True)
    spec = MiniSpec(train=1, valid=1, test=1, seconds=seconds, seed=70)
    there = sorted(folder.glob("*.mp4"))
    return there[0] if there else write_clip(spec, "test", 0, folder)


def watch(video: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Costs of watching one video."""
    import torch

    from pn_diffusion_plugin.data.features.extraction import extract_features
    from pn_diffusion_plugin.data.features.feature_file import FeatureSpec
    from pn_diffusion_plugin.data.features.pose import POSE_SIDE, PoseExtractor
    from pn_diffusion_plugin.data.features.visual import build_visual_encoder, window_features
    from pn_diffusion_plugin.data.video.probe import probe
    from pn_diffusion_plugin.data.video.read import read_frames

    spec, pose = FeatureSpec(), PoseExtractor()
    encoder = build_visual_encoder(spec.visual_encoder)
    seconds = probe(video).seconds
    every = round(spec.pose_fps / spec.visual_fps)
    pictures = list(read_frames(video, spec.pose_fps, size=POSE_SIDE))
    torch.set_num_threads(1)
    alone: dict[str, Callable[[], Any]] = {
        "decoding": lambda: sum(1 for _ in read_frames(video, spec.pose_fps, size=POSE_SIDE)),
        "pose": lambda: pose.extract(pictures, spec.pose_fps),
        "windows": lambda: [
            window_features(encoder, shown, spec.visual_window, spec.visual_hop)
            for shown in (pictures[::every], pictures[::every][::-1])
        ],
    }
    row: dict[str, Any] = {"video": video.name, "seconds": seconds}
    for name, work in alone.items():
        start = time.process_time()
        work()
        row[name] = (time.process_time() - start) / seconds
    ways = {"one core": (1, False), "one after the other": (threads, False), "side by side": (threads, True)}
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (count, beside) in ways.items():
            torch.set_num_threads(count)
            start = time.perf_counter()
            extract_features(video, spec, pose, encoder, beside)
            walls[name].append((time.perf_counter() - start) / seconds)
    return {**row, "walls": walls}


def generate_here(video: Path, output: Path, began: float) -> dict[str, float]:
    """Wall seconds of the stages of one generation in this process, which began at `began` (seconds since 1970)."""
    spent = dict.fromkeys(STAGES, 0.0)
    spent["start"] = time.time() - began
    mark = time.perf_counter()

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - start

        return run

    from pn_diffusion_plugin.data.video.mux import mux
    from pn_diffusion_plugin.models import pn_diffusion

    spent["imports"] = time.perf_counter() - mark
    model = timed("load", pn_diffusion.PNDiffusion.get_pretrained)("mini")
    model._latents = timed("denoising", model._latents)
    model.vae.decode = timed("decoding", model.vae.decode)
    model.vocoder.forward = timed("sound", model.vocoder.forward)
    generate = model.generate_from_features
    mark = time.perf_counter()

    def watched(*args: Any, **kwargs: Any) -> Any:
        spent["watching"] = time.perf_counter() - mark
        return generate(*args, **kwargs)

    model.generate_from_features = watched
    music = model.generate([video], [0])[0]
    timed("muxing", mux)(video, music.numpy(), model.sample_rate, output)
    return spent


def generate(video: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Stages and the whole command, medians over rounds, each in a process of its own."""
    from pn_diffusion_plugin.data.video.probe import probe

    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "made.mp4"
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    whole = []
    for _ in range(rounds):
        call = [sys.executable, __file__, "--stages", str(video), str(output), str(time.time())]
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for name, value in json.loads(done.stdout.splitlines()[-1]).items():
            stages[name].append(value)
        start = time.perf_counter()
        command = [sys.executable, "-m", "pn_diffusion_plugin.cli", "generate", str(video), "-o", str(output)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        whole.append(time.perf_counter() - start)
    output.unlink()
    return {"video": video.name, "seconds": probe(video).seconds, "stages": stages, "whole": whole}


def tell_watching(rows: list[dict[str, Any]]) -> None:
    """Print the table of watching."""
    names = list(rows[0]["walls"])
    print("| video | s | decoding | pose | windows | " + " | ".join(names) + " |")
    print("|---" * (5 + len(names)) + "|")
    for row in rows:
        walls = " | ".join(
            f"{statistics.median(w):.2f} ({min(w):.2f}–{max(w):.2f})" for w in row["walls"].values()
        )
        print(
            f"| {row['video']} | {row['seconds']:.1f} | {row['decoding']:.3f} | {row['pose']:.3f} | "
            f"{row['windows']:.3f} | {walls} |"
        )


def tell_generate(rows: list[dict[str, Any]]) -> None:
    """Print the table of `generate`."""
    print("\n| video | s | " + " | ".join(STAGES.values()) + " | command | × length |")
    print("|---" * (4 + len(STAGES)) + "|")
    for row in rows:
        stages = " | ".join(f"{statistics.median(row['stages'][name]):.2f}" for name in STAGES)
        whole = statistics.median(row["whole"])
        print(
            f"| {row['video']} | {row['seconds']:.1f} | {stages} | {whole:.1f} | {whole / row['seconds']:.2f} |"
        )


def main() -> None:
    """Measure, write, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 30], help="lengths to render")
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="more videos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch, side by side")
    parser.add_argument("--only", choices=["watching", "generate"])
    parser.add_argument("-o", "--output", type=Path, help="folder of report.json")
    parser.add_argument("--stages", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stages:
        print(json.dumps(generate_here(Path(args.stages[0]), Path(args.stages[1]), float(args.stages[2]))))
        return
    if args.output is None:
        parser.error("-o is missing: name a folder for report.json")
    from pn_diffusion_plugin.utils.files import write_json

    videos = [rendered(seconds) for seconds in args.seconds] + args.videos
    path = args.output / "report.json"
    report: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if args.only != "generate":
        report["watching"] = [watch(video, args.rounds, args.threads) for video in videos]
        tell_watching(report["watching"])
    if args.only != "watching":
        report["generate"] = [generate(video, args.output, args.rounds) for video in videos]
        tell_generate(report["generate"])
    write_json(path, report)


if __name__ == "__main__":
    main()
