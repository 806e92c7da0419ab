"""A score: the notes of a song, as a MIDI file has them."""

from __future__ import annotations

from dataclasses import dataclass

# drum → its key in General MIDI's percussion map
DRUM_KEYS = {
    "kick": 36, "snare": 38, "clap": 39, "rim": 37, "hat": 42, "open": 46, "ride": 51, "crash": 49, "tom_low": 45,
    "tom_high": 50, "conga": 63, "shaker": 70, "cowbell": 56, "tambourine": 54,
}  # fmt: skip
DRUM_NAMES = {key: name for name, key in DRUM_KEYS.items()}


@dataclass(frozen=True)
class Note:
    """One note, or one drum stroke.

    Args:
        onset: seconds; may lie before the clip's start or after its end.
        duration: seconds; 0 for a drum, whose sound has its own length.
        pitch: MIDI number (69: 440 Hz); for drums a key of `DRUM_KEYS`.
        velocity: amplitude; 1 is a loud stroke.
        voice: instrument (bass, chord, lead), or for drums the track that they are mixed into.
    """

    onset: float
    duration: float
    pitch: int
    velocity: float
    voice: str
