"""Kinematic beats of motions whose rests are known, and the alignment score by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pn_diffusion_plugin.metrics.beats import beat_f_measure
from pn_diffusion_plugin.metrics.dance import (
    ALIGNMENT_SIGMA,
    beat_alignment,
    dance_music_alignment,
    joint_speed,
    kinematic_beats,
)


def swing(fps: float, seconds: float = 8.0, period: float = 1.0, first: float = 0.3) -> np.ndarray:
    """All joints swing; they rest at `first`, `first + period / 2`, …"""
    time = np.arange(round(seconds * fps)) / fps
    keypoints = np.full((len(time), 33, 3), 0.5)
    reach = np.linspace(0.02, 0.2, 33)
    keypoints[..., 0] += reach * np.cos(2 * np.pi * (time[:, None] - first) / period)
    keypoints[..., 2] = 0.9
    return keypoints


@pytest.mark.parametrize("fps", [12.5, 25, 29.97, 60])
@pytest.mark.parametrize("first", [0.3, 0.317, 0.331])
def test_rests_are_found_finer_than_a_frame(fps, first) -> None:
    found = kinematic_beats(swing(fps, first=first), fps)
    rests = np.arange(first, 7.9, 0.5)
    assert len(found) == pytest.approx(len(rests), abs=1)
    assert np.abs(found[:, None] - rests).min(axis=1).max() < 0.25 / fps


def test_jitter_of_the_pose_does_not_hide_the_beats() -> None:
    keypoints = swing(25)
    keypoints[..., :2] += np.random.default_rng(0).normal(0, 0.002, keypoints[..., :2].shape)
    found = kinematic_beats(keypoints, 25)
    assert beat_f_measure(np.arange(0.3, 7.9, 0.5), found) > 0.95


def test_a_dancer_who_stands_still_has_few_beats() -> None:
    still = np.full((200, 33, 3), 0.5)
    assert kinematic_beats(still, 25).size == 0
    # a move, a long rest with a trembling pose estimate, a move
    keypoints = swing(25)
    keypoints[75:150, :, 0] = keypoints[75, :, 0]
    keypoints[..., :2] += np.random.default_rng(0).normal(0, 0.0005, keypoints[..., :2].shape)
    found = kinematic_beats(keypoints, 25)
    assert np.count_nonzero((found > 3.2) & (found < 5.8)) <= 1


def test_hidden_joints_are_ignored() -> None:
    keypoints = swing(25)
    wild = keypoints.copy()
    rng = np.random.default_rng(0)
    wild[:, 20:, :2] = rng.random((len(wild), 13, 2))
    wild[:, 20:, 2] = 0.1
    np.testing.assert_allclose(joint_speed(wild, 25), joint_speed(keypoints[:, :20], 25))
    wild[..., 2] = 0.1
    assert kinematic_beats(wild, 25).size == 0


def test_frames_without_a_person_do_not_judge_the_joints() -> None:
    keypoints = swing(25)
    keypoints[: len(keypoints) * 2 // 3, :, 2] = 0  # interpolated
    np.testing.assert_allclose(joint_speed(keypoints, 25), joint_speed(swing(25), 25))
    assert not joint_speed(keypoints[:100], 25).any()


def test_speed_is_in_picture_heights_a_second() -> None:
    keypoints = np.ones((5, 33, 3))
    keypoints[:, :, 0] = np.arange(5)[:, None] * 0.01
    np.testing.assert_allclose(joint_speed(keypoints, 25), 0.25)
    np.testing.assert_allclose(joint_speed(keypoints, 25, aspect=16 / 9), 0.25 * 16 / 9)


def test_short_and_bad_input() -> None:
    for frames in (0, 1, 2, 3):
        assert kinematic_beats(swing(25)[:frames], 25).size == 0
    with pytest.raises(ValueError, match=r"\(T, J, 3\)"):
        kinematic_beats(np.zeros((5, 33, 2)), 25)
    with pytest.raises(ValueError, match="fps"):
        kinematic_beats(np.zeros((5, 33, 3)), 0)


def test_alignment_by_hand() -> None:
    assert ALIGNMENT_SIGMA == pytest.approx(0.05)
    assert beat_alignment([1.0, 2.0], [1.0, 2.0, 3.0]) == 1
    assert beat_alignment([1.0, 2.0], [1.05, 2.0]) == pytest.approx((math.exp(-0.5) + 1) / 2)


def test_one_direction_alone_is_fooled() -> None:
    """Dense clicks please dance → music, a single beat pleases music → dance; never both."""
    dance = np.arange(0.5, 8, 0.6)
    dense = dance_music_alignment(dance, np.arange(0, 8, 0.05))
    sparse = dance_music_alignment(dance, dance[:1])
    fitting = dance_music_alignment(dance, dance)
    assert fitting == (1, 1)
    assert dense[0] > 0.9 and dense[1] < 0.4
    assert sparse[1] == 1 and sparse[0] < 0.2


def test_the_directions_are_each_others_mirror() -> None:
    rng = np.random.default_rng(0)
    dance, music = np.sort(rng.random(12)) * 8, np.sort(rng.random(15)) * 8
    assert dance_music_alignment(dance, music) == dance_music_alignment(music, dance)[::-1]


def test_alignment_without_events() -> None:
    assert dance_music_alignment([1.0], []) == (0, 0)  # silence fits no dance
    assert all(math.isnan(score) for score in dance_music_alignment([], [1.0]))
    assert math.isnan(beat_alignment([], [1.0]))
