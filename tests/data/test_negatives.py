from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import make_corpus, make_features

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.data.dataset import DanceDataset
from pn_diffusion_plugin.data.negatives import (
    NEGATIVE_CUES,
    SHIFTS,
    TYPICAL_SHIFT,
    get_cue,
    random_shift,
    shifted_dance,
)
from pn_diffusion_plugin.errors import CorpusError, UserError


def seconds_seen(dance) -> np.ndarray:
    """Tiny features tell the time: x of a joint is the second of the clip."""
    return dance.motion[0, : int(dance.motion_length), 0, 0].numpy()


@pytest.mark.parametrize(
    "start, shift, begin", [(1.0, 0.4, 1.4), (1.0, -0.4, 0.6), (0.1, -0.4, 0.5), (5.8, 0.4, 5.4)]
)
def test_a_shifted_dance_shows_other_seconds(start: float, shift: float, begin: float) -> None:
    dance = shifted_dance(make_features(8.0), start, 4.0, shift)
    assert dance.motion.shape[1] == 100
    seen = seconds_seen(dance)
    np.testing.assert_allclose(seen, begin + np.arange(len(seen)) / 25, atol=1e-3)


def test_a_clip_of_one_segment_is_shifted_all_the_same() -> None:
    dance = shifted_dance(make_features(5.2), 0.0, 5.2)
    assert seconds_seen(dance)[0] == pytest.approx(TYPICAL_SHIFT, abs=1e-3)
    assert dance.motion.shape[1] == 130 and 120 <= int(dance.motion_length) < 130
    assert not dance.detected[0, int(dance.motion_length) :].any()


def test_shifts_are_half_beats_either_way() -> None:
    rng = np.random.default_rng(0)
    shifts = np.array([random_shift(rng) for _ in range(400)])
    assert (np.abs(shifts) >= SHIFTS[0]).all() and (np.abs(shifts) <= SHIFTS[1]).all()
    assert 150 < (shifts > 0).sum() < 250
    assert SHIFTS[0] < TYPICAL_SHIFT < SHIFTS[1]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("negatives"), [8.0, 9.0, 10.0])


def segments(manifest: Path, cue: str, epoch: int = 0, **more) -> list:
    dataset = DanceDataset.from_meta(manifest, segment_duration=5.2, num_samples=12, negative_cue=cue, **more)
    dataset.start_epoch(epoch)
    return [dataset[index][1] for index in range(len(dataset))]


def test_shifted_negatives_of_a_dataset(manifest: Path) -> None:
    found = segments(manifest, "shifted")
    moved = [float(seconds_seen(s.dance[NEGATIVE])[0] - seconds_seen(s.dance[POSITIVE])[0]) for s in found]
    assert all(SHIFTS[0] - 0.01 < abs(move) < SHIFTS[1] + 0.01 for move in moved)
    assert len({round(move, 3) for move in moved}) > 6


def test_mismatched_negatives_have_another_song(manifest: Path) -> None:
    found = segments(manifest, "mismatched")
    for segment in found:
        other = segment.dance[NEGATIVE]
        assert Path(other.path[0]).stem != segment.name
        assert other.motion.shape == segment.dance[POSITIVE].motion.shape
    assert len({Path(s.dance[NEGATIVE].path[0]).stem for s in found}) == 3


@pytest.mark.parametrize("cue", ["shifted", "mismatched"])
def test_random_negatives_are_the_same_in_every_run(manifest: Path, cue: str) -> None:
    def motions(epoch: int, **more) -> torch.Tensor:
        found = segments(manifest, cue, epoch, **more)
        return torch.stack([s.dance[NEGATIVE].motion for s in found])

    assert torch.equal(motions(1), motions(1)) and not torch.equal(motions(1), motions(2))
    assert torch.equal(motions(1, shuffle=False), motions(2, shuffle=False))


def test_one_song_has_no_mismatched_dance(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="needs another one"):
        segments(make_corpus(tmp_path, [8.0]), "mismatched")


def music(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents whose values are column numbers plus 100 per clip, and their mask; 0 in padding."""
    mask = torch.stack([(torch.arange(12) < n).float() for n in lengths])[:, None, None]
    z = torch.arange(12.0) + 100 * torch.arange(len(lengths))[:, None, None, None] + 1
    return (z * mask).expand(-1, 2, 3, -1), mask


def test_reversed_music_begins_with_the_last_moment_that_is_music() -> None:
    z, mask = music(12, 9)
    backward = NEGATIVE_CUES["reversed"].latent(z, mask)
    assert torch.equal(backward[0], z[0].flip(-1))
    assert torch.equal(backward[1, ..., :9], z[1, ..., :9].flip(-1)) and (backward[1, ..., 9:] == 0).all()
    assert torch.equal(NEGATIVE_CUES["reversed"].latent(backward, mask), z)
    assert torch.equal(NEGATIVE_CUES["reversed"].latent(z), z.flip(-1))


def test_shifted_music_is_half_a_beat_early_or_late() -> None:
    z, mask = music(*[12] * 40, 9)
    u = torch.cat([torch.arange(40) / 40, torch.tensor([0.9])])
    moved = NEGATIVE_CUES["shifted"].latent(z, mask, 0.1, u)
    shifts = ((moved[:, 0, 0, 0] - z[:, 0, 0, 0]) % torch.tensor([12] * 40 + [9])).long()
    signed = torch.where(shifts > 6, shifts - 12, shifts)[:40]
    assert set(signed[u[:40] < 0.5].tolist()) == {2, 3, 4, 5} and set(signed[u[:40] >= 0.5].tolist()) == {
        -2,
        -3,
        -4,
        -5,
    }
    for one, before, shift in zip(moved[:40], z, shifts, strict=False):
        assert torch.equal(one, before.roll(-int(shift), -1))
    assert set(moved[40, 0, 0, :9].tolist()) == set(z[40, 0, 0, :9].tolist())
    assert (moved[40, ..., 9:] == 0).all()


def test_mismatched_music_is_that_of_another_clip_at_the_own_length() -> None:
    z, mask = music(12, 5, 9)
    other = NEGATIVE_CUES["mismatched"].latent(z, mask)
    assert torch.equal(other[1, ..., :5], z[0, ..., :5])
    # The music of clip 1 has 5 columns and is repeated.
    assert torch.equal(other[2, 0, 0, :9], z[1, 0, 0, [0, 1, 2, 3, 4, 0, 1, 2, 3]])
    assert (other[0] > 200).all()  # nothing is padding


@pytest.mark.parametrize("cue", NEGATIVE_CUES)
def test_music_of_a_cue_keeps_its_values(cue: str) -> None:
    z = torch.randn(4, 2, 3, 12)
    latent = NEGATIVE_CUES[cue].latent(z)
    assert latent.shape == z.shape and not torch.equal(latent, z)
    assert torch.allclose(latent.sort().values.sum(0), z.sort().values.sum(0), atol=1e-5)
    shift = torch.full((4,), 0.2)
    once, again = (NEGATIVE_CUES[cue].latent(z, None, 0.1, shift) for _ in range(2))
    assert torch.equal(once, again)


def test_an_unknown_cue_is_refused() -> None:
    with pytest.raises(UserError, match="negative.cue='upside down'.*mismatched"):
        get_cue("upside down")
