"""The null rows are what they say; the shuffle borrows another song wherever it can."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.metrics.nulls import click_track, repeat_to, shuffle_clips, silence


def test_clicks_stand_every_half_second() -> None:
    wav = click_track(22050 * 4, 22050)
    starts = np.flatnonzero((np.abs(wav) > 1e-6) & (np.abs(np.roll(wav, 1)) <= 1e-6)) / 22050
    starts = starts[np.insert(np.diff(starts) > 0.1, 0, True)]
    np.testing.assert_allclose(starts, np.arange(0.25, 4, 0.5), atol=1e-3)
    assert 0.5 < np.abs(wav).max() < 1
    assert click_track(100, 22050).shape == (100,)  # too short for a click
    assert click_track(22050 // 4 + 3, 22050).shape == (22050 // 4 + 3,)  # a click cut by the end


def test_silence_is_silent() -> None:
    assert silence(7).shape == (7,) and not silence(7).any()


def test_repeat_to() -> None:
    wav = np.arange(3, dtype=np.float32)
    assert repeat_to(wav, 2).tolist() == [0, 1]
    assert repeat_to(wav, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert repeat_to(wav[:0], 2).tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [2, 3, 10, 32])
def test_shuffle_is_a_permutation_without_fixed_points(n, seed) -> None:
    shuffled = shuffle_clips([None] * n, seed)
    assert sorted(shuffled) == list(range(n))
    assert all(i != j for i, j in enumerate(shuffled))


@pytest.mark.parametrize("seed", range(5))
def test_shuffle_takes_another_song(seed) -> None:
    songs = ["a"] * 8 + ["b"] * 5 + ["c"] * 2 + [None]
    assert all(songs[i] != songs[j] for i, j in enumerate(shuffle_clips(songs, seed)))


def test_shuffle_when_a_song_cannot_be_avoided() -> None:
    songs = ["a"] * 4 + ["b"]  # one swap with b is possible, three clips of a stay among themselves
    shuffled = shuffle_clips(songs)
    assert all(i != j for i, j in enumerate(shuffled))
    assert sum(songs[i] == songs[j] for i, j in enumerate(shuffled)) == 3


def test_shuffle_depends_on_the_seed_alone() -> None:
    assert shuffle_clips([None] * 20, 3) == shuffle_clips([None] * 20, 3)
    assert shuffle_clips([None] * 20, 3) != shuffle_clips([None] * 20, 4)


def test_one_clip_cannot_be_shuffled() -> None:
    with pytest.raises(ValueError, match="two clips"):
        shuffle_clips(["a"])
