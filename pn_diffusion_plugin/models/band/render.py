"""Scores to sound: the stems of a piece, whose sum is its mix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from ...data.score.notes import DRUM_KEYS, DRUM_NAMES, TUNED, Note, Score
from .instruments import RATE, Ensemble
from .space import add_convolved, duck, glue, pan_gains, place, reverberation, widening

STEMS = ("drums", "bass", "chords", "lead")
"""Parts of a mix."""

Stems = dict[str, np.ndarray]

_VOICES = {"bass": "bass", "chords": "chord", "lead": "lead"}  # stem → voice
_SENDS = {"snare": 0.7, "extra": 0.6, "chord": 1.0, "lead": 1.2}  # to the reverberation
_FADE = 0.25  # s at the end
_PEAK = 0.9  # of the mix: louder ones are turned down, quieter ones stay as they are


def render(score: Score, seed: int, soundfont: str | Path | None = None) -> Stems:
    """Play a score: `STEMS`, each (2, N) float32 at 44 100 Hz, N = round(44 100 · score.seconds); their sum is the mix.

    The pitches of the score are played as they are, see `voicing.arrange`. The last 0.25 s fade to silence.

    Args:
        score: its style chooses the instruments; drums that are not in `DRUM_KEYS` are not played.
        seed: of the instruments and the mix; the same score and seed sound the same.
        soundfont: a SoundFont file whose sounds are played instead of the synthesised ones.

    Raises:
        ValueError: the style has no instruments.
        UserError: the SoundFont cannot be used.
    """
    ensemble = Ensemble.draw(score.style, seed)
    notes = sorted(
        (n for n in score.notes if n.onset < score.seconds and (n.tuned or n.pitch in DRUM_NAMES)),
        key=lambda note: note.onset,
    )
    if soundfont is None:
        stems = _synthesised(notes, round(score.seconds * RATE), ensemble, seed)
    else:
        from .soundfont import play  # only here: it needs a package of its own

        stems = play(Path(soundfont), notes, score, ensemble)
    return _balanced(stems)


def mix_of(stems: Stems) -> np.ndarray:
    """The mix (2, N) of stems: their sum."""
    return np.asarray(sum(stems.values()), np.float32)


def to_mono(stems: Stems, sample_rate: int) -> np.ndarray:
    """The mix of stems at another rate (Hz), both channels averaged: (n,) float32."""
    return soxr.resample(mix_of(stems).mean(axis=0), RATE, sample_rate).astype(np.float32)


def _synthesised(notes: Sequence[Note], samples: int, ensemble: Ensemble, seed: int) -> Stems:
    """Stems of the ensemble's instruments before the bus."""
    rng = np.random.default_rng([seed, 1])
    wet = ensemble.reverb_level * reverberation(rng, RATE, ensemble.reverb_seconds)
    ensemble.prepare(notes)
    kicks = [n.onset for n in notes if n.voice not in TUNED and n.pitch == DRUM_KEYS["kick"]]
    stems = {"drums": _drums([n for n in notes if n.voice not in TUNED], samples, ensemble, wet)}
    for stem, voice in _VOICES.items():
        track = np.zeros(samples, np.float32)
        for note in notes:
            if note.voice == voice:
                _mix_in(track, ensemble.sound(note), note.onset, note.velocity * ensemble.levels[voice])
        duck(track, kicks, RATE, ensemble.pump)
        if voice == "bass":  # in the middle and dry
            stems[stem] = np.stack([track, track])
            continue
        stems[stem] = np.zeros((2, samples), np.float32)
        width = ensemble.widths[voice]
        impulses = place(ensemble.pans[voice], width, widening(rng, RATE), _SENDS[voice] * wet)
        add_convolved(stems[stem], track, impulses)
    return stems


def _drums(notes: Sequence[Note], samples: int, ensemble: Ensemble, wet: np.ndarray) -> np.ndarray:
    """Stem (2, samples) of the drums: each in its place, some with reverberation."""
    out, send = np.zeros((2, samples), np.float32), np.zeros(samples, np.float32)
    gains = {name: pan_gains(ensemble.pans[name]) for name in DRUM_KEYS}
    for note in notes:
        sound, level = ensemble.sound(note), note.velocity * ensemble.levels.get(note.voice, 0.3)
        for channel, gain in zip(out, gains[DRUM_NAMES[note.pitch]], strict=True):
            _mix_in(channel, sound, note.onset, level * gain)
        if share := _SENDS.get(note.voice):
            _mix_in(send, sound, note.onset, level * share)
    add_convolved(out, send, wet)
    return out


def _mix_in(track: np.ndarray, sound: np.ndarray, onset: float, gain: float) -> None:
    """Add a sound (n,) to a track (N,) at `onset` (s), also across its start or end."""
    start = round(onset * RATE)
    first, end = max(0, -start), min(sound.size, track.size - start)
    if end > first:
        track[start + first : start + end] += np.float32(gain) * sound[first:end]


def _balanced(stems: Stems) -> Stems:
    """Stems times one gain: bus compression of the mix, its peak, the fade at the end."""
    mix = mix_of(stems)
    gain = glue(mix, RATE)
    fade = min(round(_FADE * RATE), gain.size)
    gain[gain.size - fade :] *= np.cos(np.linspace(0.0, np.pi / 2, fade)) ** 2
    mix *= gain
    gain *= min(1.0, _PEAK / max(float(np.abs(mix).max(initial=0.0)), 1e-9))
    for stem in stems.values():
        stem *= gain
    if gain.size:
        for stem in stems.values():
            stem[:, -1] = 0.0  # cos² of π/2 is not quite 0
    return stems
