"""A dancer who strikes a pose on every hit of a score.

A choreography is a row of key poses, one a hit. Between two hits all pose parameters run along a curve whose
speed is zero at both ends and nowhere between: **the minima of joint speed fall on the beats**, which is what
makes the dance tell its beats. Stressed poses are larger and lower. Key poses come from a vocabulary of
moves; a style is a selection of moves with its own sharpness and groove.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arms import ACROSS, DOWN, DROP, FIST, FRONT, GOAL, HIGH, HIP, OUT, UP, arms
from .body import PARAMETER, Body, Camera, mirror_pose, neutral_pose, pose_joints
from .score import BEATS_PER_BAR, Mode, Score

Keys = list[dict[str, float]]


# Each move is four poses (a bar); what a pose does not name is neutral.
MOVES: dict[str, Keys] = {
    "side_step": [
        {"x": 0.10, "left_foot_x": 0.22, "lean": -0.08, **arms(OUT, FIST)},
        {"x": 0.12, "left_foot_x": 0.22, "right_foot_x": 0.06, "drop": 0.03, **arms(DOWN, DOWN)},
        {"x": -0.08, "right_foot_x": -0.22, "lean": 0.08, **arms(FIST, OUT)},
        {"x": -0.12, "right_foot_x": -0.22, "left_foot_x": -0.06, "drop": 0.03, **arms(DOWN, DOWN)},
    ],
    "arm_wave": [
        {"lean": 0.10, "x": 0.03, **arms(HIGH, DOWN)},
        {"lean": -0.02, **arms(OUT, OUT)},
        {"lean": -0.10, "x": -0.03, **arms(DOWN, HIGH)},
        {"lean": 0.02, **arms(OUT, OUT)},
    ],
    "bounce": [
        {"drop": 0.10, "pitch": 0.10, **arms(FIST, FIST)},
        {"drop": 0.0, **arms(OUT, OUT)},
        {"drop": 0.10, "pitch": 0.10, **arms(DOWN, DOWN)},
        {"drop": 0.0, **arms(HIGH, HIGH)},
    ],
    "kick": [
        {"right_foot_lift": 0.26, "right_foot_z": 0.34, "right_foot_x": -0.10, **arms(OUT, FRONT)},
        {"drop": 0.04, **arms(FIST, FIST)},
        {"left_foot_lift": 0.26, "left_foot_z": 0.34, "left_foot_x": 0.10, **arms(FRONT, OUT)},
        {"drop": 0.04, **arms(FIST, FIST)},
    ],
    "side_kick": [
        {"right_foot_lift": 0.22, "right_foot_x": -0.42, "lean": 0.16, "x": 0.06, **arms(HIGH, OUT)},
        {"drop": 0.03, **arms(DOWN, FIST)},
        {"left_foot_lift": 0.22, "left_foot_x": 0.42, "lean": -0.16, "x": -0.06, **arms(OUT, HIGH)},
        {"drop": 0.03, **arms(FIST, DOWN)},
    ],
    "march": [
        {"left_foot_lift": 0.24, "left_foot_z": 0.12, **arms(DOWN, GOAL)},
        {"drop": 0.02, **arms(OUT, DOWN)},
        {"right_foot_lift": 0.24, "right_foot_z": 0.12, **arms(GOAL, DOWN)},
        {"drop": 0.02, **arms(DOWN, OUT)},
    ],
    "turn": [
        {"yaw": 0.75, "drop": 0.03, **arms(OUT, ACROSS)},
        {"yaw": 0.0, **arms(DOWN, DOWN)},
        {"yaw": -0.75, "drop": 0.03, **arms(ACROSS, OUT)},
        {"yaw": 0.0, **arms(UP, UP)},
    ],
    "pop": [
        arms(GOAL, DROP),
        arms(DROP, GOAL),
        {"lean": 0.10, **arms(GOAL, GOAL)},
        {"lean": -0.06, "drop": 0.04, **arms(DROP, DROP)},
    ],
    "point": [
        {"x": 0.05, "lean": -0.08, "twist": -0.2, **arms(HIP, UP)},
        {"x": -0.04, "lean": 0.10, "drop": 0.04, "twist": 0.3, **arms(HIP, ACROSS)},
        {"x": 0.05, "lean": -0.08, "twist": -0.2, **arms(HIP, UP)},
        {"x": -0.04, "drop": 0.02, **arms(HIP, OUT)},
    ],
    "clap": [
        {"drop": 0.02, **arms(UP, UP)},
        {"drop": 0.05, "pitch": 0.08, **arms((1.1, 0.9, 1.6, 2.3), (1.1, 0.9, 1.6, 2.3))},
        {"drop": 0.02, **arms(HIGH, HIGH)},
        {"drop": 0.05, "pitch": 0.08, **arms(DOWN, DOWN)},
    ],
    "lunge": [
        {"drop": 0.11, "x": 0.10, "left_foot_x": 0.26, "right_foot_x": -0.22, "lean": -0.05,
         **arms(HIGH, DOWN)},
        {"drop": 0.01, **arms(FIST, FIST)},
        {"drop": 0.11, "x": -0.10, "left_foot_x": 0.22, "right_foot_x": -0.26, "lean": 0.05,
         **arms(DOWN, HIGH)},
        {"drop": 0.01, **arms(OUT, OUT)},
    ],
    "twist": [
        {"twist": 0.55, "yaw": -0.2, "drop": 0.06, **arms(OUT, FIST)},
        {"twist": -0.55, "yaw": 0.2, "drop": 0.06, **arms(FIST, OUT)},
        {"twist": 0.55, "yaw": -0.2, "drop": 0.02, **arms(HIGH, HIP)},
        {"twist": -0.55, "yaw": 0.2, "drop": 0.02, **arms(HIP, HIGH)},
    ],
    "sway": [
        {"x": 0.09, "lean": -0.16, "head_roll": 0.2, **arms(HIGH, HIGH)},
        {"x": -0.09, "lean": 0.16, "head_roll": -0.2, **arms(OUT, FIST)},
        {"x": 0.09, "lean": -0.16, "head_roll": 0.2, **arms(DOWN, DOWN)},
        {"x": -0.09, "lean": 0.16, "head_roll": -0.2, **arms(FIST, OUT)},
    ],
}  # fmt: skip

# genre → its moves, the sharpness of its arrivals (0 flowing … 1 popping) and the depth of its groove
STYLES: dict[str, tuple[tuple[str, ...], float, float]] = {
    "house": (("side_step", "march", "kick", "clap", "bounce"), 0.3, 0.035),
    "disco": (("point", "side_step", "turn", "clap", "sway"), 0.4, 0.030),
    "hiphop": (("bounce", "lunge", "pop", "twist", "kick"), 0.6, 0.050),
    "pop": (("arm_wave", "clap", "side_step", "turn", "side_kick"), 0.4, 0.030),
    "robot": (("pop", "twist", "march", "arm_wave", "point"), 0.9, 0.020),
    "latin": (("sway", "twist", "side_step", "lunge", "side_kick"), 0.2, 0.035),
}


_ACCENT_DIP = 0.05  # how much lower a stressed pose is, in body heights

# how far a dancer's own manner may change each parameter: lengths less than angles
_MANNER = np.ones(len(neutral_pose()))
_MANNER[[PARAMETER[n] for n in ("x", "z", "drop", "lean", "pitch")]] = 0.3
_MANNER[[PARAMETER[f"{s}_{n}"] for s in ("left", "right") for n in ("foot_x", "foot_lift", "foot_z")]] = 0.2


@dataclass(frozen=True)
class Dance:
    """One danced clip.

    Args:
        keypoints: (T, 33, 3) joints in BlazePose's order: x, y in [0, 1] of the picture, z toward the camera.
        fps: frame i stands at i / fps seconds.
        beats: seconds of the sounding beats.
        accents: seconds of the stressed ones.
        scale: the body's height in picture heights.
        body: its proportions.
    """

    keypoints: np.ndarray
    fps: float
    beats: np.ndarray
    accents: np.ndarray
    scale: float
    body: Body


def _as_pose(key: dict[str, float]) -> np.ndarray:
    pose = neutral_pose()
    for name, value in key.items():
        pose[PARAMETER[name]] = value
    return pose


def key_poses(rng: np.random.Generator, score: Score, genre: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (K,) in seconds and poses (K, 24) of the dance; each time is a hit of the score.

    Args:
        rng: source of the moves and of this dancer's own way to dance them.
        score: the hits to be danced.
        genre: one of `STYLES`.
    """
    names, _, groove = STYLES[genre]
    neutral = neutral_pose()
    repertoire = [np.stack([_as_pose(key) for key in MOVES[n]]) for n in rng.permutation(names)[:3]]
    for move in repertoire:  # the dancer's own manner
        move += rng.normal(0.0, 0.09, size=move.shape) * np.where(move == neutral, 0.25, 1.0) * _MANNER
    size = float(rng.uniform(0.9, 1.12))

    times: list[float] = []
    poses: list[np.ndarray] = []
    move, flipped, place, bar = repertoire[0], False, 0, None
    for hit in score.hits:
        if hit.bar != bar:  # a move lasts two bars, its second mirrored
            bar = hit.bar
            flipped = bool(bar % 2)
            if not flipped:
                move = repertoire[int(rng.integers(len(repertoire)))]
        if hit.still:  # the pose settles slowly and is left with the last beat of the pause
            if hit.count == BEATS_PER_BAR - 1:
                times.append(hit.time)
                poses.append(0.8 * poses[-1] + 0.2 * neutral)
            continue
        down = 1.0 if int(hit.count) % 2 == 0 else -0.4
        if hit.mode is Mode.HALF and hit.count % 2 == 1:
            # the limbs are under way for two beats; the beat between is shown by a half-way halt
            times.append(hit.time)
            poses.append(np.full(len(neutral), np.nan))
            continue
        key = move[place % 4]
        place += 1
        key = mirror_pose(key) if flipped else key
        gap = (
            2 * score.period
            if hit.mode is Mode.HALF
            else score.period * (0.5 if hit.mode is Mode.DOUBLE else 1.0)
        )
        extent = size * min(1.0, (gap / 0.42) ** 0.7) * (1.15 if hit.accent else 0.82)
        pose = neutral + extent * (key - neutral)
        dip = groove * down + (_ACCENT_DIP if hit.accent else 0.0)
        pose[PARAMETER["drop"]] += dip * min(1.0, gap / 0.5)
        pose[PARAMETER["head_pitch"]] += 0.12 * max(down, 0.0)
        times.append(hit.time)
        poses.append(pose)
    rows = np.stack(poses)
    for i in np.flatnonzero(np.isnan(rows[:, 0])):
        before, after = rows[i - 1] if i else neutral, rows[i + 1] if i + 1 < len(rows) else neutral
        rows[i] = 0.5 * (before + after)
        rows[i, PARAMETER["drop"]] += 0.6 * groove
    return np.array(times), rows


