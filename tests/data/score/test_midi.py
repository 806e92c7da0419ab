"""MIDI files: what another reader finds in them, and scores read back."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np
import pytest

from pn_diffusion_plugin.data.score.midi import midi_velocity, read_midi, write_midi
from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, LOUDEST, Note, Score

RNG = np.random.default_rng(0)
# beats of a dance: none; regular (to a frame of video); from the start on; slowing down; with a long pause; slow
BEATS: dict[str, tuple[float, ...]] = {
    "none": (),
    "one": (3.0,),
    "regular": tuple(np.round(np.arange(1.23, 20, 0.4687) * 60) / 60),
    "from the start": tuple(np.arange(0.0, 20, 0.5)),
    "soon after the start": tuple(np.arange(0.03, 20, 0.7)),
    "slowing": tuple(0.2 + np.cumsum(np.linspace(0.4, 0.9, 30))),
    "pause": (0.5, 1.0, 1.5, 2.0, 9.7, 10.2, 10.7),
    "late": tuple(np.arange(13.0, 20, 0.5)),
    "uneven": tuple(np.cumsum(RNG.uniform(0.3, 0.8, 40))),
}


def score_of(beats: tuple[float, ...] = (), style: str = "house") -> Score:
    rng, notes = np.random.default_rng(1), []
    for onset in np.sort(rng.uniform(0, 19, 60)):
        velocity = float(rng.uniform(0.2, LOUDEST))
        notes.append(Note(float(onset), 0.0, DRUM_KEYS["kick"], velocity, "kick"))
        notes.append(Note(float(onset), 0.2, int(rng.integers(31, 50)), velocity, "bass"))
    notes += [Note(4.0 * i, 3.0, pitch, 0.7, "chord") for i in range(5) for pitch in (60, 64, 67)]
    notes += [Note(0.1 + i, 0.4, 72 + i % 4, 0.7, "lead") for i in range(18)]
    return Score(tuple(notes), 20.0, 9, "minor", style, beats)


def onsets(path: Path) -> dict[int, list[float]]:
    """Channel → seconds of the notes, as mido alone computes them."""
    found: dict[int, list[float]] = {}
    now = 0.0
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "note_on":
            found.setdefault(message.channel, []).append(now)
    return found


@pytest.mark.parametrize("name", BEATS)
def test_onsets_and_length_are_exact_whatever_the_beats(name: str, tmp_path: Path) -> None:
    score = score_of(BEATS[name])
    write_midi(score, path := tmp_path / "piece.mid")
    found = onsets(path)
    for voice, channel in (("kick", 9), ("bass", 0), ("chord", 1), ("lead", 2)):
        wanted = sorted(note.onset for note in score.notes if note.voice == voice)
        np.testing.assert_allclose(found[channel], wanted, atol=1e-3)
    assert mido.MidiFile(path).length == pytest.approx(20.0, abs=2e-3)


@pytest.mark.parametrize("name", [name for name in BEATS if name not in ("none", "one", "pause")])
def test_beats_are_quarter_notes(name: str, tmp_path: Path) -> None:
    write_midi(score_of(BEATS[name]), path := tmp_path / "piece.mid")
    beats = [beat for beat in BEATS[name] if beat < 20]
    read = np.array(read_midi(path).beats)
    early = name == "soon after the start"  # its first beat is the file's first tick
    np.testing.assert_allclose(read[early : len(beats)], beats[early:], atol=0.011)
    changes = sum(message.type == "set_tempo" for message in mido.MidiFile(path).tracks[0])
    assert changes <= 2 or name in ("slowing", "uneven")


def test_tempo_is_120_where_no_beats_are_known(tmp_path: Path) -> None:
    write_midi(score_of(), path := tmp_path / "piece.mid")
    tempos = [m.tempo for track in mido.MidiFile(path).tracks for m in track if m.type == "set_tempo"]
    assert tempos == [500000] and read_midi(path).beats == ()


def test_a_score_is_read_back(tmp_path: Path) -> None:
    score = score_of(BEATS["uneven"], "funk")
    write_midi(score, path := tmp_path / "piece.mid")
    read = read_midi(path)
    assert (read.seconds, read.tonic, read.scale, read.style) == (20.0, 9, "minor", "funk")

    def order(note: Note) -> tuple[str, float, int]:
        return note.voice, note.onset, note.pitch

    written, again = sorted(score.notes, key=order), sorted(read.notes, key=order)
    assert [(n.voice, n.pitch) for n in again] == [(n.voice, n.pitch) for n in written]
    for field, tolerance in (("onset", 1e-3), ("velocity", 0.015)):
        values = [[getattr(note, field) for note in notes] for notes in (written, again)]
        np.testing.assert_allclose(values[0], values[1], atol=tolerance)
    held = [[n.duration for n in notes if n.voice in ("chord", "lead")] for notes in (written, again)]
    np.testing.assert_allclose(held[0], held[1], atol=2e-3)


def test_velocities_of_the_file_keep_loudness() -> None:
    velocities = np.linspace(0.05, LOUDEST, 50)
    inverse = LOUDEST * (np.array([midi_velocity(float(v)) for v in velocities]) / 127) ** 2
    np.testing.assert_allclose(inverse, velocities, rtol=0.06)


def test_the_file_names_what_it_contains(tmp_path: Path) -> None:
    write_midi(score_of(BEATS["regular"], "ballad"), path := tmp_path / "piece.mid")
    file = mido.MidiFile(path)
    assert file.type == 1 and file.ticks_per_beat >= 960
    assert "AI-generated" in file.tracks[0].name and "ballad" in file.tracks[0].name
    assert [track.name for track in file.tracks[1:]] == ["Drums", "Bass", "Chords", "Lead"]
    assert [m.key for m in file.tracks[0] if m.type == "key_signature"] == ["Am"]
    programs = {
        m.channel: m.program for track in file.tracks[2:] for m in track if m.type == "program_change"
    }
    assert programs == {0: 33, 1: 0, 2: 73}  # fingered bass, piano, flute


def test_every_note_that_begins_ends_before_the_next_of_its_pitch(tmp_path: Path) -> None:
    notes = [Note(0.1 * i, 1.0, 60, 0.8, "chord") for i in range(10)]
    notes += [Note(0.02 * i, 0.0, DRUM_KEYS["hat"], 0.8, "hat") for i in range(20)]
    notes += [
        Note(-0.5, 1.5, 40, 0.8, "bass"),
        Note(1.9, 3.0, 41, 0.8, "bass"),
        Note(5.0, 1.0, 42, 0.8, "bass"),
    ]
    notes += [Note(-0.5, 0.0, DRUM_KEYS["kick"], 1.0, "kick")]
    write_midi(Score(tuple(notes), 2.0, 0, "major", "any"), path := tmp_path / "piece.mid")
    sounding: set[tuple[int, int]] = set()
    for message in mido.MidiFile(path):
        if message.type in ("note_on", "note_off"):
            key = (message.channel, message.note)
            assert (key in sounding) == (message.type == "note_off")
            sounding ^= {key}
    assert not sounding
    bass = {n.pitch: (n.onset, n.duration) for n in read_midi(path).notes if n.voice == "bass"}
    assert bass.keys() == {40, 41}
    assert bass[40] == pytest.approx((0.0, 1.0), abs=1e-3) and bass[41] == pytest.approx((1.9, 0.1), abs=1e-3)


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    file = mido.MidiFile(type=0, ticks_per_beat=96)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=600000))
    track.append(mido.MetaMessage("key_signature", key="F#m"))
    track.append(mido.Message("program_change", channel=3, program=35))
    for channel, pitch in ((3, 40), (4, 60), (4, 64), (5, 80), (9, 35), (9, 27)):
        track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=127, time=0))
    track.append(mido.Message("note_on", channel=4, note=60, velocity=0, time=96))  # ends the note
    track.append(mido.MetaMessage("end_of_track", time=96))
    file.save(path := tmp_path / "other.mid")
    score = read_midi(path)
    assert (score.tonic, score.scale, score.style) == (6, "minor", "any")
    assert score.seconds == pytest.approx(1.2) and score.beats == pytest.approx((0.0, 0.6))
    assert {(n.voice, n.pitch, round(n.duration, 3)) for n in score.notes} == {
        ("bass", 40, 1.2), ("chord", 60, 0.6), ("chord", 64, 1.2), ("lead", 80, 1.2), ("kick", 36, 0.0),
    }  # fmt: skip
    assert score.notes[0].velocity == LOUDEST
