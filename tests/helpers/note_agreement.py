"""Agreement of two scores, note by note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pn_diffusion_plugin.data.score.notes import Note

_NEAR = 0.06  # seconds, within which two notes of a pitch can be the same one


@dataclass(frozen=True)
class NoteAgreement:
    """How well the notes of a score are found again.

    Attributes:
        f_15ms: F-measure of notes of the same voice and pitch with onsets within 15 ms.
        onset_error: median difference of the onsets of matched notes (s); NaN without one.
        velocity_error: median relative difference of their velocities; NaN without one.
    """

    f_15ms: float
    onset_error: float
    velocity_error: float


def note_agreement(reference: Sequence[Note], found: Sequence[Note]) -> NoteAgreement:
    """Match notes of equal voice and pitch one to one, nearest onsets together, at most 60 ms apart."""
    groups: dict[tuple[str, int], tuple[list[Note], list[Note]]] = {}
    for place, notes in enumerate((reference, found)):
        for note in notes:
            groups.setdefault((note.voice, note.pitch), ([], []))[place].append(note)
    errors: list[float] = []
    velocities: list[float] = []
    for ones, others in groups.values():
        if not (ones and others):
            continue
        distance = np.abs(np.subtract.outer([n.onset for n in ones], [n.onset for n in others]))
        for i, j in zip(*linear_sum_assignment(np.minimum(distance, _NEAR)), strict=True):
            if distance[i, j] < _NEAR:
                errors.append(float(distance[i, j]))
                velocities.append(abs(others[j].velocity / ones[i].velocity - 1))
    total = len(reference) + len(found)
    return NoteAgreement(
        f_15ms=2 * sum(error <= 0.015 for error in errors) / total if total else 1.0,
        onset_error=float(np.median(errors)) if errors else float("nan"),
        velocity_error=float(np.median(velocities)) if errors else float("nan"),
    )