def move_through(times: np.ndarray, poses: np.ndarray, at: np.ndarray, sharpness: float) -> np.ndarray:
    """Poses (T, 24) at the times `at` of a body that halts in each key pose at its time.

    The way from pose to pose is 3u² − 2u³ for a flowing dancer, whose speed has a sharp V-shaped minimum at
    the beat, and the minimum-jerk curve 10u³ − 15u⁴ + 6u⁵ (Flash & Hogan 1985), which dwells longer in the
    pose, for a popping one. Both are symmetric about their middle: neither moves the minimum off the beat.

    Args:
        times: (K,) increasing seconds.
        poses: (K, 24).
        at: (T,) seconds within `times`.
        sharpness: 0 (flowing) … 1 (popping).
    """
    i = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    u = np.clip((at - times[i]) / (times[i + 1] - times[i]), 0.0, 1.0)
    flowing = u**2 * (3.0 - 2.0 * u)
    popping = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    s = ((1.0 - sharpness) * flowing + sharpness * popping)[:, None]
    out = poses[i] + s * (poses[i + 1] - poses[i])
    for side in ("left", "right"):  # a foot that changes place leaves the floor on its way
        x, z = PARAMETER[f"{side}_foot_x"], PARAMETER[f"{side}_foot_z"]
        way = np.hypot(poses[i + 1, x] - poses[i, x], poses[i + 1, z] - poses[i, z])
        out[:, PARAMETER[f"{side}_foot_lift"]] += np.minimum(0.35 * way, 0.05) * np.sin(np.pi * s[:, 0]) ** 2
    return out


def dance(seed: np.random.SeedSequence, score: Score, genre: str, fps: float) -> Dance:
    """Dance a score.

    Args:
        seed: choreography, body and camera come from it.
        score: the clip's timing.
        genre: one of `STYLES`.
        fps: frames a second.
    """
    moves, looks = (np.random.default_rng(s) for s in seed.spawn(2))
    body = Body.random(looks)
    times, poses = key_poses(moves, score, genre)
    at = np.arange(round(score.seconds * fps)) / fps
    trajectory = move_through(times, poses, at, STYLES[genre][1])
    sway = 0.006 * np.sin(2 * np.pi * (0.23 * at + looks.random()))
    trajectory[:, PARAMETER["x"]] += sway
    camera = Camera(
        scale=float(looks.uniform(0.60, 0.70)),
        x=float(looks.uniform(0.45, 0.55)),
        y=float(looks.uniform(0.54, 0.58)),
    )
    keypoints = camera.project(pose_joints(trajectory, body)).astype(np.float32)
    return Dance(keypoints, fps, score.beats(), score.accents(), camera.scale, body)
