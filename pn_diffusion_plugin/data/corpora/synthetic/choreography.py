"""Choreography: a dancer who meets the hits of a timing with steps, arms and trunk.

A choreography is a sequence of key poses, one per hit. Legs, arms and trunk follow patterns of their own (`moves.py`),
drawn anew for every phrase; the arms may take two beats for a move while the feet step on each. All stop, or nearly, on
the beat: **the minima of joint speed fall on the beats**, which makes the beats visible. Against a mechanical
appearance: weight shifts before a foot is free, feet stay planted while the hips turn, hands arrive a little after the
body, large moves start with a small move back, timing varies by some milliseconds, moves grow with the section's
energy, and the body sways slowly all the time.
"""

from __future__ import annotations

import numpy as np

from .body import PARAMETER, PARAMETERS, Body, Motion, mirror_pose, neutral_pose, pose_joints
from .curves import drift, run_through, steps
from .genres import GENRES, Genre
from .moves import ARMS, LEGS, TRAVEL, TRUNKS, Key, parameters_of
from .plan import streams
from .timing import Hit, Mode, Section, Timing

_ENERGY = {Section.INTRO: 0.75, Section.VERSE: 0.92, Section.CHORUS: 1.12, Section.BREAK: 0.8}
_ACCENT_DIP = 0.04  # how much lower a stressed pose is, in body heights
_PLACE = ("left_foot_x", "left_foot_z", "right_foot_x", "right_foot_z")
_ROW = {name: i for i, name in enumerate((*PARAMETERS, *TRAVEL))}
_ARM_COLUMNS = [PARAMETER[name] for name in parameters_of(ARMS)]
_HAND_COLUMNS = [PARAMETER[n] for n in PARAMETERS if "fore" in n]
_TRUNK_COLUMNS = [PARAMETER[n] for n in parameters_of(TRUNKS)]
_REACH = 0.46  # largest distance of the feet, body heights


def _apply(key: Key, into: np.ndarray) -> None:
    for name, value in key.items():
        if name.endswith(("_x", "_z", "_lift", "raise", "azimuth")) or name in TRAVEL:
            into[_ROW[name]] = value
        else:
            into[_ROW[name]] += value  # legs and trunk both bend and lean


def _mirrored(rows: np.ndarray) -> np.ndarray:
    """Mirrored rows of poses and travel."""
    out = rows.copy()
    out[..., : len(PARAMETERS)] = mirror_pose(rows[..., : len(PARAMETERS)])
    out[..., [_ROW["turn"], _ROW["travel_x"]]] *= -1.0
    return out


class _Repertoire:
    """Patterns of one dancer, with individual deviations."""

    def __init__(self, rng: np.random.Generator, genre: Genre) -> None:
        self.rng = rng
        legs = [*genre.legs, "spin"] if rng.random() < 0.25 else list(genre.legs)
        self.legs = [name for name in rng.permutation(legs)[:3]]
        self.arms = [name for name in rng.permutation(genre.arms)[:3]]
        self.trunks = [name for name in rng.permutation(genre.trunks)[:2]]
        if rng.random() < 0.3:  # a pattern of any genre
            self.arms[0] = str(rng.choice(list(ARMS)))
        self.manner = rng.normal(0.0, 1.0, size=(4, len(_ROW)))
        scale = np.full(len(_ROW), 0.05)
        scale[_ARM_COLUMNS] = 0.16
        scale[[_ROW[n] for n in ("x", "z", "drop", *_PLACE, "left_foot_lift", "right_foot_lift")]] = 0.012
        scale[[_ROW[n] for n in TRAVEL]] = 0.0
        self.manner *= scale

    def phrase(self) -> np.ndarray:
        """A combination of patterns (4, parameters)."""
        rng = self.rng
        rows = np.zeros((4, len(_ROW)))
        rows[:, : len(PARAMETERS)] = neutral_pose()
        chosen = (
            LEGS[str(rng.choice(self.legs))],
            ARMS[str(rng.choice(self.arms))],
            TRUNKS[str(rng.choice(self.trunks))],
        )
        for pattern in chosen:
            for row, key in zip(rows, pattern, strict=True):
                _apply(key, row)
        return rows + self.manner


