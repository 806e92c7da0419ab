"""Motion features are free of the dancer's place and size, and know the derivatives of analytic motions."""

from __future__ import annotations

import math

import pytest
import torch

from pn_diffusion_plugin.data.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from pn_diffusion_plugin.modules.motion import motion_features

FPS = 25.0
ALL = ("position", "velocity", "speed", "acceleration")


def standing(frames: int = 50) -> torch.Tensor:
    """Somebody standing still with a torso of 0.2 of the picture."""
    keypoints = torch.full((1, frames, 33, 3), 0.5)
    keypoints[:, :, [LEFT_SHOULDER, RIGHT_SHOULDER], 1] = 0.3
    keypoints[:, :, [LEFT_HIP, RIGHT_HIP], 1] = 0.5
    return keypoints


def test_standing_still_has_no_velocity():
    features = motion_features(standing(), FPS, ALL)
    assert features.shape == (1, 50, 33, 7)
    assert features[..., 2:].abs().max() == 0


def test_place_and_size_do_not_matter():
    torch.manual_seed(0)
    keypoints = standing() + 0.02 * torch.randn(1, 50, 33, 3)
    moved = keypoints.clone()
    moved[..., :2] = 0.5 * keypoints[..., :2] + 0.1
    torch.testing.assert_close(
        motion_features(keypoints, FPS, ALL), motion_features(moved, FPS, ALL), atol=1e-4, rtol=1e-4
    )


def test_a_hand_on_a_sine_has_the_sines_derivatives():
    keypoints = standing(100)
    time = torch.arange(100) / FPS
    keypoints[0, :, 15, 0] = 0.5 + 0.1 * torch.sin(
        2 * math.pi * time
    )  # 0.1 of the picture: 0.5 torso lengths
    features = motion_features(keypoints, FPS, ALL)[0, 2:-2, 15]
    t = time[2:-2]
    torch.testing.assert_close(features[:, 2], math.pi * torch.cos(2 * math.pi * t), atol=0.05, rtol=0)
    torch.testing.assert_close(features[:, 4], math.pi * torch.cos(2 * math.pi * t).abs(), atol=0.05, rtol=0)
    torch.testing.assert_close(features[:, 5], -2 * math.pi**2 * torch.sin(2 * math.pi * t), atol=0.5, rtol=0)


def test_reversing_time_turns_velocity_round_and_keeps_speed_and_acceleration():
    torch.manual_seed(1)
    keypoints = standing() + 0.02 * torch.randn(1, 50, 33, 3)
    there = motion_features(keypoints, FPS, ALL)
    back = motion_features(keypoints.flip(1), FPS, ALL).flip(1)
    torch.testing.assert_close(back[..., 2:4], -there[..., 2:4], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(back[..., 4:], there[..., 4:], atol=1e-3, rtol=1e-3)


def test_a_torso_that_vanishes_gives_finite_numbers():
    assert motion_features(torch.zeros(1, 10, 33, 3), FPS, ALL).isfinite().all()


def test_one_frame_and_unknown_names():
    assert motion_features(standing(1), FPS, ALL)[..., 2:].abs().max() == 0
    with pytest.raises(ValueError, match="jerk"):
        motion_features(standing(), FPS, ("jerk",))


def test_what_stands_in_a_gap_touches_no_joint_that_was_seen():
    torch.manual_seed(2)
    keypoints = standing() + 0.02 * torch.randn(1, 50, 33, 3)
    seen = torch.ones(1, 50, 33, dtype=torch.bool)
    seen[:, 10:20], seen[:, 21], seen[:, 30:, 15] = (
        False,
        False,
        False,
    )  # frame 20 alone, and a hand that left
    garbage = torch.where(seen[..., None], keypoints, 5 * torch.randn_like(keypoints))
    a, b = (motion_features(places, FPS, ALL, seen) for places in (keypoints, garbage))
    assert torch.equal(a[seen], b[seen])
    assert not torch.equal(a[~seen], b[~seen])
    assert a[0, 20, :, 2:].abs().max() == 0  # no neighbour was seen: nothing is known of its motion


def test_beside_a_gap_a_ramp_keeps_its_slope():
    keypoints = standing()
    keypoints[0, :, 15, 0] += 0.2 * torch.arange(50) / FPS  # one torso length a second
    seen = torch.ones(1, 50, 33, dtype=torch.bool)
    seen[:, 20:25] = False
    keypoints[:, 20:25] = 0.0
    velocity = motion_features(keypoints, FPS, ("velocity",), seen)[0, seen[0, :, 15], 15, 0]
    torch.testing.assert_close(velocity, torch.ones(45), atol=1e-4, rtol=0)


def test_a_clip_seen_throughout_has_the_same_features_to_the_last_bit():
    torch.manual_seed(3)
    keypoints = standing() + 0.02 * torch.randn(1, 50, 33, 3)
    seen = torch.ones(1, 50, 33, dtype=torch.bool)
    assert torch.equal(motion_features(keypoints, FPS, ALL, seen), motion_features(keypoints, FPS, ALL))


def test_no_trunk_at_all_gives_finite_numbers():
    assert motion_features(standing(), FPS, ALL, torch.zeros(1, 50, 33, dtype=torch.bool)).isfinite().all()
