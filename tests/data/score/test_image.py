"""Scores as images, and their notes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from note_agreement import note_agreement

from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.score.image import (
    ROWS,
    SUSTAIN,
    USED,
    decode_notes,
    encode_score,
    note_of,
    row_of,
)
from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, LOUDEST, Note, Score

FRAME = 512 / 22050


def score_of(*notes: Note, tonic: int = 0, seconds: float = 5.2) -> Score:
    return Score(notes, seconds, tonic, "major", "house")


@pytest.mark.parametrize("tonic", range(12))
def test_rows_and_pitches_are_inverses(tonic: int) -> None:
    for row in USED:
        pitch, voice = note_of(row, tonic)
        assert row_of(Note(0, 0.1, pitch, 1, voice), tonic) == row


@pytest.mark.parametrize("pitch", [0, 24, 60, 100, 127])
@pytest.mark.parametrize("voice", ["bass", "chord", "lead"])
def test_pitches_outside_the_rows_keep_their_pitch_class(pitch: int, voice: str) -> None:
    row = row_of(Note(0, 0.1, pitch, 1, voice), 3)
    found, same_voice = note_of(row, 3)
    assert same_voice == voice and (found - pitch) % 12 == 0


@pytest.mark.parametrize("onset", [1.0, 1.003, 1.0116, 1.02])
def test_an_onset_between_frames_and_its_velocity_are_exact(onset: float) -> None:
    notes = [Note(onset, 0.0, DRUM_KEYS["kick"], 0.7, "kick"), Note(onset, 0.5, 38, 0.4, "bass")]
    found = sorted(decode_notes(encode_score(score_of(*notes), 224, FRAME), FRAME, 0), key=lambda n: n.pitch)
    assert [(n.pitch, n.voice) for n in found] == [(n.pitch, n.voice) for n in notes]
    for one, other in zip(found, notes, strict=True):
        assert one.onset == pytest.approx(other.onset, abs=1e-4)
        assert one.velocity == pytest.approx(other.velocity, rel=1e-3)
        assert one.duration == pytest.approx(other.duration, abs=1.5 * FRAME)


def test_the_image_follows_its_formula() -> None:
    image = encode_score(score_of(Note(10 * FRAME, 10 * FRAME, 36, LOUDEST / 4, "bass")), 32, FRAME)
    row = (image[row_of(Note(0, 1, 36, 1, "bass"), 0)] + 1) / 2
    assert image.shape == (ROWS, 32) and image.min() == -1
    assert row[10] == pytest.approx(0.5) and row[9] == pytest.approx(0.5 * np.exp(-0.5))
    assert row[15] == pytest.approx(0.5 * SUSTAIN) and row[21] == 0 and row[5] == 0


def test_notes_beyond_the_image_leave_their_parts_in_it() -> None:
    early, late = Note(-0.1, 1.0, 36, 1.0, "bass"), Note(5.19, 1.0, 38, 1.0, "bass")
    image = encode_score(score_of(early, late), 224, FRAME)
    assert image[row_of(early, 0), 20] > -1 and image[row_of(late, 0), -1] > -1
    assert (encode_score(score_of(), 8, FRAME) == -1).all()


def test_scores_of_the_corpus_survive() -> None:
    spec, found = GeneratedSpec(), []
    for index in range(12):
        for score in spec.plan("train", index).scores()[:2]:
            part = score.between(0.5, 5.2)
            decoded = decode_notes(encode_score(part, 228, FRAME), FRAME, score.tonic)
            found.append(note_agreement(as_rows(part.notes, score.tonic), as_rows(decoded, score.tonic)))
    assert max(agreement.onset_error for agreement in found) < 0.005
    assert max(agreement.velocity_error for agreement in found) < 0.05
    assert min(agreement.f_15ms for agreement in found) > 0.97


def as_rows(notes: Sequence[Note], tonic: int) -> list[Note]:
    """What an image can hold of notes: one of those within 30 ms in a row, with the row's pitch and voice."""
    kept: dict[int, list[Note]] = {}
    for note in sorted(notes, key=lambda n: n.onset):
        row = row_of(note, tonic)
        pitch, voice = note_of(row, tonic)
        note = replace(note, pitch=pitch, voice=voice)
        line = kept.setdefault(row, [])
        if line and note.onset - line[-1].onset < 0.03:
            line[-1] = max(line[-1], note, key=lambda n: n.velocity)
        elif 0.05 < note.onset < 5.1:
            line.append(note)
    return [note for line in kept.values() for note in line]


def test_noise_has_few_notes_and_silence_none() -> None:
    assert decode_notes(np.full((ROWS, 64), -1.0), FRAME, 0) == []
    noise = -1 + 0.07 * np.random.default_rng(0).standard_normal((ROWS, 200))
    assert decode_notes(noise, FRAME, 0) == []
    score = score_of(*(Note(0.5 * i, 0.0, DRUM_KEYS["snare"], 0.8, "snare") for i in range(1, 9)))
    image = encode_score(score, 224, FRAME)
    found = decode_notes(image + 0.07 * np.random.default_rng(1).standard_normal(image.shape), FRAME, 0)
    times = np.array([n.onset for n in found if n.voice == "snare"])
    assert len(found) == 8 and np.abs(times - 0.5 * np.arange(1, 9)).max() < 0.01