def key_poses(
    rng: np.random.Generator, timing: Timing, genre: Genre
) -> tuple[list[Hit], np.ndarray, np.ndarray]:
    """Key poses of a dance: hits (K), poses (K, 24) relative to the heading, and travel (K, 3): x, z, heading.

    Args:
        rng: source of the moves and of this dancer's deviations.
        timing: hits to dance.
        genre: source of the patterns.
    """
    repertoire = _Repertoire(rng, genre)
    neutral = neutral_pose()
    size = float(rng.uniform(0.85, 1.12))
    hits: list[Hit] = []
    poses: list[np.ndarray] = []
    spots: list[np.ndarray] = []
    spot = np.zeros(3)
    phrase, rows, place = -1, repertoire.phrase(), 0
    for hit in timing.hits:
        if hit.bar.phrase != phrase:
            phrase, place = hit.bar.phrase, 0
            if rng.random() < 0.75 or not poses:
                rows = repertoire.phrase()
            rows = _mirrored(rows) if rng.random() < 0.5 else rows
        if hit.still:
            if hit.count == 3:  # the pose settles slowly until the last beat of the pause
                hits.append(hit)
                poses.append(0.85 * poses[-1] + 0.15 * neutral if poses else neutral.copy())
                spots.append(spot.copy())
            continue
        if hit.passing:
            hits.append(hit)
            poses.append(np.full(len(neutral), np.nan))
            spots.append(np.full(3, np.nan))
            continue
        key = rows[place % 4]
        place += 1
        beats = 0.5 if hit.bar.mode is Mode.DOUBLE or not hit.on_beat else 1.0
        gap = timing.period * (2.0 if hit.bar.mode is Mode.HALF else beats)
        extent = (
            size * _ENERGY[hit.bar.section] * min(1.0, (gap / 0.42) ** 0.7) * (1.12 if hit.accent else 0.9)
        )
        pose = neutral + extent * (key[: len(neutral)] - neutral)
        down = 1.0 if int(hit.count) % 2 == 0 else -0.4
        dip = genre.groove * down + (_ACCENT_DIP if hit.accent else 0.0)
        pose[PARAMETER["drop"]] += dip * min(1.0, gap / 0.5)
        pose[PARAMETER["head_pitch"]] += 0.08 * max(down, 0.0)
        turn, aside, ahead = key[len(neutral) :]
        spot = spot + np.array([extent * aside, extent * ahead, turn])
        hits.append(hit)
        poses.append(pose)
        spots.append(spot.copy())
    rows, travel = np.stack(poses), np.stack(spots)
    _fill_passing(rng, rows)
    rows[[hit.passing for hit in hits], PARAMETER["drop"]] += 0.7 * genre.groove
    _fill_passing(rng, travel)
    return hits, rows, travel


def _fill_passing(rng: np.random.Generator, rows: np.ndarray) -> None:
    """Replace rows of NaN by about the mean of their neighbours: the middle of a slow move."""
    for i in map(int, np.flatnonzero(np.isnan(rows[:, 0]))):
        ends = [rows[j] for j in (i - 1, i + 1) if 0 <= j < len(rows) and np.isfinite(rows[j, 0])]
        share = float(rng.uniform(0.42, 0.58))
        rows[i] = (1 - share) * ends[0] + share * ends[-1]


def _planted(poses: np.ndarray, travel: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray]:
    """World position (K, 2) of a foot on each hit, and its height above the floor (K,). The position is the pattern's,
    turned by the heading; a foot does not move for less than a small step."""
    x, z = (poses[:, PARAMETER[f"{side}_foot_{axis}"]] for axis in ("x", "z"))
    heading = travel[:, 2]
    world = travel[:, :2] + np.stack(
        [np.cos(heading) * x + np.sin(heading) * z, -np.sin(heading) * x + np.cos(heading) * z], axis=1
    )
    lift = np.maximum(poses[:, PARAMETER[f"{side}_foot_lift"]], 0.0)
    for i in range(1, len(world)):
        if lift[i] < 0.02 and lift[i - 1] < 0.02 and np.hypot(*(world[i] - world[i - 1])) < 0.035:
            world[i] = world[i - 1]
    return world, lift


