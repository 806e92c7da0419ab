"""Filming a dancer: inside the frame, drawn where the joints are, detected by BlazePose."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.body import Body, Motion, neutral_pose, pose_joints
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedPlan, GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.synthetic.plan import SyntheticSpec
from pn_diffusion_plugin.data.corpora.synthetic.scene import Shot, crop, film, frame_size
from pn_diffusion_plugin.data.features.pose import PoseExtractor

SPEC = GeneratedSpec()
TRIPOD = Shot(0.0, 0.0, 5.0, 0.7, 1.0, (0.5, 0.5), 0.0)


def standing(shot: Shot) -> np.ndarray:
    body = Body()
    motion = Motion(np.repeat(pose_joints(neutral_pose()[None], body), 3, axis=0), body)
    return film(motion, shot, 25.0, np.random.default_rng(0))[0].keypoints


def test_a_camera_to_the_left_sees_the_dancer_turned() -> None:
    front, side = standing(TRIPOD), standing(dataclasses.replace(TRIPOD, azimuth=0.9))
    assert front[0, 0, 0] == pytest.approx(0.5 * (front[0, 11, 0] + front[0, 12, 0]), abs=0.01), (
        "nose in the middle"
    )
    breadth = [np.ptp(view[0, [11, 12], 0]) for view in (front, side)]
    assert breadth[1] < 0.75 * breadth[0]
    assert front[0, 11, 0] > front[0, 12, 0], "the dancer's left is at the right of the frame"


def test_perspective_makes_what_is_near_larger() -> None:
    near, far = (standing(dataclasses.replace(TRIPOD, distance=d, azimuth=1.2)) for d in (2.0, 50.0))
    arm = [np.hypot(*(v[0, 11] - v[0, 13])[:2]) / np.hypot(*(v[0, 12] - v[0, 14])[:2]) for v in (near, far)]
    assert abs(np.log(arm[0])) > abs(np.log(arm[1]))


def test_cut_outs_keep_joints_on_their_pixels() -> None:
    points = np.array([[[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]])
    assert frame_size(9 / 16, 256) == (256, 144) and frame_size(4 / 3, 256) == (192, 256)
    np.testing.assert_allclose(crop(points, 1.0, 256), points)
    portrait = crop(points, 9 / 16, 256)
    np.testing.assert_allclose(portrait[0, :, 1], [0.5, 0.75])
    np.testing.assert_allclose(portrait[0, 1, 0] * 144 + 56, 0.25 * 256)


@pytest.mark.parametrize("spec", [MiniSpec(), SPEC], ids=lambda spec: spec.name)
def test_dancers_stay_in_the_frame(spec: SyntheticSpec) -> None:
    shapes, heights, places = set(), [], []
    for split in ("train", "test"):
        for index in range(20):
            scene = spec.plan(split, index).scene()
            points = scene.keypoints
            assert points.shape == (len(scene), 33, 3) and points.dtype == np.float32
            assert points[..., :2].min() > 0.0 and points[..., :2].max() < 1.0
            shapes.add(scene.frame_size)
            heights.append(np.median(np.ptp(points[..., 1], axis=1)))
            places.append(points[:, 0, 0].mean())
    if spec is SPEC:
        assert len(shapes) == 4 and np.ptp(heights) > 0.25 and np.ptp(places) > 0.2


@pytest.mark.parametrize("spec", [MiniSpec(), SPEC], ids=lambda spec: spec.name)
def test_frames_show_the_dancer_where_the_joints_are(spec: SyntheticSpec) -> None:
    plan = spec.plan("test", 0)
    scene = plan.scene()
    frame = scene.frame(40)
    assert frame.shape == (*scene.frame_size, 3) and frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, plan.scene().frame(40))
    if isinstance(plan, GeneratedPlan):
        scene = dataclasses.replace(plan, shot=dataclasses.replace(plan.shot, shake=0.0)).scene()
    moved = np.abs(scene.frame(40).astype(int) - scene.frame(60)).sum(axis=-1) > 60
    rows, columns = np.nonzero(moved)
    both = np.concatenate([scene.keypoints[40], scene.keypoints[60]])[:, :2] * scene.frame_size[::-1]
    assert columns.min() >= both[:, 0].min() - 25 and columns.max() <= both[:, 0].max() + 25
    assert rows.min() >= both[:, 1].min() - 25 and rows.max() <= both[:, 1].max() + 25


def test_an_unsteady_camera_moves_room_and_dancer_alike() -> None:
    plan = SPEC.plan("train", 1)
    shot = dataclasses.replace(TRIPOD, shake=0.02)
    joints = np.repeat(plan.motion().joints[:1], 50, axis=0)
    footage, shake = film(Motion(joints, Body()), shot, 25.0, np.random.default_rng(3))
    points = footage.keypoints
    np.testing.assert_allclose(points[:, 5, :2] - points[0, 5, :2], shake - shake[0], atol=1e-6)
    assert np.ptp(shake) > 0.01


@pytest.mark.parametrize(("spec", "index"), [(MiniSpec(), 1), (SPEC, 2)])
def test_blazepose_finds_the_dancer(spec: SyntheticSpec, index: int) -> None:
    main = [0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
    scene = dataclasses.replace(spec, seconds=2.4).plan("test", index).scene()
    found, detected = PoseExtractor().extract(scene, 25.0)
    assert detected.mean() >= 0.9
    height, width = scene.frame_size
    away = (found - scene.keypoints)[..., :2] * (width / height, 1.0)
    size = np.median(np.ptp(scene.keypoints[..., 1], axis=1))
    assert np.linalg.norm(away, axis=-1)[detected][:, main].mean() < 0.06 * size
