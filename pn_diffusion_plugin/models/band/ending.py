"""An ending instead of a cut: the piece ends with a hit on one of its last beats, which rings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...data.corpora.synthetic.harmony import SCALES
from ...data.score.notes import DRUM_KEYS, Note, Score
from .voicing import BASS, voice_chord

RINGING = (1.0, 2.0)
"""Shortest and longest time (s) from the last hit to the end."""

_SHORTEST = 4.0  # s, of a piece with an ending
_BEFORE = 0.03  # s: notes that begin at most so long before the last hit give way to it
_BAR = 4  # beats


def ending(score: Score) -> Score:
    """The score with its last hit on a beat that leaves 1 to 2 s for ringing out: kick, crash, bass and tonic chord.

    Of several such beats the last one that begins a bar is taken, where bars begin being the beats with the strongest
    kicks; otherwise the last one. Nothing follows it. The score is returned as it is where it has no notes, no such
    beat, or lasts less than 4 s: the renderer fades its last 0.25 s.
    """
    hit = last_hit(score)
    if hit is None or not score.notes:
        return score
    notes = [
        replace(note, duration=min(note.duration, hit - note.onset))
        for note in score.notes
        if note.onset < hit - _BEFORE
    ]
    drums = [note for note in score.notes if not note.tuned]
    if drums:
        notes.append(Note(hit, 0.0, DRUM_KEYS["kick"], 1.0, "kick"))
        notes.append(Note(hit, 0.0, DRUM_KEYS["crash"], 1.5, "extra"))
    if len(drums) < len(score.notes):
        rest = score.seconds - hit
        bass = BASS[0] + (score.tonic - BASS[0]) % 12
        notes.append(Note(hit, rest, bass, _usual_velocity(score, "bass"), "bass"))
        scale = SCALES[score.scale]
        triad = [score.tonic + scale[step] for step in (0, 2, 4)]
        for pitch in voice_chord(triad):
            notes.append(Note(hit, rest, pitch, _usual_velocity(score, "chord"), "chord"))
    return replace(
        score, notes=tuple(notes), beats=tuple(beat for beat in score.beats if beat <= hit + _BEFORE)
    )


def last_hit(score: Score) -> float | None:
    """Time (s) of the beat on which a piece can end; None: there is none."""
    if score.seconds < _SHORTEST:
        return None
    left = [score.seconds - beat for beat in score.beats]
    fitting = [place for place, rest in enumerate(left) if RINGING[0] <= rest <= RINGING[1]]
    if not fitting:
        return None
    first = first_of_bar(score.notes, score.beats)
    opening = [place for place in fitting if first is not None and place % _BAR == first]
    return score.beats[(opening or fitting)[-1]]


def first_of_bar(notes: Sequence[Note], beats: Sequence[float]) -> int | None:
    """Which of the first four beats begins a bar: that whose kicks are the strongest; None: no kick is on a beat."""
    if not beats:
        return None
    weights = np.zeros(_BAR)
    times = np.asarray(beats)
    for note in notes:
        if not note.tuned and note.pitch == DRUM_KEYS["kick"]:
            place = int(np.abs(times - note.onset).argmin())
            if abs(times[place] - note.onset) < 0.06:
                weights[place % _BAR] += note.velocity**2
    return int(weights.argmax()) if weights.any() else None


def _usual_velocity(score: Score, voice: str) -> float:
    """Median velocity of a voice; 0.8 if it is silent."""
    return float(np.median([note.velocity for note in score.notes if note.voice == voice] or [0.8]))
