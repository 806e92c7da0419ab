"""Agreement of scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from note_agreement import note_agreement

from pn_diffusion_plugin.data.score.notes import Note

NOTES = [Note(0.5 * i, 0.2, 36 + i % 3, 0.5, "bass") for i in range(20)]


def test_equal_scores_agree() -> None:
    same = note_agreement(NOTES, NOTES[::-1])
    assert (same.f_15ms, same.onset_error, same.velocity_error) == (1.0, 0.0, 0.0)
    assert note_agreement([], []).f_15ms == 1.0


@pytest.mark.parametrize(("shift", "f"), [(0.01, 1.0), (0.02, 0.0), (0.1, 0.0)])
def test_shifted_notes(shift: float, f: float) -> None:
    found = note_agreement(NOTES, [replace(n, onset=n.onset + shift, velocity=0.6) for n in NOTES])
    assert found.f_15ms == f
    if shift < 0.06:
        assert found.onset_error == pytest.approx(shift) and found.velocity_error == pytest.approx(0.2)
    else:
        assert np.isnan(found.onset_error)


def test_missing_and_other_notes_count() -> None:
    assert note_agreement(NOTES, NOTES[:10]).f_15ms == pytest.approx(2 / 3)
    assert note_agreement(NOTES, [replace(n, voice="lead") for n in NOTES]).f_15ms == 0
    assert note_agreement(NOTES, [*NOTES, *NOTES]).f_15ms == pytest.approx(2 / 3)
