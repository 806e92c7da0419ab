r"""Does a system repeat its training music? The distance of a clip to the nearest training clip.

A sound is embedded as its mel picture: 32 bands, 25 frames a second, decibels, each band's mean over time taken off
(what remains is what happens when, not the colour of the sound). With x and y two pictures laid over each other at
a time shift s, both cut to the overlap,

    distance = 1 − max_s ⟨x, y⟩ / (|x| |y|)        over all s with an overlap of at least 3 s,

so 0 is a copy, wherever it was cut and however loud, and 1 has nothing in common. A copy that went through a mel
autoencoder and a vocoder still lies near .05; landmarks (`fingerprint.py`) and tagger embeddings lose it there.
The distances of the *reference* clips, which no system made, are the scale: as near as music of this kind lies by
itself.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from .beats import as_mono, resample

Picture = NDArray[np.float32]

SAMPLE_RATE = 16000
N_FFT, HOP_LENGTH, N_MELS = 1024, 640, 32
FRAMES_A_SECOND = SAMPLE_RATE / HOP_LENGTH
DYNAMIC_RANGE = 60.0  # dB
OVERLAP = 3.0
"""Seconds that two sounds must share at a shift (or all of the shorter one)."""
COPY = 0.1
"""Nearer than this is called a copy: copies through autoencoder and vocoder lie at .03 to .07 on the embedded
corpus, the nearest of its test clips at .16."""
_CHUNK = 64  # training clips that are compared at once


@dataclass(frozen=True)
class Nearest:
    """The training clip that lies nearest: its name, its distance, and where in it (s) the clip would begin."""

    name: str
    distance: float
    shift: float


def mel_picture(wav: object, sample_rate: int) -> Picture:
    """(32, frames) of a sound (N,) or (C, N), as the module says; all zeros for silence."""
    import librosa

    mono = resample(as_mono(wav), sample_rate, SAMPLE_RATE)
    if not np.any(mono):
        return np.zeros((N_MELS, 1 + mono.size // HOP_LENGTH), dtype=np.float32)
    mel = librosa.feature.melspectrogram(
        y=mono, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS
    )
    level = librosa.power_to_db(mel, ref=np.max, top_db=DYNAMIC_RANGE)
    return (level - level.mean(axis=1, keepdims=True)).astype(np.float32)


class TrainingClips:
    """The training music, to look for nearest clips in.

    Args:
        pictures: name → `mel_picture`.
    """

    def __init__(self, pictures: Mapping[str, Picture]) -> None:
        if not pictures:
            raise ValueError("there are no training clips")
        # Clips of like lengths share a transform.
        self._names = sorted(pictures, key=lambda name: (pictures[name].shape[1], name))
        ordered = [pictures[name] for name in self._names]
        self._stacks = [_Stack(ordered[i : i + _CHUNK]) for i in range(0, len(ordered), _CHUNK)]
        self._known: dict[bytes, Nearest | None] = {}

    def __len__(self) -> int:
        return len(self._names)

    def nearest(self, wav: object, sample_rate: int) -> Nearest | None:
        """The training clip nearest to a sound (N,); None for silence, which is near to nothing."""
        picture = mel_picture(wav, sample_rate)
        key = hashlib.sha1(picture.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._search(picture) if np.any(picture) else None
        return self._known[key]

    def _search(self, picture: Picture) -> Nearest:
        found = [stack.correlate(picture) for stack in self._stacks]
        correlations, shifts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        i = int(correlations.argmax())
        return Nearest(self._names[i], 1 - float(correlations[i]), float(shifts[i]) / FRAMES_A_SECOND)


class _Stack:
    """Pictures of like lengths, compared at once."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._lengths = np.array([picture.shape[1] for picture in pictures])
        self._stacked = np.zeros((len(pictures), N_MELS, self._lengths.max()), dtype=np.float32)
        for row, picture in zip(self._stacked, pictures, strict=True):
            row[:, : picture.shape[1]] = picture
        self._energies = _cumulative((self._stacked.astype(np.float64) ** 2).sum(axis=1))
        self._spectra = (
            0,
            np.zeros(0, dtype=np.complex64),
        )  # of the last size: evaluated clips are of one length

    def correlate(self, picture: Picture) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Largest correlation of a picture (32, n) with each of the stack, over time shifts.

        Returns:
            correlations (pictures,) in [-1, 1], and the shift (frames) of each: the frame of the stack's picture
            at which frame 0 of the given one stands.
        """
        n, lengths = picture.shape[1], self._lengths[:, None]
        longest = self._stacked.shape[2]
        size = int(next_fast_len(n + longest, real=True))
        if self._spectra[0] != size:
            self._spectra = (size, rfft(self._stacked, size))
        spectrum = (self._spectra[1] * np.conj(rfft(picture, size))).sum(axis=1)
        shifts = np.arange(-n + 1, longest)
        product = irfft(spectrum, size)[:, shifts % size].astype(
            np.float64
        )  # a negative shift stands at the end

        start = np.maximum(0, shifts)[None]
        end = np.maximum(np.minimum(lengths, shifts + n), start)  # the overlap, in frames of the stack
        ours = _cumulative((picture.astype(np.float64) ** 2).sum(axis=0))
        theirs = np.take_along_axis(self._energies, end, 1) - np.take_along_axis(
            self._energies, np.broadcast_to(start, end.shape), 1
        )
        energy = theirs * (ours[np.clip(end - shifts, 0, n)] - ours[np.clip(start - shifts, 0, n)])
        enough = np.minimum(math.ceil(OVERLAP * FRAMES_A_SECOND), np.minimum(n, lengths))
        allowed = (end - start >= enough) & (energy > 1e-9)
        correlation = np.where(allowed, product / np.sqrt(np.maximum(energy, 1e-9)), -1.0)
        at = correlation.argmax(axis=1)
        best = np.take_along_axis(correlation, at[:, None], 1)[:, 0]
        return np.clip(best, -1.0, 1.0), shifts[at]


def _cumulative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, … values along the last axis, (…, n + 1)."""
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(axis=-1)], axis=-1)


def summary(names: Sequence[str], rows: Mapping[str, Sequence[Nearest | None]], clips: int) -> dict[str, Any]:
    """What report.json says of it, beside the rows' means.

    Args:
        names: of the evaluated clips.
        rows: system name → for each clip its nearest training clip.
        clips: how many training clips there are.
    Returns:
        {"training_clips", "threshold", "copies": system → how many clips lie nearer than the threshold, "nearest":
        system → the three nearest pairs}.
    """
    nearest = {
        system: sorted(
            (
                {"clip": name, "training": near.name, "distance": near.distance, "shift": near.shift}
                for name, near in zip(names, found, strict=True)
                if near is not None
            ),
            key=lambda pair: float(str(pair["distance"])),
        )
        for system, found in rows.items()
    }
    return {
        "training_clips": clips,
        "threshold": COPY,
        "copies": {
            system: sum(float(str(pair["distance"])) < COPY for pair in pairs)
            for system, pairs in nearest.items()
        },
        "nearest": {system: pairs[:3] for system, pairs in nearest.items()},
    }
