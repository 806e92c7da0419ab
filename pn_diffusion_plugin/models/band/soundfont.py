"""Stems from the recorded instruments of a SoundFont file (General MIDI), with the package tinysoundfont."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.score.midi import midi_velocity, programs
from ...data.score.notes import TUNED, Note, Score
from ...errors import UserError
from .instruments import RATE, Ensemble

_DRUM_CHANNEL = 9
# gains: a General MIDI bank has its own balance, in which hats and percussion are quieter than kick and snare
_STEMS = {"drums": ("", 1.0), "bass": ("bass", 0.6), "chords": ("chord", 0.8), "lead": ("lead", 1.0)}
_DRUMS = {"kick": 1.0, "snare": 0.9, "hat": 0.5, "extra": 0.5}


def play(soundfont: Path, notes: Sequence[Note], score: Score, ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Stems (2, N) float32 of notes in the order of their onsets, before the bus.

    Each part is played alone. Reverberation is the SoundFont's own: its sounds are recorded in a room.

    Args:
        soundfont: an SF2 or SF3 file.
        notes: those of the score that can be played.
        score: its length and style.
        ensemble: of which the releases are used.

    Raises:
        UserError: tinysoundfont is not installed, or cannot read the file.
    """
    try:
        library = importlib.import_module("tinysoundfont")
    except ImportError as error:
        raise UserError(
            f"{soundfont} cannot be played without tinysoundfont ({error}): pip install tinysoundfont (where its "
            "dependency pyaudio cannot be built: pip install --no-deps tinysoundfont)"
        ) from None
    samples = round(score.seconds * RATE)
    stems = {}
    for stem, (voice, gain) in _STEMS.items():
        own = [note for note in notes if note.voice == voice or not voice and note.voice not in TUNED]
        synthesiser = _open(library, soundfont, voice, score.style)
        stems[stem] = np.float32(gain) * _part(synthesiser, own, samples)
    return stems


def _open(library: Any, soundfont: Path, voice: str, style: str) -> Any:
    """A synthesiser with one part's program."""
    synthesiser = library.Synth(samplerate=RATE)
    if not soundfont.is_file():
        raise UserError(f"there is no SoundFont {soundfont}: name an .sf2 or .sf3 file")
    try:
        bank = synthesiser.sfload(str(soundfont))
        if voice:
            synthesiser.program_select(0, bank, 0, programs(style)[voice])
        else:
            synthesiser.program_select(_DRUM_CHANNEL, bank, 128, 0, True)
    except Exception as error:  # the library raises its own class and RuntimeError
        raise UserError(
            f"{soundfont} cannot be used ({error}): choose a SoundFont with the instruments of General MIDI"
        ) from None
    return synthesiser


def _part(synthesiser: Any, notes: Sequence[Note], samples: int) -> np.ndarray:
    """Sound (2, samples) of one part."""
    events: list[tuple[int, int, Note]] = []  # sample, 0 for an end and 1 for a start, note
    for note in notes:
        start = round(note.onset * RATE)
        if note.onset + note.duration >= 0:
            events.append((max(start, 0), 1, note))
            if note.tuned:
                events.append((max(start + round(note.duration * RATE), start + 1), 0, note))
    out = np.zeros((samples, 2), np.float32)
    now = 0
    for time, starts, note in sorted(events, key=lambda event: event[:2]):
        if time >= samples:
            break
        now = _advance(synthesiser, out, now, time)
        channel = 0 if note.tuned else _DRUM_CHANNEL
        if starts:
            velocity = note.velocity * (1.0 if note.tuned else _DRUMS.get(note.voice, 0.5))
            synthesiser.noteon(channel, note.pitch, midi_velocity(velocity))
        else:
            synthesiser.noteoff(channel, note.pitch)
    _advance(synthesiser, out, now, samples)
    return np.ascontiguousarray(out.T)


def _advance(synthesiser: Any, out: np.ndarray, now: int, time: int) -> int:
    """Write the sound from sample `now` to `time`."""
    while now < time:
        count = min(time - now, RATE)
        block = np.frombuffer(synthesiser.generate(count), np.float32)
        out[now : now + count] = block.reshape(-1, 2)[:count]
        now += count
    return now
