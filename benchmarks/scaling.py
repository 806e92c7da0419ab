"""Growth of time and memory: generation with the length of the music, `prepare` with the number of clips.

    python benchmarks/scaling.py -o outputs/scaling
    python benchmarks/scaling.py -o outputs/scaling --only generate --lengths 60 180 600 1200
    python benchmarks/scaling.py -o outputs/scaling --only prepare --clips 250 500 1000

- generate: a dance of the embedded corpus repeated to each length, from extracted features, each length in a new
  process: milliseconds a second of music, and the peak memory;
- prepare: `prepare_folder` on so many tiny videos (half a second; every tenth has the music of another) in two worker
  processes. BlazePose and I3D, whose cost a clip is constant, are replaced by an extractor that computes mean colours.
  Then what every training run does first: reading manifest, JSON files and features through `DanceDataset`.
  Milliseconds a clip; peak memory of the process and of its largest worker.

Writes `report.json` and prints two tables. Twelve minutes on two cores.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import command_line, repeated, table
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.features.feature_file import FeatureHeader, Features, FeatureSpec
from pn_diffusion_plugin.utils.files import write_json

RATE = 22050
DIM = 16


def peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    """Peak resident memory (MB)."""
    return resource.getrusage(who).ru_maxrss / 1024


def generate_here(manifest: Path, seconds: float, steps: int) -> dict[str, float]:
    """Time and memory of generating music of a length, in this process."""
    import torch

    from pn_diffusion_plugin.metrics.corpus import read_split
    from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

    torch.set_num_threads(1)
    model = PNDiffusion.get_pretrained("mini")
    model.set_generation_params(steps=steps)
    features = repeated(read_split(manifest, 1)[0].features, seconds)
    model.generate_from_features([repeated(features, 6.0)], [0])  # warm-up
    wall, cpu = time.perf_counter(), time.process_time()
    (wav,) = model.generate_from_features([features], [0])
    return {
        "seconds": seconds,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mb": peak_mb(),
        "music_mb": wav.numel() * wav.element_size() / 2**20,
    }


def tiny_videos(folder: Path, count: int) -> None:
    """Write videos of half a second; every tenth has the music of the one before."""
    from pn_diffusion_plugin.data.video.write import write_video

    time_ = np.arange(RATE // 2) / RATE
    for number in range(len(list(folder.glob("*.mp4"))), count):
        song = number - (number % 10 == 9)
        rng = np.random.default_rng(song)
        wav = sum(np.sin(2 * np.pi * f * time_ + rng.uniform(0, 6)) for f in rng.uniform(100, 4000, 40))
        greys = np.random.default_rng(10_000 + number).integers(60, 250, 12)
        frames = (np.full((64, 64, 3), grey, np.uint8) for grey in greys)
        write_video(folder / f"dance{number:05d}.mp4", frames, 25, (wav / 40).astype(np.float32), RATE)


def mean_colours(spec: FeatureSpec, weights: Path | None) -> Callable[[Path], Features]:
    """An extractor that decodes and hashes like the real one, with mean colours as features."""
    from pn_diffusion_plugin.data.features.visual import window_indices
    from pn_diffusion_plugin.data.video.probe import probe
    from pn_diffusion_plugin.data.video.read import read_frames
    from pn_diffusion_plugin.utils.files import sha256_file

    def extract(video: Path) -> Features:
        info = probe(video)
        means = np.array([p.mean() / 255 for p in read_frames(video, spec.pose_fps, size=64)], np.float32)
        keypoints = np.broadcast_to(means[:, None, None], (len(means), 33, 3)).copy()
        pictures = max(1, round(info.seconds * spec.visual_fps))
        windows = len(window_indices(pictures, spec.visual_window, spec.visual_hop))
        visual = np.full((windows, DIM), means.mean(), np.float32)
        header = FeatureHeader(
            seconds=info.seconds,
            **asdict(spec),
            pose_extractor="mean colour",
            pose_weights_sha256="0" * 64,
            visual_dim=DIM,
            visual_weights_sha256="0" * 64,
            video_sha256=sha256_file(video),
            detected_share=1.0,
        )
        return Features(header, keypoints, np.ones(len(means), bool), visual, visual[::-1].copy())

    return extract


def prepare_here(folder: Path, count: int) -> dict[str, float]:
    """Time and memory of preparing and reading so many clips, in this process."""
    from pn_diffusion_plugin.data.corpora.prepare import finish_corpus, prepare_folder
    from pn_diffusion_plugin.data.dataset import DanceDataset

    corpus = folder / f"corpus{count}"
    shutil.rmtree(corpus, ignore_errors=True)
    files = sorted((folder / "videos").glob("*.mp4"))[:count]
    options: dict[str, Any] = dict(files=files, jobs=2, progress=False, extractor=mean_colours)
    report = prepare_folder(folder / "videos", corpus, **options)
    assert len(report.done) == count, report.failed[:1]
    row = {
        "clips": count,
        "prepare": report.seconds,
        "parent_mb": peak_mb(),
        "worker_mb": peak_mb(resource.RUSAGE_CHILDREN),
    }
    start = time.perf_counter()
    again = prepare_folder(folder / "videos", corpus, **options)
    row["nothing_to_do"] = time.perf_counter() - start
    assert len(again.skipped) == count
    start = time.perf_counter()
    finish_corpus(corpus)
    row["splits"] = time.perf_counter() - start
    start = time.perf_counter()
    dataset = DanceDataset.from_meta(
        corpus / "egs/train", segment_duration=0.4, num_samples=count, shuffle=True
    )
    for index in range(count):
        dataset[index]
    row["reading"] = time.perf_counter() - start
    shutil.rmtree(corpus)
    return row


def child(*arguments: object) -> dict[str, float]:
    """Run this file in a new process."""
    call = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--child"]:
        what, where, size, *rest = sys.argv[2:]
        if what == "generate":
            print(json.dumps(generate_here(Path(where), float(size), int(rest[0]))))
        else:
            print(json.dumps(prepare_here(Path(where), int(size))))
        return
    parser = command_line(__doc__)
    parser.add_argument("--lengths", type=float, nargs="+", default=[30, 60, 120], help="of music (s)")
    parser.add_argument("--clips", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--steps", type=int, default=8, help="of denoising")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/valid")
    parser.add_argument("--only", choices=["generate", "prepare"])
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of report.json and the videos"
    )
    args = parser.parse_args()
    path = args.output / "report.json"
    report: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if args.only != "prepare":
        report["generate"] = [child("generate", args.manifest, n, args.steps) for n in args.lengths]
        cells = [
            [f"{row['seconds']:g}", f"{1000 * row['wall'] / row['seconds']:.0f}"]
            + [f"{row[name]:.0f}" for name in ("peak_mb", "music_mb")]
            for row in report["generate"]
        ]
        print(table(["seconds", "ms a second", "peak (MB)", "of it the music (MB)"], cells))
    if args.only != "generate":
        videos = args.output / "videos"
        videos.mkdir(parents=True, exist_ok=True)
        tiny_videos(videos, max(args.clips))
        report["prepare"] = [child("prepare", args.output.resolve(), n) for n in args.clips]
        costs = ["prepare", "nothing_to_do", "splits", "reading"]
        cells = [
            [str(row["clips"]), *(f"{1000 * row[cost] / row['clips']:.1f}" for cost in costs)]
            + [f"{row['parent_mb']:.0f}", f"{row['worker_mb']:.0f}"]
            for row in report["prepare"]
        ]
        print(table(["clips", *(f"{cost} (ms)" for cost in costs), "process (MB)", "worker (MB)"], cells))
    write_json(path, report)


if __name__ == "__main__":
    main()
