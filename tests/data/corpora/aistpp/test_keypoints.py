"""AIST++'s published keypoints: read without running anything, put on BlazePose's joints and on our clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_aist import write_keypoints

from pn_diffusion_plugin.data.corpora.aistpp.keypoints import (
    COCO_NAMES,
    DERIVED,
    AistPose,
    frame_times,
    resample,
    to_blazepose,
)
from pn_diffusion_plugin.data.skeleton import JOINT_NAMES
from pn_diffusion_plugin.errors import CorpusError, VideoError

SEQUENCE, VIDEO = "gBR_sBM_cAll_d04_mBR0_ch01", "gBR_sBM_c03_d04_mBR0_ch01.mp4"


def frames(count: int):
    return (np.zeros((4, 4, 3), np.uint8) for _ in range(count))


def test_joints_that_coco_has_keep_their_places_and_the_others_are_derived():
    coco = np.random.default_rng(0).random((5, 17, 3)).astype(np.float32)
    joints = to_blazepose(coco)
    assert joints.shape == (5, 33, 3)
    assert set(COCO_NAMES) | set(DERIVED) == set(JOINT_NAMES) and not set(COCO_NAMES) & set(DERIVED)
    for name in COCO_NAMES:
        assert np.array_equal(joints[:, JOINT_NAMES.index(name)], coco[:, COCO_NAMES.index(name)])
    unseen = [JOINT_NAMES.index(name) for name in DERIVED]
    assert (joints[:, unseen, 2] == 0).all() and len(unseen) == 16


def test_derived_joints_lie_where_a_body_has_them():
    """Upright, seen from the front (y down, the dancer's left at greater x)."""
    places = {
        "nose": (0, 0),
        "eye": (0.3, -0.3),
        "ear": (0.6, -0.2),
        "shoulder": (1.5, 1.5),
        "elbow": (1.7, 3),
    }
    places |= {"wrist": (1.8, 4.5), "hip": (1, 4.5), "knee": (1, 7), "ankle": (1, 9.5)}
    coco = np.zeros((1, 17, 3))
    for index, name in enumerate(COCO_NAMES):
        x, y = places[name.split("_")[-1]]
        coco[0, index, :2] = (-x if name.startswith("right") else x), y
    at = dict(zip(JOINT_NAMES, to_blazepose(coco)[0, :, :2], strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        inner, eye, outer = (sign * at[f"{side}_eye{part}"][0] for part in ("_inner", "", "_outer"))
        assert 0 < inner < eye < outer
        assert sign * at[f"mouth_{side}"][0] > 0 < at[f"mouth_{side}"][1]  # beside the middle, below the nose
        for finger in ("thumb", "pinky", "index"):
            assert at[f"{side}_wrist"][1] < at[f"{side}_{finger}"][1] < 5.2
        assert at[f"{side}_ankle"][1] < at[f"{side}_heel"][1] < at[f"{side}_foot_index"][1]


def test_a_motion_at_60_hz_is_the_same_at_25():
    times = np.arange(120) / 60
    keypoints = np.ones((120, 17, 3))
    keypoints[..., 0] = times[:, None]  # x tells the time
    joints, found = resample(keypoints, np.ones(120), times, 25.0, 49)
    assert found.all() and np.allclose(joints[..., 0], np.arange(49)[:, None] / 25, atol=1e-6)
    assert (joints[..., 2] == 1).all()


def test_undetected_joints_are_interpolated_and_marked():
    times = np.arange(60) / 60
    keypoints = np.ones((60, 17, 3))
    keypoints[..., 0] = times[:, None]
    keypoints[20:30, 9] = np.nan  # a wrist
    keypoints[20:30, 10, 2] = 0.1  # the other: AIST++'s authors do not trust it either
    keypoints[20:30, 10, :2] = 99.0
    keypoints[:, 16] = np.nan  # an ankle that is never seen
    scores = np.ones(60)
    scores[40:50] = 0.0  # no person
    joints, found = resample(keypoints, scores, times, 60.0, 60)
    for wrist in (9, 10):
        assert np.allclose(joints[:, wrist, 0], times, atol=1e-6)
        assert (joints[20:30, wrist, 2] == 0).all() and (joints[:20, wrist, 2] == 1).all()
    assert (joints[:, 16, 2] == 0).all() and np.isfinite(joints).all()
    assert found.tolist() == [not 40 <= frame < 50 for frame in range(60)]
    after_the_end, found = resample(keypoints, scores, times, 10.0, 20)
    assert not found[12:].any() and np.isfinite(after_the_end).all()


@pytest.mark.parametrize("unit", [1, 1 / 60, 1000 / 60, 1e6 / 60])
def test_the_unit_of_time_stamps_shows_in_their_step(unit):
    stamps = np.delete(np.arange(60), [7, 8, 30]) * unit  # three frames were lost
    assert np.allclose(frame_times(stamps, 57), np.delete(np.arange(60), [7, 8, 30]) / 60)


@pytest.mark.parametrize("stamps", [None, np.arange(3.0), np.zeros(60), np.arange(60) * 123.0])
def test_without_usable_time_stamps_frames_follow_at_60_hz(stamps):
    assert np.allclose(frame_times(stamps, 60), np.arange(60) / 60)


@pytest.fixture
def annotations(tmp_path) -> Path:
    """Camera k sees all joints at x = 100 k pixels, y = 540."""
    keypoints = np.ones((9, 60, 17, 3))
    keypoints[..., 0] = 100 * np.arange(9)[:, None, None]
    keypoints[..., 1] = 540
    write_keypoints(tmp_path, SEQUENCE, keypoints)
    return tmp_path


def test_the_keypoints_of_a_video_are_those_of_its_camera(annotations):
    joints, found = AistPose(annotations).extract(frames(25), 25.0, name=f"/videos/{VIDEO}")
    assert joints.shape == (25, 33, 3) and joints.dtype == np.float32 and found.all()
    assert joints[0, 0, :2] == pytest.approx((200 / 1920, 540 / 1080))


def test_the_frame_size_comes_from_the_calibration(annotations):
    cameras = annotations / "cameras"
    cameras.mkdir()
    (cameras / "mapping.txt").write_text(f"{SEQUENCE} setting1\n")
    (cameras / "setting1.json").write_text('[{"name": "c03", "size": [400, 1080]}]')
    joints, _ = AistPose(annotations).extract(frames(25), 25.0, name=VIDEO)
    assert joints[0, 0, 0] == pytest.approx(0.5)
    (cameras / "setting1.json").write_text("[" * 100_000)  # damaged: the size of all the published videos
    joints, _ = AistPose(annotations).extract(frames(25), 25.0, name=VIDEO)
    assert joints[0, 0, 0] == pytest.approx(200 / 1920)


def test_videos_without_annotations_are_rejected(annotations):
    pose = AistPose(annotations)
    with pytest.raises(CorpusError, match=r"gBR_sBM_cAll_d05_mBR0_ch01\.pkl does not exist"):
        pose.extract(frames(3), 25.0, name="gBR_sBM_c01_d05_mBR0_ch01.mp4")
    for name in ("holiday.mp4", "gBR_sBM_c10_d04_mBR0_ch01.mp4"):
        with pytest.raises(VideoError, match="has no published keypoints"):
            pose.extract(frames(3), 25.0, name=name)
    write_keypoints(annotations, SEQUENCE, np.full((9, 10, 17, 3), np.nan))
    with pytest.raises(VideoError, match="no person was found"):
        pose.extract(frames(3), 25.0, name=VIDEO)
    write_keypoints(annotations, SEQUENCE, np.ones((9, 10, 25, 3)))
    with pytest.raises(CorpusError, match=r"shape \(9, 10, 25, 3\), not \(9, frames, 17, 3\)"):
        pose.extract(frames(3), 25.0, name=VIDEO)
