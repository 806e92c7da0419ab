"""Keys, chords, bass lines and melodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...score.notes import Note, Score
from .timing import Timing

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
# degrees of the scale, one per bar
_PROGRESSIONS: tuple[tuple[int, ...], ...] = (
    (0, 5, 3, 4), (0, 4, 5, 3), (0, 3, 4, 4), (0, 5, 1, 4), (0, 2, 3, 4), (0, 6, 5, 4), (5, 3, 0, 4), (0, 0, 3, 4),
    (1, 4, 0, 0), (0, 3, 0, 4), (0, 6, 3, 0), (3, 4, 2, 5), (0, 1, 0, 6), (0, 5, 0, 5), (0, 0, 0, 0), (0, 3, 6, 2),
)  # fmt: skip


@dataclass(frozen=True)
class Harmony:
    """Key and chords of a song.

    Args:
        key: MIDI number of the lowest tonic.
        scale: steps of the scale in semitones.
        progression: degree of each bar's chord.
        seventh: whether chords have four notes.
        inversion: 0, 1 or 2: the lowest note of the chord.
        octave: semitones from the bass to the chords.
    """

    key: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]
    seventh: bool
    inversion: int
    octave: int = 24

    @classmethod
    def random(cls, rng: np.random.Generator, scales: tuple[str, ...]) -> Harmony:
        """Random key and progression, one of the scales."""
        return cls(
            key=int(rng.integers(31, 43)),
            scale=SCALES[scales[int(rng.integers(len(scales)))]],
            progression=_PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))],
            seventh=bool(rng.random() < 0.4),
            inversion=int(rng.integers(3)),
            octave=int(rng.choice([12, 24, 24])),
        )

    def score(self, notes: Sequence[Note], timing: Timing, style: str) -> Score:
        """The notes of a song in this key."""
        scale = next(name for name, steps in SCALES.items() if steps == self.scale)
        beats = tuple(float(beat) for beat in timing.beats())
        return Score(tuple(notes), timing.seconds, self.key % 12, scale, style, beats)

    def degree(self, bar: int, step: int) -> int:
        """MIDI number of the note `step` steps of the scale above the root of the bar's chord."""
        place = self.progression[bar % len(self.progression)] + step
        return self.key + self.scale[place % 7] + 12 * (place // 7)

    def chord(self, bar: int) -> list[int]:
        """MIDI numbers of the bar's chord, `octave` above the bass."""
        steps = [0, 2, 4, 6] if self.seventh else [0, 2, 4]
        notes = [self.degree(bar, step) + self.octave for step in steps]
        raised = [note + 12 for note in notes[: self.inversion]]
        return sorted(notes[self.inversion :] + raised)

    def melody(self, rng: np.random.Generator, rhythm: np.ndarray) -> list[tuple[int, int]]:
        """Phrase of one bar: (quarter beat, steps above the chord's root), a random walk over the scale.

        Args:
            rng: source of the phrase.
            rhythm: (16,) probability of a note on each quarter beat.
        """
        step, phrase = int(rng.integers(0, 5)), []
        for place in np.flatnonzero(rng.random(rhythm.size) < rhythm):
            phrase.append((int(place), step))
            step = int(np.clip(step + rng.choice([-4, -2, -1, -1, 0, 1, 1, 2, 4]), -2, 8))
        return phrase
