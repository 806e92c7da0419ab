"""Registers and voice leading: octaves of the notes of a score, whose pitch classes are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...data.score.notes import Note, Score

CHORDS = (52, 76)
"""Lowest and highest MIDI number of chords."""
BASS = (31, 50)
"""Lowest and highest MIDI number of the bass."""
LEAD = (60, 84)
"""Lowest and highest MIDI number of melodies."""

_TOGETHER = 0.03  # s between onsets of the notes of a chord
_CENTRE = 0.1  # weight of the distance from the register's middle, against that of the voices' movement


def voice_chord(pitch_classes: Iterable[int], previous: Sequence[int] = ()) -> tuple[int, ...]:
    """MIDI numbers of a chord in close position, in the register `CHORDS` and as near as possible to the chord before.

    Args:
        pitch_classes: of the chord, 0 (C) to 11.
        previous: MIDI numbers of the chord before; empty: none.

    >>> voice_chord([0, 4, 7])
    (60, 64, 67)
    >>> voice_chord([5, 9, 0], previous=(60, 64, 67))
    (60, 65, 69)
    """
    classes = sorted({pitch % 12 for pitch in pitch_classes})
    positions = []
    for lowest in range(CHORDS[0], CHORDS[0] + 24):
        if lowest % 12 in classes:
            chord = tuple(sorted(lowest + (other - lowest) % 12 for other in classes))
            if chord[-1] <= CHORDS[1]:
                positions.append(chord)
    return min(positions, key=lambda chord: (_effort(chord, previous), chord), default=())


def _effort(chord: tuple[int, ...], previous: Sequence[int]) -> float:
    """Semitones that the voices move, in both directions (chords may differ in size), and distance from the middle."""
    off = _CENTRE * abs(sum(chord) / len(chord) - sum(CHORDS) / 2)
    if not previous:
        return off
    there = sum(min(abs(note - old) for old in previous) for note in chord)
    back = sum(min(abs(note - old) for note in chord) for old in previous)
    return off + there + back


def fold(pitches: Sequence[int], register: tuple[int, int]) -> list[int]:
    """Pitches of a line in a register of at least an octave: the line moves by octaves, then notes still outside do.

    >>> fold([24, 28, 31], BASS)
    [36, 40, 43]
    """
    low, high = register

    def outside(shift: int) -> tuple[int, int]:
        return sum(not low <= pitch + shift <= high for pitch in pitches), abs(shift)

    shift = min((12 * octave for octave in range(-10, 11)), key=outside)
    moved = []
    for pitch in pitches:
        pitch += shift
        while pitch < low:
            pitch += 12
        while pitch > high:
            pitch -= 12
        moved.append(pitch)
    return moved


def arrange(score: Score) -> Score:
    """The score with its chords led voice by voice, bass and lead in their registers; drums stay as they are.

    A chord is the chord notes that begin within 30 ms; those of the same pitch class become one note.
    """
    notes = [note for note in score.notes if not note.tuned]
    for voice, register in (("bass", BASS), ("lead", LEAD)):
        line = [note for note in score.notes if note.voice == voice]
        pitches = fold([note.pitch for note in line], register)
        notes += [replace(note, pitch=pitch) for note, pitch in zip(line, pitches, strict=True)]
    previous: tuple[int, ...] = ()
    for chord in _chords(score.notes):
        voicing = voice_chord((note.pitch for note in chord), previous)
        if len(voicing) > 1 or not previous:  # a single note is no harmony to lead from
            previous = voicing
        for pitch in voicing:
            same = [note for note in chord if (note.pitch - pitch) % 12 == 0]
            notes.append(
                replace(
                    same[0],
                    pitch=pitch,
                    duration=max(note.duration for note in same),
                    velocity=max(note.velocity for note in same),
                )
            )
    return replace(score, notes=tuple(sorted(notes, key=lambda note: note.onset)))


def _chords(notes: Iterable[Note]) -> list[list[Note]]:
    """Chord notes in groups that begin together, in the order of time."""
    groups: dict[float, list[Note]] = defaultdict(list)
    start = float("-inf")
    for note in sorted((n for n in notes if n.voice == "chord"), key=lambda n: n.onset):
        if note.onset > start + _TOGETHER:
            start = note.onset
        groups[start].append(note)
    return list(groups.values())
