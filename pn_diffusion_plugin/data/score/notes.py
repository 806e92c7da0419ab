"""A score: the notes of a piece, as a MIDI file has them, and what they are relative to."""

from __future__ import annotations

from dataclasses import dataclass, replace

# drum → its key in General MIDI's percussion map
DRUM_KEYS = {
    "kick": 36, "snare": 38, "clap": 39, "rim": 37, "hat": 42, "open": 46, "ride": 51, "crash": 49, "tom_low": 45,
    "tom_high": 50, "conga": 63, "shaker": 70, "cowbell": 56, "tambourine": 54,
}  # fmt: skip
DRUM_NAMES = {key: name for name, key in DRUM_KEYS.items()}

TUNED = ("bass", "chord", "lead")
"""Voices whose notes have a pitch; all others are drums."""

LOUDEST = 1.8
"""Highest velocity of a note."""


@dataclass(frozen=True)
class Note:
    """One note, or one drum stroke.

    Args:
        onset: seconds; may lie before the clip's start or after its end.
        duration: seconds; 0 for a drum, whose sound has its own length.
        pitch: MIDI number (69: 440 Hz); for drums a key of `DRUM_KEYS`.
        velocity: amplitude; 1 is a loud stroke, `LOUDEST` the loudest.
        voice: instrument (bass, chord, lead), or for drums the track that they are mixed into.
    """

    onset: float
    duration: float
    pitch: int
    velocity: float
    voice: str

    @property
    def tuned(self) -> bool:
        """Whether it has a pitch."""
        return self.voice in TUNED


@dataclass(frozen=True)
class Score:
    """The notes of a piece.

    Args:
        notes: in any order.
        seconds: length of the piece.
        tonic: pitch class of the key's first note, 0 (C) to 11 (B).
        scale: name in `data.corpora.synthetic.harmony.SCALES`.
        style: name in `data.corpora.synthetic.genres.GENRES`, or `any`.
        beats: times of the beats (s); empty: not known.
    """

    notes: tuple[Note, ...]
    seconds: float
    tonic: int
    scale: str
    style: str
    beats: tuple[float, ...] = ()

    def between(self, start: float, seconds: float) -> Score:
        """The part that starts at `start` (s), with all notes that sound in it; times count from there."""
        return replace(
            self,
            notes=tuple(
                replace(note, onset=note.onset - start)
                for note in self.notes
                if note.onset < start + seconds and note.onset + note.duration >= start
            ),
            seconds=seconds,
            beats=tuple(beat - start for beat in self.beats if start <= beat < start + seconds),
        )
