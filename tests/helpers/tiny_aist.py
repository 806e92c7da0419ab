"""Miniature trees of the shape in which AIST and AIST++ are distributed."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np

CAMERAS = [f"c{number:02d}" for number in range(1, 10)]


def all_names() -> list[str]:
    """Names like those of the whole of AIST++'s front camera: 6 songs a genre, ten basic choreographies danced to all
    songs by two dancers, 21 advanced ones (the true ones are distributed otherwise over songs and dancers)."""
    names = []
    for genre in ("BR", "PO", "LO", "MH", "LH", "HO", "WA", "KR", "JS", "JB"):
        for song in range(6):
            for dancer in ("d04", "d05"):
                names += [f"g{genre}_sBM_c01_{dancer}_m{genre}{song}_ch{ch:02d}" for ch in range(1, 11)]
        names += [f"g{genre}_sFM_c01_d04_m{genre}{ch % 6}_ch{ch:02d}" for ch in range(1, 22)]
    return names


def touch(folder: Path, names: Iterable[str], suffix: str = ".mp4") -> Path:
    """Empty files of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}{suffix}").touch()
    return folder


def write_keypoints(
    annotations: Path,
    sequence: str,
    keypoints: np.ndarray,
    protocol: int = 4,
    timestamps: np.ndarray | None = None,
    scores: np.ndarray | None = None,
) -> Path:
    """A file of annotations: keypoints (9, N, 17, 3) at 60 frames a second; timestamps in microseconds."""
    frames = keypoints.shape[1]
    content = {
        "keypoints2d": keypoints.astype(np.float32),
        "det_scores": np.ones((9, frames), np.float32) if scores is None else scores,
        "timestamps": np.round(np.arange(frames) * 1e6 / 60).astype(np.int64)
        if timestamps is None
        else timestamps,
    }
    path = annotations / "keypoints2d" / f"{sequence}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path
