"""The pulse of notes: a regular rhythm is found again through errors of the onsets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, Note
from pn_diffusion_plugin.data.score.pulse import find_pulse, on_pulse

DRUMS = {"kick": DRUM_KEYS["kick"], "snare": DRUM_KEYS["snare"], "hat": DRUM_KEYS["hat"]}


def rhythm(bpm: float, seconds: float, phase: float = 0.2, swing: float = 0.5) -> list[Note]:
    """Kick and snare in turn on the beats, hats on half beats, late ones at `swing`."""
    period, notes = 60 / bpm, []
    for beat in range(int((seconds - phase) / period)):
        at = phase + beat * period
        drum = "snare" if beat % 2 else "kick"
        notes += [Note(at, 0, DRUMS[drum], 1.0, drum), Note(at, 0, DRUMS["hat"], 0.6, "hat")]
        notes.append(Note(at + swing * period, 0, DRUMS["hat"], 0.5, "hat"))
    return notes


def jittered(notes: list[Note], deviation: float, seed: int = 0) -> list[Note]:
    rng = np.random.default_rng(seed)
    return [replace(note, onset=note.onset + float(rng.normal(0, deviation))) for note in notes]


@pytest.mark.parametrize("bpm", [88.0, 97.5, 120.0, 141.0, 168.0])
@pytest.mark.parametrize("deviation", [0.0, 0.02])
def test_tempo_and_phase(bpm: float, deviation: float) -> None:
    pulse = find_pulse(jittered(rhythm(bpm, 12), deviation))
    assert pulse is not None
    assert pulse.bpm == pytest.approx(bpm, rel=0.004)
    period = 60 / bpm
    assert abs((pulse.phase - 0.2 + period / 2) % period - period / 2) < 0.004 + deviation / 2
    if not deviation:
        assert pulse.clarity > 0.95


def test_jittered_notes_become_regular() -> None:
    clean = rhythm(117.0, 12)
    rough = jittered(clean, 0.02)
    pulse = find_pulse(rough)
    assert pulse is not None
    moved = on_pulse(rough, pulse)
    before = np.std([a.onset - b.onset for a, b in zip(rough, clean, strict=True)])
    after = np.std([a.onset - b.onset for a, b in zip(moved, clean, strict=True)])
    assert after < before / 3
    half = on_pulse(rough, pulse, 0.5)
    between = [(a.onset + b.onset) / 2 for a, b in zip(rough, moved, strict=True)]
    assert [note.onset for note in half] == pytest.approx(between)
    assert on_pulse(rough, pulse, 0.0) == rough


def test_swing_stays() -> None:
    swung = rhythm(104.0, 14, swing=0.66)
    pulse = find_pulse(swung)
    assert pulse is not None
    moved = on_pulse(jittered(swung, 0.004), pulse)
    late = [(n.onset - pulse.phase) / pulse.period % 1 for n in moved if n.velocity == 0.5]
    assert np.mean(late) == pytest.approx(0.66, abs=0.02) and np.std(late) < 0.01


def test_notes_of_another_tempo_are_left_alone() -> None:
    first, second = rhythm(120.0, 18), [replace(n, onset=n.onset + 18) for n in rhythm(107.0, 6)]
    pulse = find_pulse(first)
    assert pulse is not None
    moved = on_pulse(first + second, pulse)
    assert max(abs(a.onset - b.onset) for a, b in zip(moved[len(first) :], second, strict=True)) < 1e-9


def test_too_few_notes_have_no_pulse() -> None:
    assert find_pulse([]) is None
    assert find_pulse(rhythm(120.0, 1.5)) is None
    silent = [replace(note, velocity=0.0) for note in rhythm(120.0, 8)]
    assert find_pulse(silent) is None


def test_a_long_piece_is_as_precise() -> None:
    """The period is found within a hundredth of a beat over the whole piece."""
    bpm = 113.37
    notes = jittered(rhythm(bpm, 400), 0.02)
    pulse = find_pulse(notes)
    assert pulse is not None
    beats = 400 * bpm / 60
    assert abs(pulse.period / (60 / bpm) - 1) * beats < 0.01
    moved = on_pulse(notes, pulse)
    errors = [a.onset - b.onset for a, b in zip(moved, rhythm(bpm, 400), strict=True)]
    assert np.std(errors) < 0.005
