"""BlazePose finds the drawn dancer where it was drawn, and gaps are filled honestly."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.pose import PoseExtractor, fill_gaps
from pn_diffusion_plugin.errors import UserError

SPEC = MiniSpec(train=1, valid=1, test=2, seconds=1.6)
LIMBS = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]  # shoulders to ankles


def drawn(index: int) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W, 3) frames of a dancer and its true joints (T, 33, 2)."""
    scene = SPEC.plan("test", index).scene()
    return np.stack(list(scene)), scene.keypoints[..., :2]


@pytest.fixture(scope="module")
def pose() -> PoseExtractor:
    return PoseExtractor()


@pytest.fixture(scope="module")
def clip() -> tuple[np.ndarray, np.ndarray]:
    return drawn(0)


@pytest.fixture(scope="module")
def found(pose: PoseExtractor, clip: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return pose.extract(clip[0], SPEC.fps)


def test_the_dancer_is_found_where_it_was_drawn(
    clip: tuple[np.ndarray, np.ndarray], found: tuple[np.ndarray, np.ndarray]
) -> None:
    frames, joints = clip
    keypoints, detected = found
    assert keypoints.shape == (len(frames), 33, 3) and keypoints.dtype == np.float32
    assert detected.shape == (len(frames),) and detected.dtype == bool
    assert detected.mean() >= 0.9
    distance = np.linalg.norm(keypoints[:, LIMBS, :2] - joints[: len(frames), LIMBS], axis=-1)
    assert np.median(distance) < 0.04  # of the frame
    assert (keypoints[..., 2] >= 0).all() and (keypoints[..., 2] <= 1).all()


def test_keypoints_are_not_delayed(
    clip: tuple[np.ndarray, np.ndarray], found: tuple[np.ndarray, np.ndarray]
) -> None:
    """The found motion fits the true one best without a shift: no causal filter."""
    true, seen = (np.diff(x[:, LIMBS, :2], axis=0)[2:-2] for x in (clip[1][: len(found[0])], found[0]))
    shifts = (-2, -1, 0, 1, 2)
    errors = {shift: np.mean((np.roll(seen, -shift, axis=0) - true)[2:-2] ** 2) for shift in shifts}
    assert min(errors, key=errors.__getitem__) == 0


def test_a_clip_depends_on_nothing_seen_before(
    pose: PoseExtractor, clip: tuple[np.ndarray, np.ndarray], found: tuple[np.ndarray, np.ndarray]
) -> None:
    pose.extract(drawn(1)[0][:5], SPEC.fps)
    again, _ = pose.extract(iter(clip[0][:12]), SPEC.fps)
    np.testing.assert_array_equal(again, found[0][:12])


def test_one_dancer_equals_the_solution_of_mediapipe(
    clip: tuple[np.ndarray, np.ndarray], found: tuple[np.ndarray, np.ndarray]
) -> None:
    from mediapipe.python.solutions.pose import Pose

    with Pose(model_complexity=1, smooth_landmarks=False) as solution:
        for frame, row, there in zip(clip[0], *found, strict=True):
            landmarks = solution.process(frame).pose_landmarks
            assert (landmarks is not None) == there
            if there:
                theirs = np.array([(p.x, p.y, p.visibility) for p in landmarks.landmark], np.float32)
                np.testing.assert_array_equal(row, theirs)


def test_a_dancer_who_leaves_and_comes_back(pose: PoseExtractor, clip: tuple[np.ndarray, np.ndarray]) -> None:
    frames = clip[0][:24].copy()
    frames[8:14] = 0
    keypoints, detected = pose.extract(frames, SPEC.fps)
    assert detected[:8].all() and not detected[9:13].any() and detected[-5:].all()
    lost = np.flatnonzero(~detected)
    assert (keypoints[lost, :, 2] == 0).all()
    before, after = lost[0] - 1, lost[-1] + 1
    middle = (keypoints[before, :, :2] + keypoints[after, :, :2]) / 2
    mean = keypoints[lost, :, :2].mean(axis=0)
    np.testing.assert_allclose(mean, middle, atol=1e-5)


def test_gaps_are_interpolated_and_ends_held() -> None:
    keypoints = np.zeros((7, 1, 3), np.float32)
    keypoints[1], keypoints[5] = (1.0, 2.0, 0.9), (5.0, -2.0, 0.7)
    detected = np.array([False, True, False, False, False, True, False])
    filled = fill_gaps(keypoints, detected)
    np.testing.assert_allclose(filled[:, 0, 0], [1, 1, 2, 3, 4, 5, 5])
    np.testing.assert_allclose(filled[:, 0, 1], [2, 2, 1, 0, -1, -2, -2])
    np.testing.assert_allclose(filled[:, 0, 2], [0, 0.9, 0, 0, 0, 0.7, 0], atol=1e-6)


def test_missing_packages_are_reported(pose: PoseExtractor) -> None:
    with pytest.raises(UserError, match="0, 1 or 2, not 3"):
        PoseExtractor(3)
    with pytest.raises(UserError, match="pose_landmark_heavy"):
        PoseExtractor(2)
    assert pose.name == "blazepose/pose_landmark_full" and len(pose.weights_sha256) == 64


def test_stderr_stays_quiet_and_other_words_pass() -> None:
    program = """
import numpy as np, os
from pn_diffusion_plugin.data.features.blazepose import quiet
from pn_diffusion_plugin.data.features.pose import PoseExtractor
with quiet():
    os.write(2, b"a true complaint\\n")
try:
    PoseExtractor().extract(np.zeros((3, 64, 64, 3), np.uint8), 25)
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "a true complaint"
    assert "no person was found" in done.stdout
