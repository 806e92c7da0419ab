"""Voice leading: registers, pitch classes and movement of arranged scores."""

from __future__ import annotations

import numpy as np

from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, Note, Score
from pn_diffusion_plugin.models.band.voicing import BASS, CHORDS, LEAD, arrange, fold, voice_chord

PROGRESSION = ((0, 4, 7), (9, 0, 4), (5, 9, 0), (7, 11, 2, 5))


def test_chords_keep_their_pitch_classes_and_stay_in_the_register() -> None:
    rng = np.random.default_rng(0)
    previous: tuple[int, ...] = ()
    for _ in range(200):
        classes = {int(pitch) for pitch in rng.choice(12, int(rng.integers(1, 6)), replace=False)}
        chord = previous = voice_chord(classes, previous)
        assert {pitch % 12 for pitch in chord} == classes and len(chord) == len(classes)
        assert CHORDS[0] <= min(chord) and max(chord) <= CHORDS[1]


def test_common_notes_stay_and_others_move_little() -> None:
    chords: list[tuple[int, ...]] = [voice_chord(PROGRESSION[0])]
    for classes in PROGRESSION[1:]:
        chords.append(voice_chord(classes, chords[-1]))
    for old, new in zip(chords, chords[1:], strict=False):
        assert max(min(abs(pitch - other) for other in old) for pitch in new) <= 3
    assert voice_chord(PROGRESSION[0], chords[0]) == chords[0]


def test_a_line_in_the_register_stays_and_one_outside_keeps_its_contour() -> None:
    assert fold([31, 50, 40], BASS) == [31, 50, 40]
    line = [40, 43, 47, 52, 45]
    moved = fold(line, LEAD)
    assert np.array_equal(np.diff(moved), np.diff(line))
    assert all(LEAD[0] <= pitch <= LEAD[1] for pitch in fold(list(range(128)), LEAD))
    assert fold([], BASS) == []


def test_arranged_scores_differ_in_octaves_only() -> None:
    notes = [Note(0.5, 0.0, DRUM_KEYS["kick"], 1.0, "kick"), Note(0.5, 0.4, 20, 0.9, "bass")]
    notes += [
        Note(0.5 + 0.01 * i, 0.5, 36 + pitch, 0.5 + 0.1 * i, "chord") for i, pitch in enumerate((0, 4, 7))
    ]
    notes += [Note(0.5, 1.0, 84, 0.3, "chord"), Note(1.0, 0.2, 100, 0.7, "lead")]
    score = Score(tuple(notes), 2.0, 0, "major", "pop", (0.5, 1.0))
    arranged = arrange(score)
    assert arranged.seconds == 2.0 and arranged.beats == score.beats
    found = {(note.voice, round(note.onset, 3), note.pitch) for note in arranged.notes}
    assert found == {
        ("kick", 0.5, 36), ("bass", 0.5, 32), ("lead", 1.0, 76),
        ("chord", 0.5, 60), ("chord", 0.51, 64), ("chord", 0.52, 67),
    }  # fmt: skip
    # the doubled note has the longer duration and the higher velocity of both
    (doubled,) = (note for note in arranged.notes if note.pitch == 60)
    assert (doubled.duration, doubled.velocity) == (1.0, 0.5)


def test_repeated_chords_do_not_move() -> None:
    notes = [Note(beat, 0.4, pitch, 0.7, "chord") for beat in (0.0, 0.5, 1.0) for pitch in (50, 53, 57)]
    arranged = arrange(Score(tuple(notes), 2.0, 2, "minor", "pop"))
    chords = {frozenset(n.pitch for n in arranged.notes if n.onset == beat) for beat in (0.0, 0.5, 1.0)}
    assert len(chords) == 1
