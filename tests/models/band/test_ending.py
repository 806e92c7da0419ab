"""Endings: where the last hit is and what sounds with it."""

from __future__ import annotations

import numpy as np

from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, Note, Score
from pn_diffusion_plugin.models.band.ending import ending, last_hit
from pn_diffusion_plugin.models.band.render import render

BEATS = tuple(float(beat) for beat in np.arange(0.2, 10, 0.4))


def piece(first_of_bar: int = 0, seconds: float = 10.0, beats: tuple[float, ...] = BEATS) -> Score:
    """A kick on each beat, louder ones on one of four, and held chords."""
    notes = []
    for number, beat in enumerate(BEATS):
        velocity = 1.2 if number % 4 == first_of_bar else 0.6
        notes.append(Note(beat, 0.0, DRUM_KEYS["kick"], velocity, "kick"))
        notes.append(Note(beat, 0.38, 65, 0.5, "chord"))
        notes.append(Note(beat + 0.2, 3.0, 40, 0.5, "bass"))
    return Score(tuple(notes), seconds, 2, "minor", "pop", beats)


def test_the_piece_ends_with_a_hit_that_rings_out() -> None:
    score = ending(piece())
    hit = max(note.onset for note in score.notes)
    assert 1.0 <= 10.0 - hit <= 2.0 and hit in BEATS
    assert all(note.onset + note.duration <= hit for note in score.notes if note.onset < hit)
    last = {
        (note.voice, note.pitch % 12 if note.tuned else note.pitch): note
        for note in score.notes
        if note.onset == hit
    }
    assert set(last) == {
        ("kick", DRUM_KEYS["kick"]), ("extra", DRUM_KEYS["crash"]), ("bass", 2),
        ("chord", 2), ("chord", 5), ("chord", 9),
    }  # fmt: skip
    assert all(note.onset + note.duration == 10.0 for note in last.values() if note.tuned)
    assert last["chord", 2].velocity == 0.5


def test_of_two_beats_the_one_that_begins_a_bar_is_taken() -> None:
    fitting = [number for number, beat in enumerate(BEATS) if 1.0 <= 10.0 - beat <= 2.0]
    for number in fitting:
        assert last_hit(piece(first_of_bar=number % 4)) == BEATS[number]


def test_drums_alone_end_with_drums() -> None:
    score = piece()
    drums = Score(tuple(n for n in score.notes if not n.tuned), 10.0, 2, "minor", "pop", BEATS)
    assert not any(note.tuned for note in ending(drums).notes)


def test_pieces_without_a_place_for_an_ending_stay_as_they_are() -> None:
    empty = Score((), 10.0, 0, "major", "pop", BEATS)
    for score in (piece(seconds=3.9), piece(beats=()), piece(beats=(0.2, 0.6, 1.0)), empty):
        assert ending(score) is score


def test_the_ending_decays() -> None:
    mix = np.asarray(sum(render(ending(piece()), 0).values()))
    hit = last_hit(piece())
    assert hit is not None
    level = [
        float(np.sqrt(np.mean(mix[:, round(t * 44100) :][:, :4410] ** 2))) for t in (hit, hit + 0.5, 9.9)
    ]
    assert level[0] > level[1] > level[2]
