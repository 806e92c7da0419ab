"""Is there a seam where sound was joined? Spectral flux at the joints against the same joints moved elsewhere.

Music is full of sudden changes, so a high flux makes no joint a seam. What does is a flux that is not found where
nothing was joined: higher (a jump), or lower (a fade, a gap). The joints are moved together, by every other distance
up to half the smallest gap between them, which keeps their number and spacing: what they then find is what chance
gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_FFT = 1024  # samples
HOP = 256  # samples between two frames
FLOOR_DB = -80.0  # below the loudest value: counts as silence
NEAR = 1  # frames to each side of a joint that belong to it


@dataclass(frozen=True)
class Seams:
    """Mean flux at the joints (dB), 95 % of what the moved joints find, and the share of those below the joints."""

    flux: float
    low: float
    high: float
    rank: float
    joints: int

    @property
    def stand_out(self) -> bool:
        """Whether the flux at the joints is another than elsewhere."""
        return not self.low <= self.flux <= self.high


def spectral_flux(wav: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean change of the log spectrum from frame to frame (dB), (N,) → (1 + N // HOP,); frame i is at i · HOP."""
    import librosa

    magnitude = np.abs(librosa.stft(np.asarray(wav, dtype=np.float32), n_fft=N_FFT, hop_length=HOP))
    decibels = 20 * np.log10(np.maximum(magnitude / max(float(magnitude.max()), 1e-9), 10 ** (FLOOR_DB / 20)))
    change: NDArray[np.float64] = np.abs(np.diff(decibels, axis=1, prepend=decibels[:, :1])).mean(axis=0)
    return change


def find_seams(waves: Sequence[NDArray[np.float32]], joints: Sequence[Sequence[int]]) -> Seams:
    """Compare the flux at the joints of some sounds with that elsewhere in them.

    Args:
        waves: (N,) each.
        joints: of each, the samples at which it was joined.

    Raises:
        ValueError: no joint at all, or joints so close that there is no elsewhere.
    """
    kernel = np.ones(2 * NEAR + 1) / (2 * NEAR + 1)
    smooth = [np.convolve(spectral_flux(wav), kernel, mode="same") for wav in waves]
    frames = [np.unique(np.round(np.asarray(at, dtype=np.float64) / HOP).astype(int)) for at in joints]
    count = sum(len(at) for at in frames)
    if not count:
        raise ValueError("no joints are given: give the samples at which the sounds were joined")
    gap = min([int(np.diff(at).min()) for at in frames if len(at) > 1] or [len(smooth[0])])
    if gap < 8 * (NEAR + 1):
        raise ValueError(f"joints {gap * HOP} samples apart: there is no elsewhere to compare with")
    moves = [m for m in range(-(gap // 2), gap // 2) if abs(m) > 2 * NEAR + N_FFT // HOP]

    def at(move: int) -> float:
        """Mean flux at the joints moved so far; nan where none is left."""
        found = [
            s[(at + move)[(at + move >= 0) & (at + move < len(s))]]
            for s, at in zip(smooth, frames, strict=True)
        ]
        values = np.concatenate(found)
        return float(values.mean()) if values.size else float("nan")

    here, elsewhere = at(0), np.array([at(move) for move in moves])
    elsewhere = elsewhere[~np.isnan(elsewhere)]
    low, high = np.quantile(elsewhere, (0.025, 0.975))
    return Seams(here, float(low), float(high), float((elsewhere < here).mean()), count)
