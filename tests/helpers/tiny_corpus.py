"""Tiny videos, features without networks, and corpora of them, for all that is tested around the extraction.

The extraction itself is run in test_prepare.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np
from headers import make_header

from pn_diffusion_plugin.data.corpora.clips import write_clip
from pn_diffusion_plugin.data.corpora.prepare import finish_corpus, write_or_check_settings
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.data.features.visual import window_indices
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import VideoError
from pn_diffusion_plugin.utils.files import sha256_file

RATE = 22050
SPEC = FeatureSpec()
DIM = 6
_ALIVE: list[TextIO] = []


def make_features(
    seconds: float, seed: int = 0, digest: str = "0" * 64, spec: FeatureSpec = SPEC
) -> Features:
    """Features that tell the time: x of a joint is the second, a visual window's numbers are its index."""
    frames = round(seconds * spec.pose_fps)
    pictures = max(1, round(seconds * spec.visual_fps))
    windows = len(window_indices(pictures, spec.visual_window, spec.visual_hop))
    rng = np.random.default_rng(seed)
    keypoints = rng.random((frames, 33, 3)).astype(np.float32)
    keypoints[:, :, 0] = np.arange(frames)[:, None] / spec.pose_fps
    visual = np.repeat(np.arange(windows, dtype=np.float32)[:, None], DIM, axis=1)
    header = make_header(seconds, spec, visual_dim=DIM, video_sha256=digest)
    return Features(header, keypoints, np.ones(frames, bool), visual, -visual[::-1])


def make_corpus(root: Path, seconds: list[float], split: str = "train") -> Path:
    """A corpus of one split; the sound of a clip tells the time: sample n is n / 2^15 of its whole length."""
    write_or_check_settings(CorpusPaths(root), SPEC, RATE)
    for number, length in enumerate(seconds):
        name, samples = f"clip{number}", round(length * RATE)
        wav = np.linspace(0, 0.9, samples, endpoint=False, dtype=np.float32)
        info = DanceInfo(name, length, RATE, samples, f"videos/{name}.mp4", "0" * 64, 0, 64, 64, 25.0, 1.0)
        labels = {"split": split, "split_source": "label", "song": f"song{number}", "song_source": "label"}
        info = DanceInfo.from_dict({**info.to_dict(), **labels, "bpm": 120.0, "beats": [0.5, 2.0, 3.5]})
        write_clip(root, info, wav, make_features(length, number))
    finish_corpus(root)
    return root / "egs" / split


def write_tiny_video(path: Path, seed: int, seconds: float = 1.0, audio: bool = True) -> Path:
    """A 32 x 32 video of changing greys with a melody of its own; `seed` -1: all black (nobody is in it)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(abs(seed))
    greys = rng.integers(60, 250, round(seconds * 10)) if seed >= 0 else np.zeros(round(seconds * 10), int)
    frames = [np.full((32, 32, 3), grey, np.uint8) for grey in greys]
    time_ = np.arange(round(seconds * RATE)) / RATE
    wav = np.sin(2 * np.pi * (200 + 50 * rng.integers(0, 20, 64))[(time_ * 8).astype(int) % 64] * time_)
    write_video(path, frames, 10, (0.5 * wav).astype(np.float32) if audio else None, RATE)
    return path


def fast_extractor(spec: FeatureSpec, weights: Path | None) -> Callable[[Path], Features]:
    """An extractor without networks: features drawn from the video's hash. Nobody is in a black video.

    While its process lives it holds a lock in the folder TINY_WORKERS, where that is set.
    """
    if "TINY_WORKERS" in os.environ:
        alive = open(Path(os.environ["TINY_WORKERS"]) / str(os.getpid()), "w")
        fcntl.flock(alive, fcntl.LOCK_EX)
        _ALIVE.append(alive)

    def extract(video: Path) -> Features:
        if max(int(frame.max()) for frame in read_frames(video, 5)) < 40:
            raise VideoError(f"no person was found in {video}: give a video with a dancer in full view")
        time.sleep(0.03)
        digest = sha256_file(video)
        seed = int(hashlib.sha256(digest.encode()).hexdigest()[:8], 16)
        return make_features(probe(video).seconds, seed, digest, spec)

    return extract


def dying_extractor(spec: FeatureSpec, weights: Path | None) -> Callable[[Path], Features]:
    """As `fast_extractor`, but the process dies over videos named *crash*."""
    fast = fast_extractor(spec, weights)

    def extract(video: Path) -> Features:
        if "crash" in video.name:
            os._exit(11)
        return fast(video)

    return extract


def tree(root: Path) -> dict[str, bytes]:
    """All files of a corpus by relative path (hidden ones apart), to compare two."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
