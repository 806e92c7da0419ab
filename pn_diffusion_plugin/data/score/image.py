"""A score as an image, which the autoencoder and the U-Net treat like a mel spectrogram.

A row is a drum, or a pitch relative to the key: `ROWS`. A column is a frame of `frame` seconds, column k at k · frame.
The value of a note of velocity v, u = √(v / LOUDEST), with its onset at t₀ and its end at t₁, at time t:

    u · max(exp(-(t - t₀)² / 2 frame²), SUSTAIN · [t₀ < t < t₁])

Notes of one row are combined by their maximum, and [0, 1] is mapped to [-1, 1]. The logarithm of a Gaussian is a
parabola, so that three values around a maximum give its time and its height, exactly: `SUSTAIN` is lower than any of
the three.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .notes import DRUM_KEYS, LOUDEST, Note, Score

SUSTAIN = 0.25
"""Value of a held note, as a share of the value at its onset."""
QUIETEST = 0.18
"""Lowest value of an onset; lower maxima are no notes. The corpora's quietest notes have 0.3."""

_DRUMS = ("kick", "tom_low", "tom_high", "conga", "snare", "clap", "rim", "cowbell", "hat", "open", "ride", "crash",
          "shaker", "tambourine")  # fmt: skip
_TRACKS = {"kick": "kick", "tom_low": "kick", "tom_high": "kick", "snare": "snare", "clap": "snare", "rim": "snare",
           "hat": "hat", "open": "hat"}  # fmt: skip
_DRUM_ROWS = {DRUM_KEYS[name]: row for row, name in enumerate(_DRUMS)}
# voice → first row, number of rows, lowest semitone above the tonic of the voice's register, register above the bass's
_TUNED = {"bass": (16, 16, 0, 0), "chord": (32, 12, 0, 24), "lead": (48, 16, -4, 36)}
GROUP = 16
"""Rows of a group: drums, bass, chords (pitch classes), lead. The last rows of two groups are empty."""
ROWS = 4 * GROUP
USED = (*range(len(_DRUMS)), *(first + i for first, count, *_ in _TUNED.values() for i in range(count)))
"""Rows that notes can be in."""
_LOWEST = 31  # MIDI number: the tonic of the bass's register is the first one from here on
_REACH = 4  # frames around an onset that its Gaussian is drawn in
_RISE = 1.4  # an onset within a held note is this much higher than the lowest of the frames before it


def tonic_of(pitch_class: int) -> int:
    """MIDI number of the bass's tonic, 31 to 42, in a key of tonic `pitch_class` (0: C)."""
    return _LOWEST + (pitch_class - _LOWEST) % 12


def row_of(note: Note, tonic: int) -> int:
    """Row of a note in the key of `tonic` (pitch class); pitches outside the rows are moved by octaves into them.

    Raises:
        KeyError: a drum that has no row.
    """
    if not note.tuned:
        return _DRUM_ROWS[note.pitch]
    first, count, lowest, register = _TUNED[note.voice]
    step = note.pitch - tonic_of(tonic) - register - lowest
    if step < 0:
        step %= 12
    if step >= count:
        step = count - 12 + (step - count) % 12
    return first + step


def note_of(row: int, tonic: int) -> tuple[int, str]:
    """(pitch, voice) of the notes of a row in the key of `tonic` (pitch class); the row is one of `USED`."""
    if row < len(_DRUMS):
        name = _DRUMS[row]
        return DRUM_KEYS[name], _TRACKS.get(name, "extra")
    voice = next(voice for voice, (first, count, *_) in _TUNED.items() if first <= row < first + count)
    first, _, lowest, register = _TUNED[voice]
    return tonic_of(tonic) + register + lowest + row - first, voice


def encode_score(score: Score, frames: int, frame: float) -> NDArray[np.float32]:
    """The image (ROWS, frames), in [-1, 1], of a score from its beginning on.

    Args:
        frames: number of columns.
        frame: seconds of a column.
    """
    image = np.zeros((ROWS, frames), np.float32)
    for note in score.notes:
        row, onset = image[row_of(note, score.tonic)], note.onset / frame
        value = min(note.velocity / LOUDEST, 1.0) ** 0.5
        first, last = max(0, round(onset) - _REACH), min(frames, round(onset) + _REACH + 1)
        if note.tuned:
            held = slice(
                max(0, int(np.floor(onset)) + 1), max(0, int(np.ceil((note.onset + note.duration) / frame)))
            )
            row[held] = np.maximum(row[held], SUSTAIN * value)
        if first < last:
            bump = value * np.exp(-0.5 * (np.arange(first, last) - onset) ** 2)
            row[first:last] = np.maximum(row[first:last], bump)
    return 2 * image - 1


def decode_notes(image: NDArray[np.floating], frame: float, tonic: int) -> list[Note]:
    """The notes of an image (ROWS, L) in the key of `tonic` (pitch class), ordered by onset.

    Args:
        image: as of `encode_score`; values of a network may lie beside its formula.
        frame: seconds of a column.
    """
    values = np.clip((np.asarray(image, np.float64) + 1) / 2, 0, 1)
    notes: list[Note] = []
    for number in USED:
        row, (pitch, voice) = values[number], note_of(number, tonic)
        onsets = _onsets(row)
        starts = [at for at, _ in onsets] + [float(len(row))]
        for (at, value), following in zip(onsets, starts[1:], strict=True):
            duration = 0.0
            if voice in _TUNED:
                duration = (_end(row, at, value, following) - at) * frame
            notes.append(Note(at * frame, duration, pitch, LOUDEST * value**2, voice))
    return sorted(notes, key=lambda note: (note.onset, note.pitch))


def _onsets(row: NDArray[np.float64]) -> list[tuple[float, float]]:
    """(frame, value) of the onsets of a row (L,): interpolated maxima that rise above what precedes them."""
    padded = np.pad(row, 1)
    peaks = np.flatnonzero((row > padded[:-2]) & (row >= padded[2:]) & (row >= QUIETEST))
    found: list[tuple[float, float]] = []
    for k in peaks:
        if k and row[k] < _RISE * row[max(0, k - 3) : k].min():
            continue
        low, mid, high = np.log(np.maximum(padded[k : k + 3], 1e-3))
        bend = 2 * mid - low - high
        shift = (
            float(np.clip((high - low) / (2 * bend), -0.6, 0.6)) if 0 < k < len(row) - 1 and bend > 0 else 0.0
        )
        height = float(min(np.exp(mid + 0.5 * bend * shift**2), 1.0)) if shift else float(row[k])
        if found and k + shift - found[-1][0] < 2:  # one onset with two maxima
            if height > found[-1][1]:
                found[-1] = (float(k + shift), height)
            continue
        found.append((float(k + shift), height))
    return found


def _end(row: NDArray[np.float64], at: float, value: float, following: float) -> float:
    """Frame at which a note ends: where its value falls below half the sustain, or at the next onset."""
    first = round(at) + 2
    quiet = np.flatnonzero(row[first : int(following)] < 0.5 * SUSTAIN * value)
    return min(first + float(quiet[0]) if quiet.size else following, following)
