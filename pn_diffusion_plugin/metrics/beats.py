"""Musical events of a sound (onsets, beats, tempo) and how well two lists of them agree.

What this literature calls a "beat" is an onset in a bin of one second. With G the bins of the reference
music that hold an onset and S those of the generated music:

    loris:  BCS = Σ(G∧S) / ΣS    BHS = Σ(G∧S) / ΣG          d2m:  BCS = ΣS / ΣG    BHS = Σ(G∧S) / ΣG

A click every 0.5 s fills every bin, so these scores say little; they are for comparison with papers only
(LORIS, arXiv 2305.01319; D2M-GAN, arXiv 2204.00604). The strict scores match events one to one inside ±70 ms
(beats) and ±50 ms (onsets), through mir_eval.

All times are seconds. Functions of event times are independent of the detector; `music_events` runs the detectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mir_eval
import numpy as np
from numpy.typing import NDArray

from ..utils.sound import to_mono

Times = NDArray[np.float64]

SAMPLE_RATE = 22050
"""Rate (Hz) at which every detector runs; the published bins are defined there."""
ONSET_HOP = 512
BEAT_HOP = 256
BEAT_WINDOW = 0.07
ONSET_WINDOW = 0.05

_LORIS_PICKING = {"pre_avg": 3, "post_avg": 3, "pre_max": 3, "post_max": 3, "wait": 1, "delta": 0.2}
_D2M_PICKING = {"pre_avg": 1, "post_avg": 1, "post_max": 1, "wait": 1, "delta": 0.2}

_BEAT_LATENCY = 0.0165
"""librosa's tracker reports a click this many seconds late at a hop of 256 (click trains, 60 to 180 BPM)."""

_OCTAVES = (0.5, 1.0, 2.0)
_OCTAVE_TOLERANCE = 0.04


# --- functions on event times ---


def as_times(events: object, seconds: float | None = None) -> Times:
    """Sorted float64 event times; those outside [0, seconds) are left out. Not finite → ValueError."""
    times = np.sort(np.asarray(events, dtype=np.float64).reshape(-1))
    if not np.isfinite(times).all():
        raise ValueError(f"event times must be finite seconds, not {times[~np.isfinite(times)][0]}")
    if seconds is not None:
        times = times[(times >= 0) & (times < seconds)]
    return times


def event_bins(events: object, seconds: float) -> NDArray[np.bool_]:
    """Which bins of one second hold an event: bin = floor(time), ceil(seconds) bins. Shape (bins,).

    >>> event_bins([0.5, 2.1, 2.9], seconds=3.5)
    array([ True, False,  True, False])
    """
    bins = np.zeros(max(0, math.ceil(seconds)), dtype=bool)
    bins[as_times(events, seconds).astype(int)] = True
    return bins


def _ratio(numerator: float | np.integer, denominator: float | np.integer) -> float:
    return float(numerator / denominator) if denominator else 0.0


def loris_scores(reference: NDArray[np.bool_], generated: NDArray[np.bool_]) -> tuple[float, float]:
    """(BCS, BHS) of the `loris` family from two arrays of bins (bins,); an empty denominator gives 0.

    >>> always_late, click = event_bins([0.95, 1.95], 2), event_bins([0.5, 1.0, 1.5], 2)
    >>> loris_scores(event_bins([0.5, 1.5], 2), always_late), loris_scores(event_bins([0.5, 1.5], 2), click)
    ((1.0, 1.0), (1.0, 1.0))
    """
    both = (reference & generated).sum()
    return _ratio(both, generated.sum()), _ratio(both, reference.sum())


def d2m_scores(reference: NDArray[np.bool_], generated: NDArray[np.bool_]) -> tuple[float, float]:
    """(BCS, BHS) of the `d2m` family from two arrays of bins (bins,); BCS can exceed 1.

    >>> d2m_scores(event_bins([0.5, 2.5], 5), event_bins([0.2, 1.2, 2.2, 3.2, 4.2], 5))  # twice and a half as many
    (2.5, 1.0)
    """
    both = (reference & generated).sum()
    total = reference.sum()
    return _ratio(generated.sum(), total), _ratio(both, total)


def beat_f_measure(reference: object, generated: object, window: float = BEAT_WINDOW) -> float:
    """F-measure of beats matched one to one within ±`window` seconds.

    nan when the reference has no beats (nothing can be said); 0 when only the generated music has none.
    The first five seconds count, unlike in `mir_eval.beat.evaluate`.

    >>> beat_f_measure([0.5, 1.0, 1.5, 2.0], [0.52, 1.5])  # both right, half of them there
    0.6666666666666666
    >>> beat_f_measure([0.5, 1.5], [0.95, 1.95])
    0.0
    """
    truth, found = as_times(reference), as_times(generated)
    if not truth.size:
        return math.nan
    return float(mir_eval.beat.f_measure(truth, found, window)) if found.size else 0.0


def onset_f_measure(reference: object, generated: object, window: float = ONSET_WINDOW) -> float:
    """F-measure of onsets matched one to one within ±`window` seconds; nan and 0 as in `beat_f_measure`."""
    truth, found = as_times(reference), as_times(generated)
    if not truth.size:
        return math.nan
    return float(mir_eval.onset.f_measure(truth, found, window)[0]) if found.size else 0.0


