"""The preset `mini`: its clips never change, and its dancer stops on every beat."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.body import INDEX, PARAMETER
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec, make_timing
from pn_diffusion_plugin.data.corpora.synthetic.mini.choreography import STYLES, dance, film, move_through
from pn_diffusion_plugin.data.corpora.synthetic.timing import Mode

SPEC = MiniSpec()
CLIPS = (
    Path(__file__).parents[3] / "data_files" / "mini_clips.npz"
)  # of the version that the features are from


def joint_speed(keypoints: np.ndarray, fps: float) -> np.ndarray:
    """Mean speed of the joints (T,), frame heights per second."""
    return np.linalg.norm(np.gradient(keypoints[..., :2], axis=0), axis=-1).mean(axis=1) * fps


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_clips_are_those_of_the_bundled_features(split: str) -> None:
    """Level of the music in 20 ms steps, joints, and a reduced frame, as the stored results used them."""
    with np.load(CLIPS) as stored:
        for index in (0, 3):
            plan, key = SPEC.plan(split, index), f"{split} {index}"
            level = np.sqrt((plan.audio().astype(float).reshape(400, -1) ** 2).mean(axis=1))
            np.testing.assert_allclose(level, stored[f"{key} level"], atol=1e-4)
            scene = plan.scene()
            np.testing.assert_allclose(scene.keypoints[::40], stored[f"{key} keypoints"], atol=1e-4)
            image = scene.frame(40).reshape(16, 16, 16, 16, 3).mean(axis=(1, 3))
            np.testing.assert_allclose(image, stored[f"{key} image"], atol=0.5)
            np.testing.assert_allclose(plan.labels["beats"], stored[f"{key} beats"], atol=1e-5)


def test_motion_stops_in_every_key_pose_and_only_there() -> None:
    times = np.array([0.0, 0.5, 1.25, 1.75])
    poses = np.random.default_rng(0).normal(0, 0.3, (4, len(PARAMETER)))
    at = np.linspace(0.0, 1.749, 4000)
    column = PARAMETER["left_raise"]
    for sharpness in (0.0, 0.5, 1.0):
        arm = move_through(times, poses, at, sharpness)[:, column]
        speed = np.abs(np.gradient(arm, at))
        for t in times[1:3]:
            near = np.abs(at - t) < 0.002
            assert speed[near].min() < 0.02 * speed.max()
            np.testing.assert_allclose(arm[near].mean(), poses[times == t][0, column], atol=1e-2)
        turns = np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
        np.testing.assert_allclose(at[turns], times[1:3], atol=0.002)


@pytest.mark.parametrize("genre", sorted(STYLES))
def test_speed_minima_fall_on_beats(genre: str) -> None:
    """With normal bars only, every stop is a beat and every beat a stop, within about a frame."""
    for seed, bpm in [(0, 63.0), (1, 118.0), (2, 176.0)]:
        timing = make_timing(np.random.default_rng(seed), 8.0, bpm)
        hits = tuple(
            dataclasses.replace(
                hit, bar=dataclasses.replace(hit.bar, mode=Mode.NORMAL), still=False, passing=False
            )
            for hit in timing.hits
            if hit.on_beat
        )
        plain = dataclasses.replace(timing, hits=hits)
        keypoints = film(*dance(np.random.SeedSequence(seed), plain, genre, 25.0)).keypoints
        speed = joint_speed(keypoints, 25.0)
        minima = np.flatnonzero((speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
        stops = minima[speed[minima] < 0.5 * np.median(speed)] / 25.0
        beats = plain.beats()
        inner = beats[(beats > 0.1) & (beats < 7.9)]
        assert all(np.abs(minima / 25.0 - beat).min() <= 0.045 for beat in inner)
        assert np.mean([np.abs(beats - stop).min() <= 0.045 for stop in stops]) > 0.9


def test_stops_are_deep_and_stressed_poses_are_low() -> None:
    ratios, plain, stressed = [], [], []
    for index in range(24):
        plan = SPEC.plan("train", index)
        footage = plan.scene().footage
        speed = joint_speed(footage.keypoints, SPEC.fps)
        beats = plan.timing.beats()[plan.timing.beats() < 7.9]
        at = np.round(beats * SPEC.fps).astype(int)
        ratios.append(np.percentile(speed, 75) / np.median(speed[at]))
        hips = footage.keypoints[:, [INDEX["left_hip"], INDEX["right_hip"]], 1].mean(axis=1) / footage.scale
        accent = np.isin(beats, plan.timing.accents())
        stressed += list(hips[at[accent]] - hips.mean())
        plain += list(hips[at[~accent]] - hips.mean())
    assert np.median(ratios) > 4
    assert np.mean(stressed) - np.mean(plain) > 0.03, "y points down: body heights lower"
