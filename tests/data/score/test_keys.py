"""Keys by name, and notes in a scale."""

from __future__ import annotations

import pytest

from pn_diffusion_plugin.data.corpora.synthetic.harmony import SCALES
from pn_diffusion_plugin.data.score.keys import in_scale, parse_key
from pn_diffusion_plugin.data.score.notes import Note
from pn_diffusion_plugin.errors import UserError


@pytest.mark.parametrize(
    ("name", "tonic", "scale"),
    [("C", 0, "major"), ("a minor", 9, "minor"), ("F# major", 6, "major"), ("Bbminor", 10, "minor"),
     ("Cb", 11, "dorian"), ("E♭ dorian", 3, "dorian"), ("minor", None, "phrygian"), ("any", None, "mixolydian")],
)  # fmt: skip
def test_names(name: str, tonic: int | None, scale: str) -> None:
    found, scales = parse_key(name)
    assert found == tonic and scale in scales


@pytest.mark.parametrize("name", ["", "H", "A moll", "C##", "major minor", "7"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="A minor"):
        parse_key(name)


def test_notes_move_into_the_scale_they_fit_best() -> None:
    tonic = 2
    steps = [0, 3, 7, 10, 5, 6, 11]  # minor, but for the last two
    notes = [
        Note(i, 0.5, 50 + step, 1.0 if step not in (6, 11) else 0.2, "lead") for i, step in enumerate(steps)
    ]
    notes.append(Note(9, 0.0, 37, 1.0, "snare"))
    moved, scale = in_scale(notes, tonic, ("major", "minor"))
    assert scale == "minor"
    classes = {(note.pitch - tonic) % 12 for note in moved if note.tuned}
    assert classes <= set(SCALES["minor"])
    assert [n.pitch for n in moved[:5]] == [n.pitch for n in notes[:5]]
    assert all(abs(a.pitch - b.pitch) == 1 for a, b in zip(moved[5:7], notes[5:7], strict=True))
    assert moved[-1].pitch == 37  # a drum
