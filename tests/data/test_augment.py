"""Changes to keypoints do what they say, to known amounts, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.data.augment import (
    JITTER,
    JITTER_CORRELATION,
    MIRRORED,
    Augmentation,
    drift,
    drop_gap,
    drop_joints,
    jitter,
    mirror,
    part_of_body,
    resample,
    resize,
)
from pn_diffusion_plugin.data.skeleton import JOINT_NAMES
from pn_diffusion_plugin.errors import UserError

FPS, WIDTH = 25.0, 0.5625
NOTHING = {
    "mirror": 0,
    "scale": 0,
    "stretch": 0,
    "shift": 0,
    "drift": 0,
    "jitter": 0,
    "joints": 0,
    "frames": 0,
    "gaps": 0,
}


def dance(frames: int = 50) -> np.ndarray:
    """(T, 33, 3): a body that swings, every joint elsewhere."""
    time = np.arange(frames)[:, None] / FPS
    joint = np.arange(33)[None]
    x = 0.3 + 0.01 * joint + 0.05 * np.sin(2 * np.pi * time + joint)
    y = 0.2 + 0.02 * joint + 0.03 * np.cos(3 * np.pi * time + joint)
    return np.stack([x, y, np.full_like(x, 0.9)], axis=-1).astype(np.float32)


def velocities(keypoints: np.ndarray) -> np.ndarray:
    return np.diff(keypoints[..., :2], axis=0) * FPS


def test_mirror_twice_is_the_dance_and_once_swaps_the_sides() -> None:
    x = dance()
    once = mirror(x, WIDTH)
    np.testing.assert_allclose(mirror(once, WIDTH), x, atol=1e-6)
    left, right = JOINT_NAMES.index("left_wrist"), JOINT_NAMES.index("right_wrist")
    np.testing.assert_allclose(once[:, left, 0], WIDTH - x[:, right, 0], atol=1e-6)
    np.testing.assert_array_equal(once[:, left, 1:], x[:, right, 1:])
    assert MIRRORED[JOINT_NAMES.index("nose")] == JOINT_NAMES.index("nose")
    assert sorted(MIRRORED) == list(range(33)) and sum(j == k for j, k in enumerate(MIRRORED)) == 1


def test_a_steady_drift_adds_a_constant_to_all_velocities() -> None:
    x = dance()
    added = velocities(drift(x, (0.2, -0.1), FPS)) - velocities(x)
    np.testing.assert_allclose(added, np.broadcast_to([0.2, -0.1], added.shape), atol=1e-4)


def test_resizing_keeps_the_middle_and_scales_velocities() -> None:
    x = dance()
    middle = (0.3, 0.5)
    larger = resize(x, (2.0, 0.5), middle)
    np.testing.assert_allclose(velocities(larger), velocities(x) * (2.0, 0.5), atol=1e-4)
    still = np.broadcast_to(np.array([*middle, 1.0], np.float32), (3, 33, 3))
    np.testing.assert_allclose(resize(still, (3.0, 3.0), middle), still, atol=1e-6)


def test_noise_has_the_size_and_memory_asked_for() -> None:
    x = np.zeros((20000, 2, 3), np.float32)
    noise = jitter(x, np.array([0.01, 0.05]), 0.6, np.random.default_rng(0))[..., :2]
    np.testing.assert_allclose(noise.std(axis=(0, 2)), [0.01, 0.05], rtol=0.03)
    stays = (noise[1:] * noise[:-1]).mean(axis=(0, 2)) / noise.var(axis=(0, 2))
    np.testing.assert_allclose(stays, 0.6, atol=0.03)
    assert (x == 0).all()  # what was given stays as it was


def test_dropped_joints_and_frames_are_masked_and_no_others() -> None:
    x = dance()
    hidden = drop_joints(x, np.arange(33) == 15)
    assert (hidden[:, 15, 2] == 0).all()
    np.testing.assert_array_equal(np.delete(hidden, 15, axis=1), np.delete(x, 15, axis=1))
    kept = drop_gap(np.ones(50, bool), FPS, 0.4, 0.2)
    np.testing.assert_array_equal(np.flatnonzero(~kept), np.arange(10, 15))
    np.testing.assert_array_equal(drop_gap(np.ones(5, bool), FPS, 10.0, 1.0), np.ones(5, bool))


@pytest.mark.parametrize("rate", [15.0, 24.0, 30.0])
def test_another_rate_keeps_steady_movements(rate: float) -> None:
    """Straight lines come back as they were (but for the ends, where nothing is known beyond)."""
    x = drift(np.full((40, 33, 3), 0.5, np.float32), (0.3, -0.2), FPS)
    np.testing.assert_allclose(resample(x, FPS, rate, 0.3)[3:-3], x[3:-3], atol=1e-5)
    np.testing.assert_allclose(resample(x, FPS, FPS, 0.0), x, atol=1e-6)


def test_a_slow_camera_blurs_fast_movements() -> None:
    time = np.arange(100) / FPS
    x = np.zeros((100, 33, 3), np.float32)
    x[..., 0] = np.sin(2 * np.pi * 5 * time)[:, None]
    assert np.abs(resample(x, FPS, 12.0, 0.0)[5:-5, 0, 0]).mean() < 0.8 * np.abs(x[5:-5, 0, 0]).mean()


def test_the_same_seed_gives_the_same_change_and_another_one_another() -> None:
    x, detected = dance(), np.ones(50, bool)
    change = Augmentation(gaps=1.0).change(1, 2, 3)
    first, kept = change(x, detected, FPS, WIDTH)
    again, kept_again = change(x, detected, FPS, WIDTH)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(kept, kept_again)
    for other in ((1, 2, 4), (1, 3, 3), (2, 2, 3)):
        assert not np.array_equal(first, Augmentation().change(*other)(x, detected, FPS, WIDTH)[0])
    assert first.dtype == np.float32 and kept.dtype == bool and first.shape == x.shape
    np.testing.assert_array_equal(x, dance())


def test_nothing_asked_for_changes_nothing() -> None:
    x, detected = dance(), np.arange(50) > 3
    same, kept = Augmentation(**NOTHING, rates=()).change(0)(x, detected, FPS, WIDTH)
    np.testing.assert_allclose(same, x, atol=1e-6)
    np.testing.assert_array_equal(kept, detected)


def test_noise_scales_with_the_torso() -> None:
    x = np.zeros((4000, 33, 3), np.float32)
    x[:, [11, 12], 1] = 0.4  # a torso of 0.4 heights
    noisy, _ = Augmentation(**{**NOTHING, "jitter": 2.0}, rates=()).change(5)(
        x, np.ones(4000, bool), FPS, WIDTH
    )
    deviation = (noisy - x)[..., :2].std(axis=(0, 2))
    np.testing.assert_allclose(deviation, 2 * 0.4 * JITTER, rtol=0.1)
    assert 0 <= JITTER_CORRELATION < 1


def test_every_joint_belongs_to_a_part() -> None:
    parts = {name: part_of_body(name) for name in JOINT_NAMES}
    assert parts["left_foot_index"] == "feet" and parts["right_index"] == "hands" and parts["nose"] == "head"
    assert parts["left_ear"] == "head" and parts["left_hip"] == "trunk" and parts["right_knee"] == "legs"


def test_undetected_frames_do_not_affect_detected_ones() -> None:
    x, detected = dance(), np.arange(50) != 20
    x[20] = 1e4
    for seed in range(5):
        changed, kept = Augmentation(**NOTHING, rates=(24.0,)).change(seed)(x, detected, FPS, WIDTH)
        assert not kept[20] and kept.sum() >= 46
        assert np.abs(changed[kept]).max() < 2


def test_some_frame_stays_detected() -> None:
    detected = np.ones(50, bool)
    _, kept = Augmentation(frames=1.0).change(0)(dance(), detected, FPS, WIDTH)
    np.testing.assert_array_equal(kept, detected)


def test_the_configuration_is_read_and_nonsense_refused() -> None:
    assert Augmentation.from_config(None) is None
    assert Augmentation.from_config({"use": False, "mirror": 0.1}) is None
    found = Augmentation.from_config({"use": True, "mirror": 0.1, "rates": [24, 30]})
    assert found is not None and found.mirror == 0.1 and found.rates == (24.0, 30.0)
    assert Augmentation.from_config({"use": True, "rates": None}) == Augmentation(rates=())
    for wrong, message in (
        ({"wobble": 1}, "augment.wobble"),
        ({"mirror": 2}, "augment.mirror is 2"),
        ({"drift": -1}, "augment.drift is -1"),
        ({"rates": [1]}, "augment.rates"),
        ({"scale": "wide"}, "not a number"),
    ):
        with pytest.raises(UserError, match=message):
            Augmentation.from_config({"use": True, **wrong})
