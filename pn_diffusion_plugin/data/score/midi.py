"""Scores as standard MIDI files, for notation programs and sequencers.

A track with the tempo and what is known about the piece, then one track per part: drums on channel 10, bass, chords and
lead with General MIDI programs that fit the style. A beat of the score is a quarter note of the file; the time before
the first beat is filled with whole quarters of their own tempo, so that beats lie on the grid of a sequencer.

    velocity:  m = round(127 √(v / LOUDEST)), at least 1;  v = LOUDEST (m / 127)²

because General MIDI's instruments have amplitudes proportional to the square of the velocity.
A file does not say which drum track of the score a stroke belongs to; `read_midi` chooses by the drum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mido

from ..corpora.synthetic.genres import GENRES
from .notes import DRUM_KEYS, DRUM_NAMES, LOUDEST, Note, Score
from .tempo_map import TICKS, Clock, Grid

_STROKE = TICKS // 8  # ticks from a drum's note-on to its note-off
_DRUM_CHANNEL = 9  # counted from 0
_CHANNELS = {"bass": 0, "chord": 1, "lead": 2}
_TITLES = {"bass": "Bass", "chord": "Chords", "lead": "Lead"}
_VOICES = {"Bass": "bass", "Chords": "chord", "Lead": "lead"}
# voice of the corpora → program, counted from 0
_PROGRAMS = {
    "sub": 39, "saw": 38, "square": 38, "fm": 39, "finger": 33,  # basses
    "pad": 89, "strings": 48, "epiano": 4, "organ": 16, "guitar": 27, "piano": 0, "stab": 90,
    "bell": 9, "pluck": 45, "flute": 73,
}  # fmt: skip
_LEADS = {"saw": 81, "square": 80}
_TRACKS = {"kick": "kick", "tom_low": "kick", "tom_high": "kick", "snare": "snare", "clap": "snare", "rim": "snare",
           "hat": "hat", "open": "hat"}  # fmt: skip
# keys of other programs' drums → those of the score
_OTHER_KEYS = {35: 36, 40: 38, 41: 45, 43: 45, 44: 42, 47: 45, 48: 50, 52: 49, 53: 51, 55: 49, 57: 49, 59: 51, 60: 63,
               61: 63, 62: 63, 64: 63, 69: 70, 82: 70}  # fmt: skip
_SIGNATURES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")  # of major keys
_MINOR = (
    "Am",
    "Bbm",
    "Bm",
    "Cm",
    "C#m",
    "Dm",
    "Ebm",
    "Em",
    "Fm",
    "F#m",
    "Gm",
    "G#m",
)  # of their relative keys
# scale → semitones from the tonic up to the major scale of the same notes, and whether its third is minor
_RELATIVE = {
    "major": (0, False), "minor": (3, True), "dorian": (10, True), "mixolydian": (5, False), "phrygian": (8, True),
    "harmonic": (3, True),
}  # fmt: skip
_FIRST_BEAT, _INFO = "first beat", "pn_diffusion_plugin"


def programs(style: str) -> dict[str, int]:
    """General MIDI programs (from 0) of bass, chord and lead for a style of `GENRES`; others get bass, piano, saw."""
    if style not in GENRES:
        return {"bass": 33, "chord": 0, "lead": 81}
    genre = GENRES[style]
    lead = genre.leads[0]
    return {
        "bass": _PROGRAMS[genre.basses[0]],
        "chord": _PROGRAMS[genre.chords[0]],
        "lead": _LEADS[lead] if lead in _LEADS else _PROGRAMS[lead],
    }


def midi_velocity(velocity: float) -> int:
    """Velocity of a file (1 to 127) for a note's.

    >>> midi_velocity(LOUDEST), midi_velocity(1.0), midi_velocity(0.0)
    (127, 95, 1)
    """
    return max(1, min(127, round(127 * (max(velocity, 0.0) / LOUDEST) ** 0.5)))


def write_midi(score: Score, path: str | Path) -> None:
    """Write a score to a MIDI file; notes outside [0, seconds) are left out, and those that reach out of it cut."""
    grid = Grid.of(score.beats)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS, charset="utf-8")
    file.tracks.append(_conductor(score, grid))
    notes = _inside(score)
    drums = [note for note in notes if not note.tuned and note.pitch in DRUM_NAMES]
    file.tracks.append(_part("Drums", _DRUM_CHANNEL, 0, drums, grid))
    for voice, channel in _CHANNELS.items():
        own = [note for note in notes if note.voice == voice]
        file.tracks.append(_part(_TITLES[voice], channel, programs(score.style)[voice], own, grid))
    file.save(str(path))


def read_midi(path: str | Path) -> Score:
    """Read the score of a MIDI file, also of one that another program wrote.

    There, channel 10 holds the drums (those without a counterpart are left out), channels with a bass program the bass,
    others chords where notes begin together, else the lead; the style is `any` and the beats are the quarter notes.

    Raises:
        OSError, EOFError, ValueError: the file is missing or no MIDI file.
    """
    file = mido.MidiFile(str(path), charset="utf-8")
    seconds = Clock(file)
    info: dict[str, str] = {}
    key, first = "", 0
    notes: list[Note] = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "text" and message.text.startswith(_INFO):
                info = dict(part.split("=", 1) for part in message.text.split("; ")[1:])
            elif message.type == "key_signature":
                key = key or message.key
            elif message.type == "marker" and message.text == _FIRST_BEAT:
                first = tick
        notes += _read_track(track, seconds)
    tonic, scale = _key(key)
    last = max((sum(message.time for message in track) for track in file.tracks), default=0)
    length = float(info.get("seconds", seconds(last)))
    quarters = [seconds(tick) for tick in range(first, last + 1, file.ticks_per_beat)]
    beats = [] if info.get("beats") == "unknown" else [beat for beat in quarters if beat < length]
    return Score(
        tuple(sorted(notes, key=lambda note: note.onset)),
        length,
        int(info.get("tonic", tonic)),
        info.get("scale", scale),
        info.get("style", "any"),
        tuple(beats),
    )


def _inside(score: Score) -> list[Note]:
    """Notes that sound in the piece, cut at its start and end."""
    found = []
    for note in sorted(score.notes, key=lambda note: note.onset):
        start, end = max(note.onset, 0.0), min(note.onset + note.duration, score.seconds)
        if note.onset < score.seconds and (end > start or not note.tuned and note.onset >= 0):
            found.append(replace(note, onset=start, duration=max(end - start, 0.0)))
    return found


def _conductor(score: Score, grid: Grid) -> mido.MidiTrack:
    """The first track: title, key, tempo."""
    info = f"style={score.style}; seconds={score.seconds!r}; tonic={score.tonic}; scale={score.scale}"
    if grid.first < 0:
        info += "; beats=unknown"
    events: list[tuple[int, mido.MetaMessage]] = [
        (0, mido.MetaMessage("track_name", name=f"AI-generated music, {score.style}")),
        (0, mido.MetaMessage("text", text=f"{_INFO}; {info}")),
        (0, mido.MetaMessage("time_signature", numerator=4, denominator=4)),
        (0, mido.MetaMessage("key_signature", key=_signature(score.tonic, score.scale))),
    ]
    before = 0
    end = grid.tick(score.seconds)
    for number, tempo in enumerate(grid.tempos):
        if tempo != before and number * TICKS < max(end, 1):
            events.append((number * TICKS, mido.MetaMessage("set_tempo", tempo=tempo)))
        before = tempo
    if 0 <= grid.first * TICKS <= end:
        events.append((grid.first * TICKS, mido.MetaMessage("marker", text=_FIRST_BEAT)))
    return _track(events, end)


def _part(title: str, channel: int, program: int, notes: Sequence[Note], grid: Grid) -> mido.MidiTrack:
    """A track of notes in the order of their onsets; a note ends where the next one of its pitch begins."""
    events: list[tuple[int, mido.Message]] = [
        (0, mido.MetaMessage("track_name", name=title)),
        (0, mido.Message("program_change", channel=channel, program=program)),
    ]
    struck: dict[int, list[tuple[int, int, float]]] = defaultdict(list)  # pitch → (start, end, velocity)
    for note in notes:
        start = grid.tick(note.onset)
        end = grid.tick(note.onset + note.duration) if note.tuned else start + _STROKE
        strokes = struck[note.pitch]
        if strokes and strokes[-1][0] == start:  # twice the same note
            _, other, velocity = strokes.pop()
            strokes.append((start, max(end, other), max(note.velocity, velocity)))
            continue
        if strokes and strokes[-1][1] > start:
            strokes[-1] = (strokes[-1][0], start, strokes[-1][2])
        strokes.append((start, max(end, start + 1), note.velocity))
    for pitch, strokes in struck.items():
        for start, end, velocity in strokes:
            about = {"channel": channel, "note": pitch}
            events.append((start, mido.Message("note_on", velocity=midi_velocity(velocity), **about)))
            events.append((end, mido.Message("note_off", velocity=64, **about)))
    return _track(events, 0)


def _track(events: list[tuple[int, mido.Message]], end: int) -> mido.MidiTrack:
    """Track of messages at ticks, ends of notes before other messages of the same tick; it lasts until tick `end`."""
    events = sorted(events, key=lambda event: (event[0], event[1].type != "note_off"))
    events.append((max([end, *(tick for tick, _ in events)]), mido.MetaMessage("end_of_track")))
    track, before = mido.MidiTrack(), 0
    for tick, message in events:
        track.append(message.copy(time=tick - before))
        before = tick
    return track


def _signature(tonic: int, scale: str) -> str:
    """Key signature of the scale's notes: of the relative major or, where the third is minor, minor key.

    >>> _signature(9, "minor"), _signature(2, "dorian"), _signature(7, "mixolydian"), _signature(3, "major")
    ('Am', 'Am', 'C', 'Eb')
    """
    up, minor = _RELATIVE[scale]
    return (_MINOR if minor else _SIGNATURES)[(tonic + up) % 12]


def _key(signature: str) -> tuple[int, str]:
    """Tonic and scale of a key signature; C major where there is none."""
    if not signature:
        return 0, "major"
    pitch = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[signature[0]]
    pitch += signature.count("#") - signature.count("b")
    scale = "minor" if signature.endswith("m") else "major"
    return pitch % 12, scale


def _read_track(track: mido.MidiTrack, seconds: Clock) -> list[Note]:
    """Notes of one track; a note without an end lasts until the track's."""
    tick, title = 0, ""
    program: dict[int, int] = {}
    open_notes: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # → (start, velocity)
    done: dict[int, list[tuple[int, int, int, int]]] = defaultdict(
        list
    )  # channel → (start, end, pitch, velocity)
    for message in track:
        tick += message.time
        if message.type == "track_name":
            title = message.name
        elif message.type == "program_change":
            program[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            open_notes[message.channel, message.note].append((tick, message.velocity))
        elif message.type in ("note_on", "note_off") and open_notes[message.channel, message.note]:
            start, velocity = open_notes[message.channel, message.note].pop(0)
            done[message.channel].append((start, tick, message.note, velocity))
    for (channel, pitch), rest in open_notes.items():
        done[channel] += [(start, tick, pitch, velocity) for start, velocity in rest]
    notes = []
    for channel, found in done.items():
        together = len({start for start, *_ in found}) < len(found)
        voice = _VOICES.get(title) or (
            "bass" if 32 <= program.get(channel, 0) < 40 else "chord" if together else "lead"
        )
        for start, end, pitch, velocity in found:
            onset, loudness = seconds(start), LOUDEST * (velocity / 127) ** 2
            if channel != _DRUM_CHANNEL:
                notes.append(Note(onset, seconds(end) - onset, pitch, loudness, voice))
            elif name := DRUM_NAMES.get(_OTHER_KEYS.get(pitch, pitch)):
                notes.append(Note(onset, 0.0, DRUM_KEYS[name], loudness, _TRACKS.get(name, "extra")))
    return notes
