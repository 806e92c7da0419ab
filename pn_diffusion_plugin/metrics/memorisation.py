r"""Memorisation: distance of a generated clip to the nearest training clip.

Waveforms are compared as log mel spectrograms: 32 bands, 25 frames a second, decibels, the mean over time of each band
subtracted, which keeps the events and removes the timbre. For two of them, x and y, cropped to their overlap at a time
shift s,

    distance = 1 − max_s ⟨x, y⟩ / (|x| |y|)        over all s with an overlap of at least 3 s,

so 0 is a copy at any offset and level, and 1 is unrelated. A copy that went through a mel autoencoder and a vocoder has
a distance of about .05; landmarks (`fingerprint.py`) and tagger embeddings miss such copies. The distances of the
*reference* clips give the scale: how close unrelated music of this kind is.
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

LogMel = NDArray[np.float32]
"""(32, frames), see the module."""

SAMPLE_RATE = 16000
N_FFT, HOP_LENGTH, N_MELS = 1024, 640, 32
FRAMES_A_SECOND = SAMPLE_RATE / HOP_LENGTH
DYNAMIC_RANGE = 60.0  # dB
OVERLAP = 3.0
"""Minimum overlap at a shift (s), or the whole shorter clip."""
COPY = 0.1
"""Distance below which a clip counts as a copy: copies through autoencoder and vocoder have .03 to .07 on the embedded
corpus, its closest test clip has .16."""
_CHUNK = 64  # training clips compared in one transform


@dataclass(frozen=True)
class Nearest:
    """The nearest training clip: its name, its distance, and the offset (s) in it at which the clip matches."""

    name: str
    distance: float
    shift: float


def centred_log_mel(wav: object, sample_rate: int) -> LogMel:
    """Log mel spectrogram (32, frames) of a waveform (N,) or (C, N), centred per band; zeros for silence."""
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
    """Index of the training music for nearest-clip search.

    Args:
        mels: clip name → `centred_log_mel`.
    """

    def __init__(self, mels: Mapping[str, LogMel]) -> None:
        if not mels:
            raise ValueError("there are no training clips")
        # Clips of similar length share a transform.
        self._names = sorted(mels, key=lambda name: (mels[name].shape[1], name))
        ordered = [mels[name] for name in self._names]
        self._stacks = [_Stack(ordered[i : i + _CHUNK]) for i in range(0, len(ordered), _CHUNK)]
        self._known: dict[bytes, Nearest | None] = {}

    def __len__(self) -> int:
        return len(self._names)

    def nearest(self, wav: object, sample_rate: int) -> Nearest | None:
        """The training clip nearest to a waveform (N,); None for silence."""
        mel = centred_log_mel(wav, sample_rate)
        key = hashlib.sha1(mel.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._search(mel) if np.any(mel) else None
        return self._known[key]

    def _search(self, mel: LogMel) -> Nearest:
        found = [stack.correlate(mel) for stack in self._stacks]
        correlations, shifts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        i = int(correlations.argmax())
        return Nearest(self._names[i], 1 - float(correlations[i]), float(shifts[i]) / FRAMES_A_SECOND)


class _Stack:
    """Spectrograms of similar length, compared in one transform."""

    def __init__(self, mels: Sequence[LogMel]) -> None:
        self._lengths = np.array([mel.shape[1] for mel in mels])
        self._stacked = np.zeros((len(mels), N_MELS, self._lengths.max()), dtype=np.float32)
        for row, mel in zip(self._stacked, mels, strict=True):
            row[:, : mel.shape[1]] = mel
        self._energies = _cumulative((self._stacked.astype(np.float64) ** 2).sum(axis=1))
        # Spectra of the last transform size; evaluated clips mostly have one length.
        self._spectra = (0, np.zeros(0, dtype=np.complex64))

    def correlate(self, mel: LogMel) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Largest correlation of a spectrogram (32, n) with each of the stack, over time shifts.

        Returns:
            correlations (clips,) in [-1, 1], and their shifts (frames): the frame of the stack's spectrogram that
            matches frame 0 of the given one.
        """
        n, lengths = mel.shape[1], self._lengths[:, None]
        longest = self._stacked.shape[2]
        size = int(next_fast_len(n + longest, real=True))
        if self._spectra[0] != size:
            self._spectra = (size, rfft(self._stacked, size))
        spectrum = (self._spectra[1] * np.conj(rfft(mel, size))).sum(axis=1)
        shifts = np.arange(-n + 1, longest)
        # negative shifts are at the end of a circular correlation
        product = irfft(spectrum, size)[:, shifts % size].astype(np.float64)

        start = np.maximum(0, shifts)[None]
        end = np.maximum(np.minimum(lengths, shifts + n), start)  # the overlap, in frames of the stack
        ours = _cumulative((mel.astype(np.float64) ** 2).sum(axis=0))
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
    """The memorisation part of report.json.

    Args:
        names: names of the evaluated clips.
        rows: system name → for each clip its nearest training clip.
        clips: number of training clips.
    Returns:
        {"training_clips", "threshold", "copies": system → number of clips below the threshold, "nearest":
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
