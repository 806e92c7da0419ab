"""How cost and memory grow: `generate` with a video's length, `prepare` and the dataset with a corpus' size.

    python benchmarks/scaling.py -o outputs/scaling
    python benchmarks/scaling.py -o outputs/scaling --only prepare --clips 250 500 1000

- generate: a dance of the embedded corpus repeated to 30, 60 and 120 s, features at hand, each length in a process of
  its own; wall seconds a second of music, and how far the peak of memory lies above the shortest one's;
- prepare: `prepare_folder` of so many tiny videos (half a second, every tenth shares its music with another) in two
  worker processes. Each is probed, decoded, hashed, its sound read, fingerprinted and compared, its split chosen, as
  ever; only BlazePose and I3D are left out (`extractor=` another: mean colours for keypoints and windows), as their
  cost is the same for every clip. Then what every run does first: reading manifest, jsons and features through
  `DanceDataset`. Milliseconds a clip; the peak of the process' own memory and of its largest worker's.

Writes `report.json`, prints two tables. Twelve minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.features.feature_file import FeatureHeader, Features, FeatureSpec
from pn_diffusion_plugin.utils.files import write_json

RATE = 22050
DIM = 16


def peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    """Peak resident memory (MB)."""
    return resource.getrusage(who).ru_maxrss / 1024


def repeated(features: Features, seconds: float) -> Features:
    """A dance again and again, cut at a length."""
    times = int(-(-seconds // features.header.seconds))
    whole = Features(
        replace(features.header, seconds=times * features.header.seconds),
        **{name: np.concatenate([rows] * times) for name, rows in features.streams.items()},
    )
    return whole.segment(0.0, seconds)


def generate_here(manifest: Path, seconds: float, steps: int) -> dict[str, float]:
    """Time and memory of making music of a length, in this process."""
    import torch

    from pn_diffusion_plugin.metrics.corpus import read_split
    from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

    torch.set_num_threads(1)
    model = PNDiffusion.get_pretrained("mini")
    model.set_generation_params(steps=steps)
    features = repeated(read_split(manifest, 1)[0].features, seconds)
    model.generate_from_features([repeated(features, 6.0)], [0])  # what is made once is no cost of the length
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
    """Videos of half a second; the music of every tenth is that of the one before."""
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
    """An extractor that decodes and hashes as the real one does, and sees nothing but mean colours."""
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
    """Time and memory of preparing so many clips and of reading them, in this process."""
    from pn_diffusion_plugin.data.corpora.prepare import finish_corpus, prepare_folder
    from pn_diffusion_plugin.data.dataset import DanceDataset

    before = peak_mb()
    corpus = folder / f"corpus{count}"
    shutil.rmtree(corpus, ignore_errors=True)
    files = sorted((folder / "videos").glob("*.mp4"))[:count]
    report = prepare_folder(
        folder / "videos", corpus, files=files, jobs=2, progress=False, extractor=mean_colours
    )
    assert len(report.done) == count, report.failed[:1]
    row = {
        "clips": count,
        "prepare": report.seconds,
        "clips_made": report.extraction_seconds,
        "parent_mb": peak_mb(),
        "before_mb": before,
        "worker_mb": peak_mb(resource.RUSAGE_CHILDREN),
    }
    start = time.perf_counter()
    again = prepare_folder(
        folder / "videos", corpus, files=files, jobs=2, progress=False, extractor=mean_colours
    )
    row["nothing_to_do"] = time.perf_counter() - start
    assert len(again.skipped) == count
    start = time.perf_counter()
    finish_corpus(corpus)
    row["splits"] = time.perf_counter() - start
    start = time.perf_counter()
    dataset = DanceDataset.from_meta(
        corpus / "egs/train", segment_duration=0.4, num_samples=count, shuffle=True
    )
    row["dataset"] = time.perf_counter() - start
    start = time.perf_counter()
    for index in range(count):
        dataset[index]
    row["items"] = time.perf_counter() - start
    row["all_mb"] = peak_mb()
    shutil.rmtree(corpus)
    return row


def child(*arguments: object) -> dict[str, float]:
    """This file in a process of its own."""
    call = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def tell(rows: list[dict[str, float]], size: str, costs: list[str], unit: float, memory: list[str]) -> None:
    """A table: costs by size, memory above the first row's."""
    names = [f"{cost} / {size} (ms)" for cost in costs]
    print(
        "\n| " + " | ".join([size, *names, *memory]) + " |",
        "|---" * (1 + len(names) + len(memory)) + "|",
        sep="\n",
    )
    for row in rows:
        numbers = [f"{unit * row[cost] / row[size]:.1f}" for cost in costs]
        above = [f"{row[name]:.0f} ({row[name] - rows[0][name]:+.0f})" for name in memory]
        print(f"| {row[size]:g} | " + " | ".join(numbers + above) + " |")


def main() -> None:
    """Measure, write, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lengths", type=float, nargs="+", default=[30, 60, 120], help="of music (s)")
    parser.add_argument("--clips", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--steps", type=int, default=8, help="of denoising")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/valid")
    parser.add_argument("--only", choices=["generate", "prepare"])
    parser.add_argument("-o", "--output", type=Path, help="folder of report.json, and of the videos")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        what, where, size, *rest = args.child
        row = (
            generate_here(Path(where), float(size), int(rest[0]))
            if what == "generate"
            else prepare_here(Path(where), int(size))
        )
        print(json.dumps(row))
        return
    if args.output is None:
        parser.error("-o is missing: name a folder for report.json")
    path = args.output / "report.json"
    report: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if args.only != "prepare":
        report["generate"] = [child("generate", args.manifest, n, args.steps) for n in args.lengths]
        tell(report["generate"], "seconds", ["wall", "cpu"], 1000, ["peak_mb", "music_mb"])
    if args.only != "generate":
        videos = args.output / "videos"
        videos.mkdir(parents=True, exist_ok=True)
        tiny_videos(videos, max(args.clips))
        report["prepare"] = [child("prepare", args.output.resolve(), n) for n in args.clips]
        costs = ["prepare", "clips_made", "nothing_to_do", "splits", "dataset", "items"]
        tell(report["prepare"], "clips", costs, 1000, ["parent_mb", "worker_mb", "all_mb"])
    write_json(path, report)


if __name__ == "__main__":
    main()
