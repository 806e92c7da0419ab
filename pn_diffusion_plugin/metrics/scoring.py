"""Per-clip scores of systems and null rows, before averaging."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .beats import (
    MusicEvents,
    as_mono,
    as_times,
    beat_f_measure,
    beat_variation,
    d2m_scores,
    event_bins,
    loris_scores,
    music_events,
    onset_f_measure,
    resample,
    tempo_error,
)
from .dance import dance_music_alignment
from .nulls import click_track, repeat_to, shuffle_clips, silence
from .trackers import Tracker

Audio = NDArray[np.float32]
Sounds = Mapping[str, Sequence[Audio]]  # row → a sound for each clip
Scores = dict[str, NDArray[np.float64]]

LENGTH_TOLERANCE = 0.001
"""A generated waveform may be this much (s) shorter than its reference (rounding of a resampler); it is padded."""

REFERENCE = "reference"
SHUFFLED = "shuffled"
BUILT_IN = (REFERENCE, SHUFFLED, "click", "silence")
"""Rows that are always scored, beside the systems."""


@dataclass
class EvaluationClip:
    """One dance with its reference music.

    Attributes:
        name: used in errors and file names.
        reference: reference music (N,) or (C, N), kept as (N,), which also sets the length.
        sample_rate: of the reference and of every system's sound for this clip, Hz.
        beats: annotated beats of the reference, seconds; None: tracked.
        kinematic_beats: beats of the dance, seconds; None: unknown, alignment is not computed.
        song: which piece of music; None: unknown, taken as different from all others.
    """

    name: str
    reference: NDArray[np.float32]
    sample_rate: int
    beats: NDArray[np.float64] | None = None
    kinematic_beats: NDArray[np.float64] | None = None
    song: str | None = None

    def __post_init__(self) -> None:
        self.reference = _mono(self.reference, f"the reference of {self.name}")


class EventCache:
    """`music_events` with a cache: each waveform is analysed once (clips of one length share a click row).

    Args:
        tracker: beat tracker; None: librosa's.
    """

    def __init__(self, tracker: Tracker | None = None) -> None:
        self._tracker = tracker
        self._events: dict[tuple[int, bytes], MusicEvents] = {}

    def __call__(self, wav: Audio, sample_rate: int) -> MusicEvents:
        key = (sample_rate, hashlib.sha1(wav.tobytes()).digest())
        if key not in self._events:
            self._events[key] = music_events(wav, sample_rate, self._tracker)
        return self._events[key]


def _mono(wav: object, source: str) -> Audio:
    try:
        return as_mono(wav)
    except ValueError as error:
        raise UserError(f"{source} cannot be scored: {error}; generate or decode it again") from error


def fit_length(wav: object, clip: EvaluationClip, source: str) -> Audio:
    """Mono sound (N,) as long as the reference: a longer one is cut, a shorter is a UserError on `source`."""
    mono = _mono(wav, source)
    missing = clip.reference.size - mono.size
    if missing > math.ceil(LENGTH_TOLERANCE * clip.sample_rate):
        raise UserError(
            f"{source} lasts {mono.size / clip.sample_rate:.3f} s, less than its reference of "
            f"{clip.reference.size / clip.sample_rate:.3f} s: generate music for the whole clip"
        )
    return np.pad(mono, (0, missing)) if missing > 0 else mono[: clip.reference.size]


def clip_scores(
    reference: MusicEvents, reference_beats: object, generated: MusicEvents, kinematic_beats: object | None
) -> dict[str, float]:
    """Every score of one sound against one clip; nan where a score is not defined.

    Args:
        reference: events of the reference music, `generated`: of the sound to score.
        reference_beats: beats to be hit (annotated or tracked), seconds.
        kinematic_beats: beats of the dance, seconds, or None.
    """
    seconds = reference.seconds
    error, octave = tempo_error(reference_beats, generated.beats)
    loris = loris_scores(event_bins(reference.loris, seconds), event_bins(generated.loris, seconds))
    d2m = d2m_scores(event_bins(reference.d2m, seconds), event_bins(generated.d2m, seconds))
    alignment = (math.nan, math.nan)
    if kinematic_beats is not None:
        alignment = dance_music_alignment(kinematic_beats, generated.beats)
    return {
        "beat_f70": beat_f_measure(reference_beats, generated.beats),
        "onset_f50": onset_f_measure(reference.onsets, generated.onsets),
        "tempo_error": error,
        "tempo_octave": octave,
        "bas_dance_to_music": alignment[0],
        "bas_music_to_dance": alignment[1],
        "beat_variation": beat_variation(generated.beats),
        "loris_bcs": loris[0],
        "loris_bhs": loris[1],
        "d2m_bcs": d2m[0],
        "d2m_bhs": d2m[1],
    }


def row_sounds(
    clips: Sequence[EvaluationClip], systems: Mapping[str, Mapping[str, Audio]], *, seed: int = 0
) -> dict[str, list[Audio]]:
    """Waveforms of each row: the systems, then `reference`, `shuffled`, `click` and `silence`.

    Args and errors as in `score_systems`.
    Returns:
        row name → sounds (N,) in the order of `clips`, each at its clip's rate and as long as its reference.
    """
    _check(clips, systems)
    references = {clip.name: clip.reference for clip in clips}
    sounds: dict[str, list[Audio]] = {
        system: [fit_length(wavs[clip.name], clip, f"{system}: {clip.name}") for clip in clips]
        for system, wavs in systems.items()
    }
    sounds[REFERENCE] = [references[clip.name] for clip in clips]
    if len(clips) > 1:
        others = shuffle_clips([clip.song for clip in clips], seed)
        sounds[SHUFFLED] = [
            _borrowed(references, clips[j], clip) for clip, j in zip(clips, others, strict=True)
        ]
    sounds["click"] = [click_track(clip.reference.size, clip.sample_rate) for clip in clips]
    sounds["silence"] = [silence(clip.reference.size) for clip in clips]
    return sounds


def score_sounds(
    clips: Sequence[EvaluationClip], sounds: Mapping[str, Sequence[Audio]], events: EventCache | None = None
) -> dict[str, Scores]:
    """Per-clip scores of the rows of `row_sounds`: row name → score name → (clips,)."""
    events = events or EventCache()
    result: dict[str, Scores] = {}
    for system, wavs in sounds.items():
        rows = []
        for clip, wav in zip(clips, wavs, strict=True):
            reference = events(clip.reference, clip.sample_rate)
            beats = reference.beats if clip.beats is None else as_times(clip.beats, reference.seconds)
            rows.append(clip_scores(reference, beats, events(wav, clip.sample_rate), clip.kinematic_beats))
        result[system] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return result


def score_systems(
    clips: Sequence[EvaluationClip],
    systems: Mapping[str, Mapping[str, Audio]],
    *,
    seed: int = 0,
    tracker: Tracker | None = None,
) -> dict[str, Scores]:
    """Per-clip scores of the systems, then of the rows `reference`, `shuffled`, `click` and `silence`.

    Args:
        clips: what to score on; names must differ.
        systems: system name → clip name → sound (N,) at the clip's rate.
        seed: which shuffle.
        tracker: finds the beats of every row; None: librosa's.
    Returns:
        row name → score name → (clips,) in the order of `clips`. `shuffled` is left out when there is only
        one clip.
    Raises:
        UserError: no clips, a clip without sound, a sound that is missing or too short, a name used twice or
            reserved.
    """
    return score_sounds(clips, row_sounds(clips, systems, seed=seed), EventCache(tracker))


def _borrowed(references: Mapping[str, Audio], source: EvaluationClip, clip: EvaluationClip) -> Audio:
    """Reference music of `source` at the rate and length of `clip`."""
    return repeat_to(
        resample(references[source.name], source.sample_rate, clip.sample_rate), clip.reference.size
    )


def _check(clips: Sequence[EvaluationClip], systems: Mapping[str, Mapping[str, Audio]]) -> None:
    if not clips:
        raise UserError("there is no clip to evaluate: give at least one reference with its generated music")
    names = [clip.name for clip in clips]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two clips are called {name}: give every clip its own name")
    for clip in clips:
        if not np.size(clip.reference):
            raise UserError(f"the reference of {clip.name} holds no sound: give audio of at least one sample")
    for system, wavs in systems.items():
        if system in BUILT_IN:
            raise UserError(
                f"a system cannot be called {system}, the name of a built-in row: give it another name"
            )
        for name in names:
            if name not in wavs:
                raise UserError(
                    f"{system} has no music for the clip {name}: generate it or leave the clip out"
                )
