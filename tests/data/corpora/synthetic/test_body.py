"""The rig: bones keep their lengths, left is left, mirrored poses are mirrored."""

from __future__ import annotations

import numpy as np

from pn_diffusion_plugin.data.corpora.synthetic.body import (
    INDEX,
    PARAMETER,
    Body,
    mirror_pose,
    neutral_pose,
    pose_joints,
    pose_of,
)
from pn_diffusion_plugin.data.corpora.synthetic.mini.choreography import MOVES, Camera


def test_bones_keep_their_length_in_every_move() -> None:
    body = Body.random(np.random.default_rng(0))
    joints = pose_joints(np.stack([pose_of(key) for keys in MOVES.values() for key in keys]), body)

    def length(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(joints[:, INDEX[a]] - joints[:, INDEX[b]], axis=-1)

    for side in ("left", "right"):
        np.testing.assert_allclose(length(f"{side}_shoulder", f"{side}_elbow"), body.upper_arm, atol=1e-9)
        np.testing.assert_allclose(length(f"{side}_elbow", f"{side}_wrist"), body.forearm, atol=1e-9)
        np.testing.assert_allclose(length(f"{side}_hip", f"{side}_knee"), body.thigh, atol=1e-6)
        np.testing.assert_allclose(length(f"{side}_knee", f"{side}_ankle"), body.shin, atol=1e-6)
    np.testing.assert_allclose(length("left_hip", "right_hip"), 2 * body.hip, atol=1e-9)
    assert joints[..., 1].min() > -0.02, "no foot goes through the floor"


def test_a_standing_body_is_one_height_tall_and_its_left_is_at_the_right_of_the_frame() -> None:
    joints = pose_joints(neutral_pose()[None], Body())[0]
    assert 0.92 < joints[INDEX["left_eye"], 1] < 0.98
    assert joints[INDEX["left_shoulder"], 0] > joints[INDEX["right_shoulder"], 0]
    assert joints[INDEX["nose"], 2] > joints[INDEX["left_ear"], 2], "it faces the camera"


def test_a_mirrored_pose_has_mirrored_joints() -> None:
    rng = np.random.default_rng(3)
    pose = neutral_pose() + rng.normal(0, 0.2, neutral_pose().shape)
    joints = pose_joints(np.stack([pose, mirror_pose(pose)]), Body())
    swap = [INDEX[n.replace("left", "*").replace("right", "left").replace("*", "right")] for n in INDEX]
    body_only = [i for name, i in INDEX.items() if not any(f in name for f in ("index", "pinky", "thumb"))]
    mirrored = joints[0][swap] * np.array([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(joints[1][body_only], mirrored[body_only], atol=1e-9)
    np.testing.assert_allclose(mirror_pose(mirror_pose(pose)), pose)


def test_a_quarter_turn_to_the_left_turns_the_nose_to_the_left() -> None:
    joints = pose_joints(pose_of({"yaw": np.pi / 2})[None], Body())[0]
    assert joints[INDEX["nose"], 0] > 0.05
    near = Camera().project(np.array([0.0, 0.5, 0.0]))
    np.testing.assert_allclose(near, [Camera().x, Camera().y, 0.0])


def test_bodies_are_adults_and_children_slim_and_stout() -> None:
    bodies = [Body.random(np.random.default_rng(seed)) for seed in range(200)]
    heights = [b.torso + b.thigh + b.shin + b.ankle for b in bodies]
    assert np.ptp([b.girth for b in bodies]) > 0.4 and np.ptp([b.head for b in bodies]) > 0.2
    np.testing.assert_allclose(heights, heights[0])  # all are one body height tall


def test_every_parameter_has_one_place() -> None:
    assert sorted(PARAMETER.values()) == list(range(24))
