"""The same recording is known under another cut, level, encoding and noise; other music is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.data.corpora.fingerprint import fingerprint, matching_pairs, similarities

RATE = 22050


def song(seed: int, seconds: float = 20.0) -> np.ndarray:
    """A made-up song: chords and a melody of decaying partials, noise bursts on the beats."""
    rng = np.random.default_rng(seed)
    wav = np.zeros(int(seconds * RATE))
    beat = 60 / rng.uniform(70, 160)
    for number in range(int(seconds / beat)):
        start = int(number * beat * RATE)
        time = np.arange(min(int(1.5 * beat * RATE), len(wav) - start)) / RATE
        for note in rng.choice([0, 3, 5, 7, 10, 12, 15], size=3):
            pitch = 110 * 2 ** ((note + seed % 12) / 12)
            for partial in range(1, 6):
                wav[start : start + len(time)] += (
                    np.sin(2 * np.pi * pitch * partial * time + rng.uniform(0, 6))
                    * np.exp(-4 * time)
                    / partial
                )
        wav[start : start + len(time)] += rng.normal(size=len(time)) * np.exp(-60 * time)
    return (0.5 * wav / np.abs(wav).max()).astype(np.float32)


def test_same_recording_under_another_cut_level_noise_and_encoding():
    whole = song(1)
    rng = np.random.default_rng(0)
    stream = io.BytesIO()
    soundfile.write(stream, whole[3 * RATE : 12 * RATE], RATE, format="OGG", subtype="VORBIS")
    stream.seek(0)
    prints = {
        "whole": fingerprint(whole, RATE),
        "cut": fingerprint(0.1 * whole[5 * RATE + 217 : 13 * RATE + 217], RATE),  # not on a frame
        "noisy": fingerprint(whole[8 * RATE :] + 0.005 * rng.normal(size=12 * RATE).astype(np.float32), RATE),
        "encoded": fingerprint(soundfile.read(stream)[0], RATE),
    }
    matched = matching_pairs(prints)
    assert {("cut", "whole"), ("noisy", "whole"), ("encoded", "whole"), ("cut", "encoded")} <= {
        tuple(sorted(pair)) for pair in matched
    }


def test_other_songs_do_not_match():
    prints = {str(seed): fingerprint(song(seed), RATE) for seed in range(12)}
    assert matching_pairs(prints) == []


def test_level_changes_nothing():
    wav = song(3, 5.0)
    np.testing.assert_array_equal(fingerprint(wav, RATE), fingerprint(0.25 * wav, RATE))


def test_another_sample_rate_is_brought_to_ours():
    wav = song(4, 8.0)
    doubled = np.repeat(wav, 2)
    prints = {"one": fingerprint(wav, RATE), "other": fingerprint(doubled, 2 * RATE)}
    assert matching_pairs(prints) == [("one", "other")]


@pytest.mark.parametrize("wav", [np.zeros(RATE), np.zeros(0), np.ones(10)])
def test_silence_and_scraps_have_no_landmarks_and_match_nothing(wav):
    landmarks = fingerprint(wav.astype(np.float32), RATE)
    assert landmarks.shape == (0, 2)
    assert similarities({"a": landmarks, "b": landmarks}) == []


def test_the_block_size_does_not_affect_the_result(monkeypatch):
    """Clips in blocks of any size: the same pairs with the same shares."""
    wav = song(1)
    prints = {
        f"{number}": fingerprint(wav[start * RATE : (start + 6) * RATE], RATE)
        for number, start in enumerate((0, 2, 4, 9, 12))
    } | {"other": fingerprint(song(2, 6.0), RATE), "silence": fingerprint(np.zeros(RATE), RATE)}
    whole = similarities(prints)
    assert len(whole) >= 3
    for size in (1, 400):
        monkeypatch.setattr("pn_diffusion_plugin.data.corpora.fingerprint._BLOCK", size)
        assert similarities(prints) == whole
