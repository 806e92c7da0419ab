"""Choreography of the preset `mini`: a dancer in place who strikes a key pose on every hit.

Between two hits all pose parameters follow a curve whose speed is zero at both ends and nowhere between: **the minima
of joint speed fall on the beats**, which makes the beats visible. Stressed poses are larger and lower. A style is a
selection of moves with its own sharpness and groove.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..body import PARAMETER, Body, Motion, mirror_pose, neutral_pose, pose_joints, pose_of
from ..curves import ease, run_through, segments
from ..moves import ACROSS, DOWN, DROP, FIST, FRONT, GOAL, HIGH, HIP, OUT, TOGETHER, UP, Key, arms
from ..plan import streams
from ..render import Footage
from ..timing import BEATS_PER_BAR, Mode, Timing

# Each move is four key poses (a bar); parameters without a value are neutral.
MOVES: dict[str, list[Key]] = {
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
        {"drop": 0.05, "pitch": 0.08, **arms(TOGETHER, TOGETHER)},
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

# size of a dancer's deviations in each parameter: lengths vary less than angles
_MANNER = np.ones(len(PARAMETER))
_MANNER[[PARAMETER[n] for n in ("x", "z", "drop", "lean", "pitch")]] = 0.3
_MANNER[[PARAMETER[f"{s}_{n}"] for s in ("left", "right") for n in ("foot_x", "foot_lift", "foot_z")]] = 0.2


@dataclass(frozen=True)
class Camera:
    """A camera straight in front of the dancer.

    Args:
        scale: height of the body in frame heights.
        x, y: position of the middle of the body in the frame, in [0, 1].
        distance: from the dancer, in body heights.
    """

    scale: float = 0.66
    x: float = 0.5
    y: float = 0.54
    distance: float = 4.5

    def project(self, world: np.ndarray) -> np.ndarray:
        """Project (…, 3) world → (…, 3): x right, y down in [0, 1] of the square frame, z toward the camera."""
        nearness = self.distance / (self.distance - world[..., 2])
        x = self.x + self.scale * nearness * world[..., 0]
        y = self.y - self.scale * nearness * (world[..., 1] - 0.5)
        return np.stack([x, y, self.scale * world[..., 2]], axis=-1)


def _random_body(rng: np.random.Generator) -> Body:
    """Adult proportions, each measure varied by a few percent."""

    def spread(value: float, share: float) -> float:
        return float(value * (1.0 + rng.uniform(-share, share)))

    legs = spread(1.0, 0.04)
    return Body(
        shoulder=spread(0.104, 0.10),
        hip=spread(0.060, 0.10),
        torso=0.295 + 0.484 * (1.0 - legs),
        upper_arm=spread(0.168, 0.05),
        forearm=spread(0.146, 0.05),
        thigh=0.242 * legs,
        shin=0.242 * legs,
        head=spread(1.06, 0.06),
        girth=spread(1.02, 0.14),
    )


def key_poses(rng: np.random.Generator, timing: Timing, genre: str) -> tuple[np.ndarray, np.ndarray]:
    """Times (K,) in seconds and poses (K, 24) of the dance; each time is a hit.

    Args:
        rng: source of the moves and of this dancer's deviations.
        timing: hits to dance.
        genre: one of `STYLES`.
    """
    names, _, groove = STYLES[genre]
    neutral = neutral_pose()
    repertoire = [np.stack([pose_of(key) for key in MOVES[n]]) for n in rng.permutation(names)[:3]]
    for move in repertoire:  # individual deviations
        move += rng.normal(0.0, 0.09, size=move.shape) * np.where(move == neutral, 0.25, 1.0) * _MANNER
    size = float(rng.uniform(0.9, 1.12))

    times: list[float] = []
    poses: list[np.ndarray] = []
    move, flipped, place, bar = repertoire[0], False, 0, None
    for hit in timing.hits:
        if hit.bar.number != bar:  # a move lasts two bars, the second mirrored
            bar = hit.bar.number
            flipped = bool(bar % 2)
            if not flipped:
                move = repertoire[int(rng.integers(len(repertoire)))]
        if hit.still:  # the pose settles slowly until the last beat of the pause
            if hit.count == BEATS_PER_BAR - 1:
                times.append(hit.time)
                poses.append(0.8 * poses[-1] + 0.2 * neutral)
            continue
        down = 1.0 if int(hit.count) % 2 == 0 else -0.4
        if hit.passing:  # a stop half-way between two poses, filled in below
            times.append(hit.time)
            poses.append(np.full(len(neutral), np.nan))
            continue
        key = move[place % 4]
        place += 1
        key = mirror_pose(key) if flipped else key
        gap = timing.period * {Mode.HALF: 2.0, Mode.DOUBLE: 0.5}.get(hit.bar.mode, 1.0)
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
    """Poses (T, 24) at the times `at`: `run_through`, and a foot that changes its position leaves the floor."""
    out = run_through(times, poses, at, sharpness=sharpness)
    i, u = segments(times, at)
    arc = np.sin(np.pi * ease(u, sharpness)) ** 2
    for side in ("left", "right"):
        x, z = PARAMETER[f"{side}_foot_x"], PARAMETER[f"{side}_foot_z"]
        way = np.hypot(poses[i + 1, x] - poses[i, x], poses[i + 1, z] - poses[i, z])
        out[:, PARAMETER[f"{side}_foot_lift"]] += np.minimum(0.35 * way, 0.05) * arc
    return out


def dance(seed: np.random.SeedSequence, timing: Timing, genre: str, fps: float) -> tuple[Motion, Camera]:
    """Make the motion of one clip, and its camera.

    Args:
        seed: source of choreography, body and camera.
        timing: of the clip.
        genre: one of `STYLES`.
        fps: frames per second; frame i is at i / fps seconds.
    """
    moves, looks = (np.random.default_rng(s) for s in streams(seed, 2))
    body = _random_body(looks)
    times, poses = key_poses(moves, timing, genre)
    at = np.arange(round(timing.seconds * fps)) / fps
    trajectory = move_through(times, poses, at, STYLES[genre][1])
    trajectory[:, PARAMETER["x"]] += 0.006 * np.sin(2 * np.pi * (0.23 * at + looks.random()))
    camera = Camera(
        scale=float(looks.uniform(0.60, 0.70)),
        x=float(looks.uniform(0.45, 0.55)),
        y=float(looks.uniform(0.54, 0.58)),
    )
    return Motion(pose_joints(trajectory, body), body), camera


def film(motion: Motion, camera: Camera) -> Footage:
    """What the camera sees."""
    return Footage(camera.project(motion.joints).astype(np.float32), camera.scale, motion.body)
