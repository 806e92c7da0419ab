"""From the image that the network generated to the score of a piece: pulse, key, style and voicing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...data.corpora.synthetic.genres import GENRES, genre_for
from ...data.score.image import decode_notes
from ...data.score.keys import in_scale, parse_key
from ...data.score.notes import Note, Score
from ...data.score.pulse import find_pulse, on_pulse
from .voicing import arrange

_TOGETHER = 0.02  # s: notes of one voice and pitch within this are one note
_TEMPOS = (75.0, 179.0)  # of the genres, beats per minute


def compose(
    image: NDArray[np.floating],
    frame: float,
    seconds: float,
    *,
    seed: int,
    style: str,
    key: str,
    pulse: float,
) -> Score:
    """The score of an image.

    Args:
        image: (ROWS, L) in [-1, 1].
        frame: seconds of a column.
        seconds: length of the piece; what begins later is left out.
        seed: of the key, and of the style, where they are `any`.
        style: one of `GENRES`; `any`: one that is played at the tempo of the notes.
        key: see `parse_key`.
        pulse: 0 to 1, how far notes move to the pulse of the whole piece; see `on_pulse`.

    Raises:
        UserError: there is no such key.
    """
    rng = np.random.default_rng([seed, 2])
    tonic, scales = parse_key(key)
    drawn, draw = int(rng.integers(12)), float(rng.random())
    tonic = drawn if tonic is None else tonic
    notes = [note for note in decode_notes(image, frame, tonic) if note.onset < seconds]
    found = find_pulse(notes)
    if found is not None:
        notes = _distinct(on_pulse(notes, found, pulse))
    notes, scale = in_scale(notes, tonic, scales)
    if style not in GENRES:
        style = genre_for(_within_tempos(120.0 if found is None else found.bpm), draw)
    beats = () if found is None else found.beats(seconds)
    return arrange(Score(tuple(notes), seconds, tonic, scale, style, beats))


def _distinct(notes: list[Note]) -> list[Note]:
    """Notes in order, of several at one time with one voice and pitch only the loudest."""
    kept: dict[tuple[str, int], list[Note]] = {}
    for note in sorted(notes, key=lambda note: note.onset):
        line = kept.setdefault((note.voice, note.pitch), [])
        if line and note.onset - line[-1].onset < _TOGETHER:
            line[-1] = max(line[-1], note, key=lambda n: n.velocity)
        else:
            line.append(note)
    return sorted((note for line in kept.values() for note in line), key=lambda note: note.onset)


def _within_tempos(bpm: float) -> float:
    """The tempo, doubled or halved into the genres' range."""
    while bpm < _TEMPOS[0]:
        bpm *= 2
    while bpm > _TEMPOS[1]:
        bpm /= 2
    return bpm
