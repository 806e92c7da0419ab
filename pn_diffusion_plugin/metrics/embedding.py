"""Music as points: windows of a clip through musicnn, for the Fréchet distance."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray

from .beats import as_mono
from .musicnn import DIM, WINDOW, MusicnnNet, load_musicnn, log_mel

HOP = 62
"""Frames (62.5 a second) between windows: one second."""


def embed_windows(net: MusicnnNet, wav: object, sample_rate: int, hop: int = HOP) -> NDArray[np.float32]:
    """Embeddings (w, 200) of the windows of 3 s of a sound (N,) or (C, N), one every `hop` frames; w ≥ 1.

    The loudest sample is brought to 1 first (as audiocraft's FAD does): level is no quality. A sound shorter than
    a window is continued by silence.
    """
    mono = as_mono(wav)
    peak = float(np.abs(mono).max(initial=0.0))
    mel = log_mel(mono / peak if peak else mono, sample_rate)
    mel = np.pad(mel, ((0, max(0, WINDOW - len(mel))), (0, 0)))
    windows = [mel[start : start + WINDOW] for start in range(0, len(mel) - WINDOW + 1, hop)]
    with torch.no_grad():  # one by one: in batches the front end's memory makes a CPU slower
        return torch.cat([net(torch.from_numpy(window)[None]) for window in windows]).numpy()


class Embedder:
    """`embed_windows` with a cache: each waveform is embedded once."""

    dim = DIM

    def __init__(self) -> None:
        self.net = load_musicnn()
        self._known: dict[tuple[int, bytes], NDArray[np.float32]] = {}

    def __call__(self, wav: object, sample_rate: int) -> NDArray[np.float32]:
        """Embeddings (w, 200) of a sound (N,) or (C, N)."""
        mono = as_mono(wav)
        key = (sample_rate, hashlib.sha1(mono.tobytes()).digest())
        if key not in self._known:
            self._known[key] = embed_windows(self.net, mono, sample_rate)
        return self._known[key]