def dance(seed: np.random.SeedSequence, timing: Timing, genre: str, fps: float) -> Motion:
    """Make the motion of one clip.

    Args:
        seed: source of choreography and body.
        timing: of the clip.
        genre: one of `GENRES`.
        fps: frames per second; frame i is at i / fps seconds.
    """
    moves, looks = (np.random.default_rng(s) for s in streams(seed, 2))
    body, style = Body.random(looks), GENRES[genre]
    hits, poses, travel = key_poses(moves, timing, style)
    at = np.arange(round(timing.seconds * fps)) / fps
    on = np.array([hit.time for hit in hits])
    on = on + moves.normal(0, 0.008) + moves.normal(0, 0.008, on.size)  # s: people are early or late
    sharpness = float(np.clip(style.sharpness + moves.normal(0, 0.12), 0.0, 0.95))
    flow = float(moves.uniform(0.0, 0.22)) * (1 - sharpness)
    windup = float(moves.uniform(0.0, 0.07))

    def run(values: np.ndarray, late: float = 0.0, flowing: float = flow, back: float = 0.0) -> np.ndarray:
        return run_through(on + late, values, at, sharpness=sharpness, flow=flowing, windup=back)

    # Arms that take two beats for a move skip every second key.
    if moves.random() < 0.3 and timing.bpm >= 95:
        skipped = [i for i, h in enumerate(hits[1:-1], 1) if h.on_beat and int(h.count) % 2 and not h.still]
        for i in skipped:
            poses[i, _ARM_COLUMNS] = 0.5 * (poses[i - 1, _ARM_COLUMNS] + poses[i + 1, _ARM_COLUMNS])
    trajectory = run(poses, back=0.5 * windup)
    lag = float(moves.uniform(0.0, 0.02))
    trajectory[:, _ARM_COLUMNS] = run(poses[:, _ARM_COLUMNS], late=lag, back=windup)
    trajectory[:, _HAND_COLUMNS] = run(poses[:, _HAND_COLUMNS], late=1.6 * lag, back=windup)
    trajectory[:, _TRUNK_COLUMNS] = run(poses[:, _TRUNK_COLUMNS], late=-0.5 * lag, flowing=1.5 * flow)
    moving = run(travel, flowing=flow)
    for name, amount in (("lean", 0.012), ("pitch", 0.012), ("head_yaw", 0.05), ("x", 0.004), ("z", 0.004)):
        trajectory[:, PARAMETER[name]] += drift(moves, at, amount)

    facing = float(looks.uniform(-0.35, 0.35))
    feet = {}
    for side in ("left", "right"):
        world, lift = _planted(poses, travel, side)
        feet[side] = steps(on, world, lift, at, 0.055)
    joints = pose_joints(_in_hips_frame(trajectory, moving, feet), body)
    joints[..., 0] += moving[:, None, 0]
    joints[..., 2] += moving[:, None, 1]
    return Motion(_turned(joints, facing), body)


def _in_hips_frame(
    trajectory: np.ndarray, moving: np.ndarray, feet: dict[str, tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Pose parameters for `pose_joints`: yaw in the world, feet and weight relative to the hips."""
    out = trajectory.copy()
    heading = moving[:, 2]
    yaw = heading + trajectory[:, PARAMETER["yaw"]]
    out[:, PARAMETER["yaw"]] = yaw
    x, z = trajectory[:, PARAMETER["x"]], trajectory[:, PARAMETER["z"]]
    weight = np.stack(
        [np.cos(heading) * x + np.sin(heading) * z, -np.sin(heading) * x + np.cos(heading) * z], axis=1
    )
    apart = np.zeros(len(out))
    for (place, lift), side in ((feet["left"], "left"), (feet["right"], "right")):
        relative = place - moving[:, :2]
        out[:, PARAMETER[f"{side}_foot_x"]], out[:, PARAMETER[f"{side}_foot_z"]] = _into(relative, yaw)
        out[:, PARAMETER[f"{side}_foot_lift"]] = lift
        apart = np.maximum(apart, np.hypot(*(relative - weight).T))
    out[:, PARAMETER["x"]], out[:, PARAMETER["z"]] = _into(weight, yaw)
    # Wide steps need bent knees: the hips sink until the leg reaches the farther foot.
    out[:, PARAMETER["drop"]] += 0.55 * np.clip(apart - 0.12, 0.0, _REACH) ** 2 / 0.25
    return out


def _into(vectors: np.ndarray, yaw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and forward components, at heading `yaw`, of vectors (T, 2) on the floor."""
    x, z = vectors.T
    return np.cos(yaw) * x - np.sin(yaw) * z, np.sin(yaw) * x + np.cos(yaw) * z


def _turned(joints: np.ndarray, angle: float) -> np.ndarray:
    out = joints.copy()
    out[..., 0] = np.cos(angle) * joints[..., 0] + np.sin(angle) * joints[..., 2]
    out[..., 2] = -np.sin(angle) * joints[..., 0] + np.cos(angle) * joints[..., 2]
    return out
