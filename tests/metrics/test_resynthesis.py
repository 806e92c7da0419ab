"""How near a sound is to the original, whatever its phases and its level."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.metrics.resynthesis import onset_f, spectral_convergence

RATE = 22050


def bursts(times: list[float], seconds: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    wav = np.zeros(round(seconds * RATE), dtype=np.float32)
    for time in times:
        start = round(time * RATE)
        wav[start : start + 1000] += rng.standard_normal(1000) * np.exp(-np.arange(1000) / 200)
    return wav


def test_neither_level_nor_sign_counts() -> None:
    wav = bursts([0.5, 1.0, 2.0])
    assert spectral_convergence(wav, -0.1 * wav) == pytest.approx(0, abs=1e-4)


def test_nothing_in_common_is_one() -> None:
    t = np.arange(RATE, dtype=np.float32) / RATE
    low, high = np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 5000 * t)
    assert spectral_convergence(low, high) == pytest.approx(1, abs=0.01)
    assert spectral_convergence(low, np.zeros_like(low)) == pytest.approx(1)
    assert spectral_convergence(np.zeros_like(low), np.zeros_like(low)) == 0


def test_half_the_energy_missing() -> None:
    t = np.arange(RATE, dtype=np.float32) / RATE
    low, high = np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 5000 * t)
    assert spectral_convergence(low + high, low) == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_onsets_are_found_again_or_late() -> None:
    times = [0.5, 1.0, 1.5, 2.0]
    wav = bursts(times)
    assert onset_f(wav, wav, RATE) == 1
    assert onset_f(wav, bursts([time + 0.015 for time in times]), RATE) == 1
    late = bursts([time + 0.04 for time in times])
    assert onset_f(wav, late, RATE) == 0 and onset_f(wav, late, RATE, window=0.05) == 1
    assert onset_f(wav, bursts([0.5, 1.0]), RATE) == pytest.approx(2 / 3)
    assert np.isnan(onset_f(np.zeros(RATE), np.zeros(RATE), RATE))
