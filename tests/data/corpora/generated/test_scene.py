"""Filming a generated dancer: in the picture, where the joints are, as BlazePose sees people."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.generated.choreography import Motion
from pn_diffusion_plugin.data.corpora.generated.plan import (
    GeneratedSpec,
    clip_motion,
    clip_pictures,
    clip_plan,
)
from pn_diffusion_plugin.data.corpora.generated.scene import Shot, cut_out, film, picture_size
from pn_diffusion_plugin.data.corpora.mini.body import Body, neutral_pose, pose_joints
from pn_diffusion_plugin.data.features.pose import PoseExtractor

SPEC = GeneratedSpec()
TRIPOD = Shot(0.0, 0.0, 5.0, 0.7, 1.0, (0.5, 0.5), 0.0)


def standing(shot: Shot) -> np.ndarray:
    body = Body()
    motion = Motion(np.repeat(pose_joints(neutral_pose()[None], body), 3, axis=0), body)
    return film(motion, shot, 25.0, np.random.default_rng(0))[0]


def test_a_camera_to_the_left_sees_the_dancer_turned() -> None:
    front, side = standing(TRIPOD), standing(dataclasses.replace(TRIPOD, azimuth=0.9))
    assert front[0, 0, 0] == pytest.approx(0.5 * (front[0, 11, 0] + front[0, 12, 0]), abs=0.01), (
        "nose in the middle"
    )
    breadth = [np.ptp(view[0, [11, 12], 0]) for view in (front, side)]
    assert breadth[1] < 0.75 * breadth[0]
    assert front[0, 11, 0] > front[0, 12, 0], "the dancer's left is at the picture's right"


def test_perspective_makes_what_is_near_larger() -> None:
    near, far = (standing(dataclasses.replace(TRIPOD, distance=d, azimuth=1.2)) for d in (2.0, 50.0))
    arm = [np.hypot(*(v[0, 11] - v[0, 13])[:2]) / np.hypot(*(v[0, 12] - v[0, 14])[:2]) for v in (near, far)]
    assert abs(np.log(arm[0])) > abs(np.log(arm[1]))


def test_cut_outs_keep_joints_on_their_pixels() -> None:
    points = np.array([[[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]])
    assert picture_size(9 / 16, 256) == (256, 144) and picture_size(4 / 3, 256) == (192, 256)
    np.testing.assert_allclose(cut_out(points, 1.0, 256), points)
    portrait = cut_out(points, 9 / 16, 256)
    np.testing.assert_allclose(portrait[0, :, 1], [0.5, 0.75])
    np.testing.assert_allclose(portrait[0, 1, 0] * 144 + 56, 0.25 * 256)


def test_dancers_stay_in_the_picture_and_pictures_differ() -> None:
    shapes, heights, places = set(), [], []
    for index in range(40):
        scene = clip_pictures(SPEC, clip_plan(SPEC, "train", index))
        points = scene.keypoints
        assert points.shape == (192, 33, 3) and points.dtype == np.float32
        assert points[..., :2].min() > 0.0 and points[..., :2].max() < 1.0
        shapes.add(scene.picture_size)
        heights.append(np.median(np.ptp(points[..., 1], axis=1)))
        places.append(points[:, 0, 0].mean())
    assert len(shapes) == 4
    assert np.ptp(heights) > 0.25 and np.ptp(places) > 0.2


def test_frames_show_the_dancer_where_the_joints_are() -> None:
    plan = clip_plan(SPEC, "test", 0)
    scene = clip_pictures(SPEC, plan)
    frame, later = scene.frame(40), scene.frame(60)
    assert frame.shape == (*scene.picture_size, 3) and frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, clip_pictures(SPEC, plan).frame(40))
    still = dataclasses.replace(plan, shot=dataclasses.replace(plan.shot, unrest=0.0))
    scene = clip_pictures(SPEC, still)
    moved = np.abs(scene.frame(40).astype(int) - scene.frame(60)).sum(axis=-1) > 60
    rows, columns = np.nonzero(moved)
    both = np.concatenate([scene.keypoints[40], scene.keypoints[60]])[:, :2] * scene.picture_size[::-1]
    assert columns.min() >= both[:, 0].min() - 25 and columns.max() <= both[:, 0].max() + 25
    assert rows.min() >= both[:, 1].min() - 25 and rows.max() <= both[:, 1].max() + 25
    assert later.shape == frame.shape


def test_an_unsteady_camera_moves_room_and_dancer_alike() -> None:
    plan = clip_plan(SPEC, "train", 1)
    shot = dataclasses.replace(TRIPOD, unrest=0.02)
    joints = np.repeat(clip_motion(SPEC, plan).joints[:1], 50, axis=0)
    points, _, unrest = film(Motion(joints, Body()), shot, 25.0, np.random.default_rng(3))
    np.testing.assert_allclose(points[:, 5, :2] - points[0, 5, :2], unrest - unrest[0], atol=1e-6)
    assert np.ptp(unrest) > 0.01


def test_blazepose_finds_the_dancer() -> None:
    spec = dataclasses.replace(SPEC, seconds=2.4)
    main = [0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    plan = clip_plan(spec, "test", 2)
    scene = clip_pictures(spec, plan)
    found, detected = PoseExtractor().extract(scene, 25.0)
    assert detected.mean() >= 0.9
    height, width = scene.picture_size
    away = (found - scene.keypoints)[..., :2] * (width / height, 1.0)
    size = np.median(np.ptp(scene.keypoints[..., 1], axis=1))
    assert np.linalg.norm(away, axis=-1)[detected][:, main].mean() < 0.06 * size