def tempo(beats: object) -> float:
    """Beats a minute: 60 / median distance of neighbours; 0 for fewer than two beats."""
    distances = np.diff(as_times(beats))
    distances = distances[distances > 0]
    return float(60 / np.median(distances)) if distances.size else 0.0


def tempo_error(reference: object, generated: object) -> tuple[float, float]:
    """Relative tempo error with octave errors set apart.

    Returns:
        error: |tempo / (k · reference tempo) − 1| for the k of 1/2, 1, 2 nearest on a logarithmic scale. No
            tempo at all counts as 0 BPM, so as an error of 1.
        octave: 1 when the tempo is half or double the reference's within 4 %, else 0.
        Both nan when the reference has no tempo.

    >>> tempo_error([0.0, 0.5, 1.0], [0.0, 0.25, 0.5])  # exactly double
    (0.0, 1.0)
    """
    truth, found = tempo(reference), tempo(generated)
    if truth == 0:
        return math.nan, math.nan
    if found == 0:
        return 1.0, 0.0
    factor = min(_OCTAVES, key=lambda k: abs(math.log(found / (k * truth))))
    error = abs(found / (factor * truth) - 1)
    return error, float(factor != 1 and error <= _OCTAVE_TOLERANCE)


def beat_variation(beats: object) -> float:
    """Coefficient of variation of the intervals between beats: 0 for a steady pulse; nan for fewer than three beats.

    >>> beat_variation([0.0, 0.5, 1.0, 1.5])
    0.0
    """
    intervals = np.diff(as_times(beats))
    return float(intervals.std() / intervals.mean()) if intervals.size > 1 else math.nan


# --- detectors ---


@dataclass(frozen=True)
class MusicEvents:
    """Detected events of one waveform of `seconds`; every array is (events,) in seconds.

    `loris` and `d2m`: onsets with the picking windows of the two families; `onsets`: librosa's default
    picking, for the strict onset score; `beats`: the beat tracker's (librosa's by default).
    """

    seconds: float
    loris: Times
    d2m: Times
    onsets: Times
    beats: Times

    def cut(self, seconds: float) -> MusicEvents:
        """The events of the first `seconds` of the sound."""
        lists = (as_times(events, seconds) for events in (self.loris, self.d2m, self.onsets, self.beats))
        return MusicEvents(min(seconds, self.seconds), *lists)


def as_mono(wav: object) -> NDArray[np.float32]:
    """(N,) float32 of a wav (N,) or (C, N), channels mixed by `to_mono`; not finite or of more axes → ValueError."""
    array = np.asarray(wav, dtype=np.float32)
    if array.ndim == 2:
        array = to_mono(array)
    if array.ndim != 1:
        raise ValueError(f"a sound must be (N,) or (C, N), not {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("the sound holds values that are not finite")
    return array


def resample(wav: NDArray[np.float32], sample_rate: int, new_rate: int) -> NDArray[np.float32]:
    """Resample (N,) to round(N · new_rate / sample_rate) samples."""
    if sample_rate == new_rate or not wav.size:
        return wav
    import librosa

    length = round(wav.size * new_rate / sample_rate)
    return librosa.util.fix_length(
        librosa.resample(wav, orig_sr=sample_rate, target_sr=new_rate), size=length
    )


def track_beats(wav: object, sample_rate: int) -> Times:
    """Beats of a sound (N,) by librosa's dynamic-programming tracker, its constant lateness taken off."""
    import librosa

    mono = resample(as_mono(wav), sample_rate, SAMPLE_RATE)
    if not np.any(mono):
        return np.zeros(0)
    # trim=False: trimming drops quiet first and last beats, which in a clip of seconds are a large share.
    _, beats = librosa.beat.beat_track(y=mono, sr=SAMPLE_RATE, hop_length=BEAT_HOP, trim=False, units="time")
    return np.maximum(as_times(beats) - _BEAT_LATENCY, 0.0)


def music_events(
    wav: object, sample_rate: int, tracker: Callable[[object, int], Times] | None = None
) -> MusicEvents:
    """Run every detector on one sound (N,); `tracker` finds the beats (None: `track_beats`)."""
    import librosa

    mono = resample(as_mono(wav), sample_rate, SAMPLE_RATE)
    seconds = mono.size / SAMPLE_RATE
    if not np.any(mono):  # librosa divides by the envelope's maximum
        nothing = np.zeros(0)
        return MusicEvents(seconds, nothing, nothing, nothing, nothing)
    envelope = librosa.onset.onset_strength(y=mono, sr=SAMPLE_RATE, hop_length=ONSET_HOP)

    def pick(**picking: Any) -> Times:
        onsets = librosa.onset.onset_detect(
            onset_envelope=envelope, sr=SAMPLE_RATE, hop_length=ONSET_HOP, units="time", **picking
        )
        return as_times(onsets, seconds)

    beats = as_times((tracker or track_beats)(mono, SAMPLE_RATE), seconds)
    return MusicEvents(seconds, pick(**_LORIS_PICKING), pick(**_D2M_PICKING), pick(), beats)
