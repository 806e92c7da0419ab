"""Distance of a resynthesised waveform to the original, independent of phase and level."""

from __future__ import annotations

import librosa
import numpy as np
from numpy.typing import NDArray

from .beats import onset_f_measure

PRECISE = 0.025
"""Tolerance (s) of the onsets: half of what is usual, about one mel frame."""
_FINE_HOP = 128  # samples between frames of the onset detector: 6 ms at 22 050 Hz, far below the tolerance


def spectral_convergence(original: NDArray[np.floating], again: NDArray[np.floating]) -> float:
    """‖|S| − g |S'|‖ / ‖|S|‖ of the magnitude spectrograms (n_fft 1024, hop 256) of sounds (N,) at the best gain g.

    0: the same magnitudes; 1: nothing in common. A silent original gives 0 for silence and 1 for anything else.
    """
    reference, other = (np.abs(librosa.stft(x, n_fft=1024, hop_length=256)) for x in (original, again))
    norm = float(np.linalg.norm(reference))
    if norm == 0:
        return float(np.any(other))
    gain = (reference * other).sum() / max(float((other**2).sum()), 1e-12)
    return float(np.linalg.norm(reference - gain * other) / norm)


def fine_onsets(wav: NDArray[np.floating], sample_rate: int) -> NDArray[np.float64]:
    """Onset times (s) of a sound (N,), finer than the tolerances they are compared with."""
    return librosa.onset.onset_detect(y=wav, sr=sample_rate, hop_length=_FINE_HOP, units="time")


def onset_f(
    original: NDArray[np.floating],
    again: NDArray[np.floating],
    sample_rate: int,
    window: float = PRECISE,
) -> float:
    """F-measure of the original's onsets found again within ±window seconds; NaN where it has none."""
    return onset_f_measure(fine_onsets(original, sample_rate), fine_onsets(again, sample_rate), window)
