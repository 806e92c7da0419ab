"""The Fréchet distance of Gaussians that are known, and what few clips do to it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from pn_diffusion_plugin.metrics.frechet import MIN_CLIPS, frechet_clips, frechet_distance


def draw(rng: np.random.Generator, clips: int, dim: int = 6, shift: float = 0.0) -> list[np.ndarray]:
    """Windows that are like within a clip, as in music."""
    return [shift + rng.standard_normal(dim) + 0.3 * rng.standard_normal((4, dim)) for _ in range(clips)]


def test_gaussians_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    scale, mean = np.array([1.0, 2.0, 0.5]), np.array([1.0, -2.0, 3.0])
    x, y = rng.standard_normal((400_000, 3)), mean + scale * rng.standard_normal((400_000, 3))
    assert frechet_distance(x, y) == pytest.approx((mean**2).sum() + ((1 - scale) ** 2).sum(), rel=5e-3)


@pytest.mark.parametrize("rows", [(40, 60), (5, 7), (3, 60)])
def test_equal_to_the_matrix_square_root_also_with_few_rows(rows: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((rows[0], 12)), 0.5 + 2 * rng.standard_normal((rows[1], 12))
    a, b = np.cov(x.T), np.cov(y.T)
    root = sqrtm(a + 1e-13 * np.eye(12)).real  # Tr (AB)^½ = Tr (A^½ B A^½)^½, whose argument is symmetric
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum()
    direct = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * cross
    assert frechet_distance(x, y) == pytest.approx(direct, rel=1e-4)


def test_a_distance() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((50, 8)), 1 + rng.standard_normal((30, 8))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    assert frechet_distance(x @ turn, y @ turn) == pytest.approx(frechet_distance(x, y))
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * frechet_distance(x, y))


def test_few_clips_of_the_same_music_come_out_near_zero_where_the_plain_distance_does_not() -> None:
    rng = np.random.default_rng(3)
    found = [frechet_clips(draw(rng, 24), draw(rng, 24), resamples=20) for _ in range(20)]
    corrected, plain = (np.mean([one[key] for one in found]) for key in ("mean", "plug_in"))
    assert plain > 0.8
    assert abs(corrected) < 0.25 * plain


def test_the_interval_holds_the_truth_and_shrinks() -> None:
    rng = np.random.default_rng(4)
    truth = 6 * 0.5**2  # the same spread, every mean half a unit off
    found = [frechet_clips(draw(rng, 32, shift=0.5), draw(rng, 32), resamples=100) for _ in range(20)]
    assert sum(one["low"] <= truth <= one["high"] for one in found) >= 16
    many = frechet_clips(draw(rng, 128, shift=0.5), draw(rng, 128), resamples=100)
    assert many["high"] - many["low"] < np.mean([one["high"] - one["low"] for one in found])
    assert many["low"] > 0.3 and many["n"] == 128


def test_worse_music_lies_further() -> None:
    rng = np.random.default_rng(5)
    reference = draw(rng, 16)
    means = [frechet_clips(draw(rng, 16, shift=s), reference, resamples=10)["mean"] for s in (0, 1, 3)]
    assert means == sorted(means)


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(6)
    x, y = draw(rng, 10), draw(rng, 10)
    assert frechet_clips(x, y, seed=1, resamples=20) == frechet_clips(x, y, seed=1, resamples=20)
    assert (
        frechet_clips(x, y, seed=1, resamples=20)["low"] != frechet_clips(x, y, seed=2, resamples=20)["low"]
    )


def test_clips_may_have_windows_in_different_numbers() -> None:
    rng = np.random.default_rng(7)
    clips = [windows[: 1 + i % 4] for i, windows in enumerate(draw(rng, 12))]
    assert frechet_clips(clips, clips, resamples=5)["plug_in"] == pytest.approx(0, abs=1e-9)


def test_too_few_and_wrong_samples() -> None:
    rng = np.random.default_rng(8)
    few = draw(rng, MIN_CLIPS - 1)
    assert frechet_clips(few, few) == {"not_run": "needs at least 8 clips; there are 7"}
    with pytest.raises(ValueError, match="no pairs"):
        frechet_clips(few, few[:-1])
    with pytest.raises(ValueError, match="two rows"):
        frechet_distance(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="cannot be compared"):
        frechet_distance(np.zeros((4, 2)), np.zeros((4, 3)))
