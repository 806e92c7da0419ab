"""Keys by name, and notes moved into the scale of a key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...errors import UserError
from ..corpora.synthetic.harmony import SCALES
from .notes import Note

ANY = "any"
_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_MODES = {"major": ("major", "mixolydian"), "minor": ("minor", "dorian", "phrygian", "harmonic")}


def parse_key(key: str) -> tuple[int | None, tuple[str, ...]]:
    """Tonic (pitch class, 0: C) and possible scales of a key such as `A minor`, `F# major`, `Bb`, `dorian` or `any`.

    The tonic is None where the name has none.

    Raises:
        UserError: for anything else.

    >>> parse_key("Bb minor")
    (10, ('minor', 'dorian', 'phrygian', 'harmonic'))
    >>> parse_key("G")[0], parse_key("any")[0]
    (7, None)
    """
    found = re.fullmatch(r"(?:([A-Ga-g])([#♯b♭]?))?\s*([a-z]*)", key.strip())
    if key.strip() == ANY:
        return None, tuple(SCALES)
    name, sign, mode = found.groups() if found else (None, "", "-")
    scales = tuple(SCALES) if not mode else _MODES.get(mode) or ((mode,) if mode in SCALES else ())
    if not scales or not (name or mode):
        raise UserError(
            f"key is {key!r}: give a tonic and major or minor, e.g. 'A minor' or 'F# major', or one of "
            f"{', '.join(SCALES)}, or any"
        )
    if name is None:
        return None, scales
    return (_NAMES[name.upper()] + {"#": 1, "♯": 1, "b": -1, "♭": -1, "": 0}[sign]) % 12, scales


def in_scale(notes: Sequence[Note], tonic: int, scales: Sequence[str]) -> tuple[list[Note], str]:
    """Notes moved into the one of the scales that most of them are in already, and its name.

    Notes count by duration and velocity. Those outside move to the nearest pitch of the scale, down where two are
    equally near.

    Args:
        tonic: pitch class of the scales' first note.
        scales: names in `SCALES`.
    """
    weights = np.zeros(12)
    for note in notes:
        if note.tuned:
            weights[(note.pitch - tonic) % 12] += note.velocity * min(note.duration, 1.0)
    scale = max(scales, key=lambda name: weights[list(SCALES[name])].sum())
    steps = SCALES[scale]
    nearest = {
        step: min(
            range(-6, 7), key=lambda shift: (abs(shift), shift) if (step + shift) % 12 in steps else (99, 0)
        )
        for step in range(12)
    }
    moved = [
        replace(note, pitch=note.pitch + nearest[(note.pitch - tonic) % 12]) if note.tuned else note
        for note in notes
    ]
    return moved, scale
