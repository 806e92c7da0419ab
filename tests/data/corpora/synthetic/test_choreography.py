"""Choreography: limbs keep their lengths, feet stay planted, speed is least on the beats."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.body import INDEX, PARAMETER
from pn_diffusion_plugin.data.corpora.synthetic.choreography import dance, key_poses
from pn_diffusion_plugin.data.corpora.synthetic.curves import drift, run_through, steps
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.genres import GENRES, genre_for
from pn_diffusion_plugin.data.corpora.synthetic.moves import ARMS, LEGS, TRAVEL, TRUNKS
from pn_diffusion_plugin.data.corpora.synthetic.timing import Mode, make_timing
from pn_diffusion_plugin.metrics.dance import beat_alignment, kinematic_beats

SPEC = GeneratedSpec()


def visible(joints: np.ndarray) -> np.ndarray:
    """Joints as a distant camera in front would see them."""
    return np.stack(
        [0.5 + 0.5 * joints[..., 0], 1 - 0.8 * joints[..., 1], np.ones(joints.shape[:2])], axis=-1
    )


# --- curves


def test_a_body_halts_in_every_key_and_nowhere_else() -> None:
    times = np.array([0.0, 0.5, 1.25, 1.75])
    values = np.array([[0.0, 1.0], [1.0, 0.0], [-0.5, 0.7], [0.4, 0.1]])
    at = np.linspace(0.0, 1.7499, 4000)
    for sharpness in (0.0, 1.0):
        way = run_through(times, values, at, sharpness=sharpness)
        speed = np.linalg.norm(np.gradient(way, at, axis=0), axis=1)
        turns = np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
        np.testing.assert_allclose(at[turns], times[1:3], atol=0.002)
        np.testing.assert_allclose(run_through(times, values, times, sharpness=sharpness), values, atol=1e-12)


def test_flow_lets_a_body_pass_a_key_and_windup_takes_it_back_first() -> None:
    times, values = np.array([0.0, 1.0, 2.0]), np.array([[0.0], [1.0], [2.0]])
    near = np.array([0.999, 1.001])
    passing = np.diff(run_through(times, values, near, sharpness=0.0, flow=1.0)[:, 0]) / 0.002
    assert passing == pytest.approx(1.0, abs=0.01)  # the Catmull-Rom tangent of a straight way
    back = run_through(times, values, np.array([0.1]), sharpness=1.0, windup=0.05)
    assert back[0, 0] < 0


def test_a_foot_is_planted_between_steps_and_lands_in_time() -> None:
    times = np.array([0.0, 1.0, 2.0])
    places, lifts = np.array([[0.0, 0.0], [0.0, 0.0], [0.2, 0.1]]), np.zeros(3)
    at = np.array([0.0, 0.3, 1.0, 1.09, 1.5, 2.0])
    where, lift = steps(times, places, lifts, at, 0.05)
    np.testing.assert_allclose(where[[0, 1, 2, 3]], 0.0)
    np.testing.assert_allclose(where[-1], [0.2, 0.1])
    np.testing.assert_allclose(lift[[0, 1, 2, 3, 5]], 0.0, atol=1e-12)
    assert 0.02 < lift[4] <= 0.05


def test_drift_is_slow_and_as_large_as_asked() -> None:
    at = np.arange(0, 400, 0.04)
    wander = drift(np.random.default_rng(0), at, 0.1)
    assert np.std(wander) == pytest.approx(0.1, rel=0.1)
    assert np.abs(np.diff(wander)).max() / 0.04 < 2 * np.pi * 0.9 * 4 * 0.1 / np.sqrt(2)


# --- moves and genres


def test_every_name_in_a_genre_is_a_move_and_every_move_is_danced() -> None:
    for kind, patterns in (("legs", LEGS), ("arms", ARMS), ("trunks", TRUNKS)):
        named = set(itertools.chain.from_iterable(getattr(genre, kind) for genre in GENRES.values()))
        assert named <= set(patterns)
        assert set(patterns) - named <= {"spin"}, "only the spin is drawn otherwise"
        for keys in patterns.values():
            assert len(keys) == 4
            assert {name for key in keys for name in key} <= set(PARAMETER) | set(TRAVEL)


def test_every_tempo_has_a_genre() -> None:
    for bpm in np.arange(75, 180, 0.5):
        for draw in (0.0, 0.5, 0.999):
            low, high = GENRES[genre_for(float(bpm), draw)].tempos
            assert low <= bpm <= high


# --- the dance


@pytest.mark.parametrize("genre", sorted(GENRES))
def test_bones_keep_their_length_and_feet_stay_on_the_floor(genre: str) -> None:
    low, high = GENRES[genre].tempos
    timing = make_timing(np.random.default_rng(1), 6.0, 0.5 * (low + high))
    motion = dance(np.random.SeedSequence(4), timing, genre, 25.0)
    joints, body = motion.joints, motion.body

    def length(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(joints[:, INDEX[a]] - joints[:, INDEX[b]], axis=-1)

    for side in ("left", "right"):
        np.testing.assert_allclose(length(f"{side}_shoulder", f"{side}_elbow"), body.upper_arm, atol=1e-9)
        np.testing.assert_allclose(length(f"{side}_hip", f"{side}_knee"), body.thigh, atol=1e-6)
        np.testing.assert_allclose(length(f"{side}_knee", f"{side}_ankle"), body.shin, atol=1e-6)
        ankle = joints[:, INDEX[f"{side}_ankle"]]
        assert ankle[:, 1].min() > body.ankle - 0.02
        down = (ankle[1:, 1] < body.ankle + 0.003) & (ankle[:-1, 1] < body.ankle + 0.003)
        slide = np.hypot(*np.diff(ankle[:, [0, 2]], axis=0).T) * 25.0
        assert np.mean(slide[down] < 0.15) > 0.8, "a foot on the floor hardly moves (body heights a second)"
    assert joints[..., 1].min() > -0.03 and np.isfinite(joints).all()


def test_speed_is_least_on_the_beats() -> None:
    scores, shifted = [], []
    for index in range(24):
        plan = SPEC.plan("train", index)
        found = kinematic_beats(visible(plan.motion().joints), SPEC.fps)
        beats = plan.timing.beats()
        scores.append(beat_alignment(found, beats))
        shifted.append(beat_alignment(found + 0.5 * plan.timing.period, beats))
    assert np.mean(scores) > 0.8
    assert np.mean(shifted) < 0.35


def test_all_of_the_body_dances() -> None:
    moved = {
        name: [] for name in ("nose", "left_wrist", "right_wrist", "left_hip", "left_ankle", "right_knee")
    }
    for index in range(16):
        joints = SPEC.plan("train", index).motion().joints
        for name, sizes in moved.items():
            sizes.append(np.ptp(joints[:, INDEX[name], :2], axis=0).max())
    assert all(np.median(sizes) > 0.08 for sizes in moved.values())


def test_a_dancer_rests_before_the_last_beat_of_a_pause() -> None:
    checked = 0
    for index in range(60):
        plan = SPEC.plan("train", index)
        if not plan.timing.pauses():
            continue
        joints = plan.motion().joints
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean(axis=1) * SPEC.fps
        for bar in plan.timing.bars:
            start, end = (bar.start + count * plan.timing.period for count in (bar.still_from - 1, 3))
            resting = speed[max(round((start + 0.1) * SPEC.fps), 0) : max(round((end - 0.05) * SPEC.fps), 0)]
            if bar.still_from < 4 and bar.mode is Mode.NORMAL and len(resting) > 3:
                checked += 1
                assert resting.mean() < 0.5 * speed.mean()
    assert checked > 4


def test_same_seed_same_dance_and_another_one_another() -> None:
    plan = SPEC.plan("valid", 3)
    first, again = plan.motion(), plan.motion()
    np.testing.assert_array_equal(first.joints, again.joints)
    other = dance(SPEC.plan("valid", 4).motion_seed, plan.timing, plan.genre, 25.0)
    assert np.abs(first.joints - other.joints).mean() > 0.02
    assert other.body != first.body


def test_a_passed_beat_lies_half_way_between_two_poses() -> None:
    timing = make_timing(np.random.default_rng(2), 8.0, 140.0)
    hits, poses, _ = key_poses(np.random.default_rng(0), timing, GENRES["techno"])
    column, checked = PARAMETER["left_raise"], 0
    for i in range(1, len(hits) - 1):
        if hits[i].passing:
            before, now, after = poses[i - 1 : i + 2, column]
            checked += 1
            assert abs(now - 0.5 * (before + after)) <= 0.081 * abs(after - before)
    assert checked > 2 and np.isfinite(poses).all()
