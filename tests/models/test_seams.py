"""Seams that were put there are found, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from seams import HOP, find_seams, spectral_flux

RATE = 22050


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


def tone(seconds: float, hertz: float = 440.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_flux_stands_at_its_frame() -> None:
    wav = 0.1 * noise(4.0)
    wav[30000:] *= 20
    flux = spectral_flux(wav)
    assert len(flux) == 1 + len(wav) // HOP
    assert abs(int(flux.argmax()) - 30000 / HOP) <= 2


def test_nothing_stands_out_where_nothing_was_joined() -> None:
    found = [
        find_seams([noise(20.0, seed)], [range(RATE, 19 * RATE, 2 * RATE)]).stand_out for seed in range(8)
    ]
    assert sum(found) <= 1


def test_a_jump_of_phase_or_loudness_or_a_gap_stands_out() -> None:
    joints = list(range(RATE, 19 * RATE, 2 * RATE))
    phases = tone(20.0) + 0.001 * noise(20.0)
    steps, gaps = 0.3 * noise(20.0), 0.3 * noise(20.0)
    assert not find_seams([phases], [joints]).stand_out
    for i, joint in enumerate(joints):
        phases[joint:] = np.roll(phases, 13 * (i + 1))[joint:]
        steps[joint:] *= 2.0 if i % 2 else 0.5
        gaps[joint - 100 : joint + 100] = 0
    for wav in (phases, steps, gaps):
        found = find_seams([wav, noise(5.0)], [joints, []])
        assert found.stand_out and found.rank == 1.0 and found.joints == len(joints)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="no joints"):
        find_seams([noise(2.0)], [[]])
    with pytest.raises(ValueError, match="no elsewhere"):
        find_seams([noise(2.0)], [[10000, 10500]])
