"""Keypoint errors: applied in the given sizes, and estimated again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.keypoint_errors import GROUPS, KeypointErrors, body_height
from pn_diffusion_plugin.data.skeleton import JOINT_NAMES, JOINTS

SIZES = KeypointErrors(
    offset=(0.01,) * JOINTS,
    pose=tuple(0.008 + 0.0002 * joint for joint in range(JOINTS)),
    jitter=(0.001,) * JOINTS,
    reach=(0.2,) * JOINTS,
    shared=0.6,
    unseen=(0.05,) * JOINTS,
)


def true_points(frames: int) -> np.ndarray:
    """A trunk that stands still and is .295 long; all joints circle together and rest now and then."""
    points = np.random.default_rng(0).uniform(0.3, 0.7, (1, JOINTS, 2)).repeat(frames, axis=0)
    points[:, [JOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]] = (0.5, 0.2)
    points[:, [JOINT_NAMES.index(f"{side}_hip") for side in ("left", "right")]] = (0.5, 0.495)
    turn = np.cumsum(0.12 * np.maximum(np.sin(np.arange(frames) / 8), 0.0))
    return points + 0.1 * np.stack([np.cos(turn) / 0.75, np.sin(turn)], axis=-1)[:, None]


def test_a_body_height_is_measured_by_the_trunk() -> None:
    assert body_height(true_points(5), 0.75) == pytest.approx(1.0)


def test_errors_rest_where_the_joint_rests() -> None:
    true = true_points(400)
    still = np.abs(np.diff(true, axis=0)).max(axis=(1, 2)) == 0
    sizes = dataclasses.replace(SIZES, jitter=(0.0,) * JOINTS)
    error = sizes.apply(true, 0.75, np.random.default_rng(0))[..., :2] - true
    change = np.abs(np.diff(error, axis=0)).max(axis=(1, 2))
    assert still.sum() > 50 and change[still].max() < 1e-6 < 1e-4 < change[~still].mean()


def test_fitting_applied_errors_returns_their_sizes() -> None:
    clips = []
    for seed in range(12):
        true = true_points(1500)
        clips.append((true, SIZES.apply(true, 0.75, np.random.default_rng(seed)), 0.75))
    found = KeypointErrors.fit(clips)
    assert found.shared == pytest.approx(SIZES.shared, abs=0.1)
    np.testing.assert_allclose(found.pose, SIZES.pose, rtol=0.3)
    np.testing.assert_allclose(found.jitter, SIZES.jitter, rtol=0.3)
    np.testing.assert_allclose(np.median(found.reach), 0.2, rtol=0.3)
    assert np.median(found.offset) == pytest.approx(0.01, rel=0.3)
    assert np.median(found.unseen) == pytest.approx(0.05, rel=0.2)


def test_keypoints_have_the_form_of_a_feature_file() -> None:
    scene = GeneratedSpec().plan("train", 0).scene()
    height, width = scene.frame_size
    made = KeypointErrors.measured().apply(scene.keypoints, width / height, np.random.default_rng(0))
    assert made.shape == (192, JOINTS, 3) and made.dtype == np.float32
    assert made[..., 2].min() >= 0 and made[..., 2].max() <= 1
    away = (
        np.abs(made - scene.keypoints)[..., :2]
        * (width / height, 1)
        / body_height(scene.keypoints, width / height)
    )
    assert 0.001 < away.mean() < 0.05
    np.testing.assert_array_equal(
        made, KeypointErrors.measured().apply(scene.keypoints, width / height, np.random.default_rng(0))
    )


def test_the_measured_errors_are_larger_at_hands_than_at_the_trunk() -> None:
    errors = KeypointErrors.measured()
    assert (
        len(errors.pose)
        == len(errors.jitter)
        == len(errors.reach)
        == len(errors.offset)
        == len(errors.unseen)
        == JOINTS
    )
    hands, trunk = (
        [JOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in parts]
        for parts in (("wrist", "index"), ("shoulder", "hip"))
    )
    assert np.mean(np.array(errors.pose)[hands]) > np.mean(np.array(errors.pose)[trunk])


def test_groups_are_face_hands_and_feet() -> None:
    assert [len(group) for group in GROUPS] == [11, 4, 4, 3, 3]
    assert {JOINT_NAMES[i] for i in GROUPS[1]} == {
        f"left_{part}" for part in ("wrist", "pinky", "index", "thumb")
    }
