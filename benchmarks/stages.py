"""Where the time of extraction and of `pn-diffusion generate` goes.

    python benchmarks/stages.py -o outputs/stages
    python benchmarks/stages.py -o outputs/stages --only generate --seconds 10 30 --videos dance.mp4

Dances like those of the embedded corpus are rendered; `--videos` adds other videos. Two tables:

- extraction: processor seconds a second of video for decoding, pose and windows, each alone on one core; then the whole
  extraction in sequence and in parallel, in turns: median wall seconds a second of video, with the range;
- generate: wall seconds of each stage, in a new process, and of the whole command. The last column is the whole as a
  multiple of the video's length.

Writes `report.json`. Run it on an idle machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GENERATE = ("start of Python", "imports", "model", "extraction", "denoising", "decoder", "vocoder", "muxing")


def rendered(seconds: float) -> Path:
    """A dance like those of the embedded corpus, from a seed that no split uses."""
    from pn_diffusion_plugin import paths
    from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
    from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec

    folder = paths.outputs_dir() / "stages" / f"{seconds:g}s"
    folder.mkdir(parents=True, exist_ok=True)
    spec = MiniSpec(train=1, valid=1, test=1, seconds=seconds, seed=70)
    existing = sorted(folder.glob("*.mp4"))
    return existing[0] if existing else write_clip_video(spec.plan("test", 0), folder)


def extraction(video: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Time of extracting the features of a video."""
    import torch

    from benchmarks.common import Clock
    from pn_diffusion_plugin.data.features.extraction import extract_features
    from pn_diffusion_plugin.data.features.feature_file import FeatureSpec
    from pn_diffusion_plugin.data.features.pose import POSE_SIDE, PoseExtractor
    from pn_diffusion_plugin.data.features.visual import build_visual_encoder, window_features
    from pn_diffusion_plugin.data.video.probe import probe
    from pn_diffusion_plugin.data.video.read import read_frames

    spec, pose, clock = FeatureSpec(), PoseExtractor(), Clock()
    encoder, seconds = build_visual_encoder(spec.visual_encoder), probe(video).seconds
    torch.set_num_threads(1)
    frames = clock.measure("decoding", lambda: list(read_frames(video, spec.pose_fps, size=POSE_SIDE)))
    clock.measure("pose", pose.extract, frames, spec.pose_fps)
    every = frames[:: round(spec.pose_fps / spec.visual_fps)]
    for shown in (every, every[::-1]):
        clock.measure("windows", window_features, encoder, shown, spec.visual_window, spec.visual_hop)
    ways = {"one core": (1, False), "in sequence": (threads, False), "in parallel": (threads, True)}
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (count, parallel) in ways.items():
            torch.set_num_threads(count)
            start = time.perf_counter()
            extract_features(video, spec, pose, encoder, parallel)
            walls[name].append((time.perf_counter() - start) / seconds)
    alone = {stage: value / seconds for stage, value in clock.processor.items()}
    return {"video": video.name, "seconds": seconds, **alone, "walls": walls}


def generate_here(video: Path, output: Path, began: float) -> dict[str, float]:
    """Wall seconds of the stages of one generation in this process, which began at `began` (seconds since 1970)."""
    start, mark = time.time() - began, time.perf_counter()
    from benchmarks.common import Clock
    from pn_diffusion_plugin.data.video.mux import mux
    from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

    clock = Clock()
    clock.wall |= {"start of Python": start, "imports": time.perf_counter() - mark}
    model = clock.measure("model", PNDiffusion.get_pretrained, "mini")
    clock.wrap(model, "_latents", "denoising")
    clock.wrap(model.vae, "decode", "decoder")
    clock.wrap(model.vocoder, "forward", "vocoder")
    clock.wrap(model, "generate_from_features", "sampling")
    (music,) = clock.measure("whole", model.generate, [video], [0])
    clock.wall["extraction"] = clock.wall["whole"] - clock.wall["sampling"]
    clock.measure("muxing", mux, video, music.numpy(), model.sample_rate, output)
    return {stage: clock.wall[stage] for stage in GENERATE}


def generate(video: Path, rounds: int) -> dict[str, Any]:
    """Stages and the whole command, medians over rounds, each in a new process."""
    from pn_diffusion_plugin.data.video.probe import probe

    stages: dict[str, list[float]] = {name: [] for name in GENERATE}
    whole = []
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "output.mp4")
        for _ in range(rounds):
            call = [sys.executable, __file__, "--stages", str(video), output, str(time.time())]
            done = subprocess.run(
                call, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for name, value in json.loads(done.stdout.splitlines()[-1]).items():
                stages[name].append(value)
            start = time.perf_counter()
            command = [sys.executable, "-m", "pn_diffusion_plugin.cli", "generate", str(video), "-o", output]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            whole.append(time.perf_counter() - start)
    return {"video": video.name, "seconds": probe(video).seconds, "stages": stages, "whole": whole}


def page(report: dict[str, Any]) -> str:
    """The tables of a report."""
    from benchmarks.common import table

    text = []
    if rows := report.get("extraction"):
        ways = list(rows[0]["walls"])
        cells = [
            [
                row["video"],
                f"{row['seconds']:.1f}",
                *(f"{row[n]:.3f}" for n in ("decoding", "pose", "windows")),
            ]
            + [f"{statistics.median(w):.2f} ({min(w):.2f}–{max(w):.2f})" for w in row["walls"].values()]
            for row in rows
        ]
        text.append(table(["video", "s", "decoding", "pose", "windows", *ways], cells))
    if rows := report.get("generate"):
        cells = []
        for row in rows:
            whole = statistics.median(row["whole"])
            stages = [f"{statistics.median(row['stages'][name]):.2f}" for name in GENERATE]
            times = f"{whole / row['seconds']:.2f}"
            cells.append([row["video"], f"{row['seconds']:.1f}", *stages, f"{whole:.1f}", times])
        text.append(table(["video", "s", *GENERATE, "command", "× length"], cells))
    return "\n\n".join(text)


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--stages"]:
        print(json.dumps(generate_here(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))))
        return
    from benchmarks.common import command_line
    from pn_diffusion_plugin.utils.files import write_json

    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 30], help="lengths to render")
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="more videos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    parser.add_argument("--only", choices=["extraction", "generate"])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of report.json")
    args = parser.parse_args()
    path = args.output / "report.json"
    report: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    videos = [rendered(seconds) for seconds in args.seconds] + args.videos
    sections: dict[str, Callable[[], Any]] = {
        "extraction": lambda: [extraction(video, args.rounds, args.threads) for video in videos],
        "generate": lambda: [generate(video, args.rounds) for video in videos],
    }
    for name in [args.only] if args.only else sections:
        report[name] = sections[name]()
        write_json(path, report)
    print(page(report))


if __name__ == "__main__":
    main()
