"""The instruments and the mix of a piece: drawn from its style and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from ...data.corpora.synthetic.drums import Kit
from ...data.corpora.synthetic.genres import GENRES
from ...data.corpora.synthetic.voices import Voice, bass_voice, instrument
from ...data.score.notes import DRUM_KEYS, DRUM_NAMES, TUNED, Note

RATE = 44100
"""Sample rate of the band, Hz."""

_HELD = ("pad", "strings", "organ")
_RELEASE = {True: 0.18, False: 0.04}  # s, of held sounds and of others
_PUMPING = ("house", "techno", "trap", "electro", "pop")  # styles with an audible side-chain
# voice → MIDI number of its reference note, root mean square of that note's first 0.4 s in the mix at velocity 1:
# instruments differ in level by 10 dB
_LOUDNESS = {"bass": (40, 0.2), "chord": (62, 0.06), "lead": (72, 0.1)}
# velocity below which a sound is darker → cut-off (Hz) of the first-order low-pass
_SOFT = ((0.35, 4500.0), (0.7, 9000.0))


@dataclass
class Ensemble:
    """Instruments of a piece, and how they are mixed.

    Args:
        kit: drum → waveform (n,), peak 1.
        voices: bass, chord, lead → instrument.
        levels: voice → gain in the mix.
        pans: drum, bass, chord or lead → position, −1 (left) to 1 (right).
        widths: chord, lead → level of the side signal that widens the voice, relative to its mid signal.
        reverb_seconds: time in which the reverberation decays by 60 dB.
        reverb_level: gain of the reverberation.
        pump: share by which a kick turns the tuned voices down.
        releases: bass, chord, lead → seconds in which a note fades after its end.
    """

    kit: dict[str, np.ndarray]
    voices: dict[str, Voice]
    levels: dict[str, float]
    pans: dict[str, float]
    widths: dict[str, float]
    reverb_seconds: float
    reverb_level: float
    pump: float
    releases: dict[str, float]
    _cache: dict[tuple[str, int, int], np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def draw(cls, style: str, seed: int) -> Ensemble:
        """The ensemble of a style and a seed: always the same one.

        Raises:
            ValueError: `style` is not a name of `GENRES`.
        """
        if style not in GENRES:
            raise ValueError(f"no instruments for the style {style!r}: choose one of {', '.join(GENRES)}")
        genre, rng = GENRES[style], np.random.default_rng(seed)

        def one(names: Sequence[str]) -> str:
            return names[int(rng.integers(len(names)))]

        kit = Kit(one(genre.kits), rng, RATE).sounds
        bass, chord, lead = one(genre.basses), one(genre.chords), one(genre.leads)
        voices = {
            "bass": bass_voice(bass, rng, RATE),
            "chord": instrument(chord, rng, RATE),
            "lead": instrument(lead, rng, RATE),
        }
        levels = {
            "kick": rng.uniform(0.8, 1.0),
            "snare": rng.uniform(0.5, 0.8),
            "hat": rng.uniform(0.16, 0.36),
            "extra": rng.uniform(0.15, 0.3),
        }
        for name, (pitch, usual) in _LOUDNESS.items():
            reference = _without_rumble(voices[name].note(pitch, 0.4))
            levels[name] = usual * rng.uniform(0.85, 1.15) / np.sqrt(np.mean(reference**2))
        side = float(rng.choice([-1.0, 1.0]))  # the hats' side
        pans = {name: side * float(rng.uniform(-0.5, 0.5)) for name in DRUM_KEYS}
        pans |= {"kick": 0.0, "snare": 0.0, "clap": 0.0, "bass": 0.0, "chord": 0.0}
        pans["hat"] = pans["open"] = side * float(rng.uniform(0.1, 0.3))
        pans["tom_high"], pans["tom_low"] = 0.25 * side, -0.25 * side
        pans["lead"] = -side * float(rng.uniform(0.0, 0.15))
        return cls(
            kit={name: _without_rumble(sound) for name, sound in kit.items()},
            voices=voices,
            levels={name: float(level) for name, level in levels.items()},
            pans=pans,
            widths={"chord": float(rng.uniform(0.4, 0.65)), "lead": float(rng.uniform(0.15, 0.3))},
            reverb_seconds=float(rng.uniform(0.5, 1.5)),
            reverb_level=genre.space * float(rng.uniform(0.5, 1.6)) * 4.0,
            pump=float(rng.uniform(0.2, 0.6)) if style in _PUMPING else 0.15,
            releases={
                "bass": _RELEASE[False],
                "chord": _RELEASE[chord in _HELD],
                "lead": _RELEASE[lead in _HELD],
            },
        )

    def prepare(self, notes: Sequence[Note]) -> None:
        """Synthesise each pitch once, as long as the longest of its notes; shorter ones are cut out of it."""
        longest: dict[tuple[str, int, int], int] = {}
        for note in notes:
            if note.voice in TUNED:
                key = (note.voice, note.pitch, _darkness(note.velocity))
                longest[key] = max(longest.get(key, 0), self._samples(note))
        for key, samples in longest.items():
            if key not in self._cache or self._cache[key].size < samples:
                # each instrument fades in the last 15 ms of its note: these lie behind what is used
                long = self.voices[key[0]].note(key[1], samples / RATE + 0.02)
                self._cache[key] = _darker(_without_rumble(long), key[2])[:samples]

    def sound(self, note: Note) -> np.ndarray:
        """Waveform (n,) float32 of a note at velocity 1; soft notes are darker."""
        if note.voice not in TUNED:
            name = DRUM_NAMES[note.pitch]
            key = (name, 0, _darkness(note.velocity))
            if key not in self._cache:
                self._cache[key] = _darker(self.kit[name], key[2])
            return self._cache[key]
        samples = self._samples(note)
        key = (note.voice, note.pitch, _darkness(note.velocity))
        if key not in self._cache or self._cache[key].size < samples:
            self.prepare([note])
        sound = self._cache[key][:samples].copy()
        fade = min(round(self.releases[note.voice] * RATE), samples)
        sound[samples - fade :] *= np.cos(np.linspace(0.0, np.pi / 2, fade, dtype=np.float32)) ** 2
        return sound

    def _samples(self, note: Note) -> int:
        """Length of a note with its release; at most until the instrument has decayed by 60 dB."""
        voice = self.voices[note.voice]
        sounding = min(max(note.duration, 0.01), voice.attack + 7 * voice.decay)
        return round((sounding + self.releases[note.voice]) * RATE)


def _darkness(velocity: float) -> int:
    """Number of the low-pass of a velocity: 2 for the softest notes, 0 (none) for loud ones."""
    return sum(velocity < below for below, _ in _SOFT)


def _darker(sound: np.ndarray, darkness: int) -> np.ndarray:
    if darkness:
        pole = np.exp(-2 * np.pi * _SOFT[len(_SOFT) - darkness][1] / RATE)
        sound = lfilter([1.0 - pole], [1.0, -pole], sound)
    return np.asarray(sound, np.float32)


def _without_rumble(sound: np.ndarray) -> np.ndarray:
    """Without what lies below 25 Hz: frequency modulation has a constant part."""
    return np.asarray(sosfilt(butter(1, 25, "highpass", fs=RATE, output="sos"), sound))
