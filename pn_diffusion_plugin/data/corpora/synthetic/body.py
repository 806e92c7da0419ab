"""A rig of 33 joints (BlazePose's, in its order) that 24 pose parameters per frame move.

World axes: x to the right of the frame, y up, z toward a camera in front. A dancer with yaw 0 faces that camera, so the
dancer's left is +x. Lengths are in body heights, angles in radians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...skeleton import JOINT_NAMES

INDEX = {name: i for i, name in enumerate(JOINT_NAMES)}

# Pose parameters. `raise`: 0 hanging, π/2 horizontal, π up; `azimuth`: 0 sideways, π/2 forward, π across
# the body. `foot_x`, `foot_z`: position of the foot relative to the dancer's position; `x`, `z`, `drop`: sway of
# the pelvis over it.
_CENTRE = ("x", "z", "drop", "yaw", "lean", "pitch", "twist", "head_yaw", "head_pitch", "head_roll")
_SIDED = ("raise", "azimuth", "fore_raise", "fore_azimuth", "foot_x", "foot_lift", "foot_z")
PARAMETERS = _CENTRE + tuple(f"left_{p}" for p in _SIDED) + tuple(f"right_{p}" for p in _SIDED)
PARAMETER = {name: i for i, name in enumerate(PARAMETERS)}

_NEUTRAL_ARM = {"raise": 0.30, "azimuth": 0.2, "fore_raise": 0.45, "fore_azimuth": 0.8}


def neutral_pose() -> np.ndarray:
    """Pose parameters (24,) of a dancer who stands with feet apart and arms slightly bent."""
    pose = np.zeros(len(PARAMETERS))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for name, value in _NEUTRAL_ARM.items():
            pose[PARAMETER[f"{side}_{name}"]] = value
        pose[PARAMETER[f"{side}_foot_x"]] = 0.09 * sign
    return pose


def pose_of(key: Mapping[str, float]) -> np.ndarray:
    """Pose parameters (24,) of a key pose; parameters without a value are neutral."""
    pose = neutral_pose()
    for name, value in key.items():
        pose[PARAMETER[name]] = value
    return pose


def mirror_pose(pose: np.ndarray) -> np.ndarray:
    """The mirrored pose, left and right exchanged; (…, 24) → (…, 24)."""
    out = pose.copy()
    for name in ("x", "yaw", "lean", "twist", "head_yaw", "head_roll"):
        out[..., PARAMETER[name]] *= -1.0
    for name in _SIDED:
        left, right = PARAMETER[f"left_{name}"], PARAMETER[f"right_{name}"]
        sign = -1.0 if name == "foot_x" else 1.0
        out[..., left], out[..., right] = sign * pose[..., right], sign * pose[..., left]
    return out


@dataclass(frozen=True)
class Body:
    """Proportions of one dancer, in body heights."""

    shoulder: float = 0.104  # from the spine to a shoulder joint
    hip: float = 0.060
    torso: float = 0.295  # from the hips up to the shoulders
    upper_arm: float = 0.168
    forearm: float = 0.146
    thigh: float = 0.242
    shin: float = 0.242
    ankle: float = 0.042  # height of the ankle over the floor
    head: float = 1.0  # size of the head relative to the average
    girth: float = 1.0  # thickness of limbs and trunk relative to the average

    @classmethod
    def random(cls, rng: np.random.Generator) -> Body:
        """Proportions from child to tall, slim to stout."""
        legs = float(rng.uniform(0.93, 1.05))
        return cls(
            shoulder=0.104 * float(rng.uniform(0.85, 1.18)),
            hip=0.060 * float(rng.uniform(0.85, 1.25)),
            torso=0.295 + 0.484 * (1.0 - legs),
            upper_arm=0.168 * float(rng.uniform(0.92, 1.08)),
            forearm=0.146 * float(rng.uniform(0.92, 1.08)),
            thigh=0.242 * legs,
            shin=0.242 * legs,
            head=float(rng.uniform(0.95, 1.22)),
            girth=float(rng.uniform(0.82, 1.3)),
        )


@dataclass(frozen=True)
class Motion:
    """One danced clip, before any camera.

    Args:
        joints: (T, 33, 3) in the world.
        body: proportions.
    """

    joints: np.ndarray
    body: Body


def _frame(yaw: np.ndarray, pitch: np.ndarray, lean: np.ndarray) -> np.ndarray:
    """Matrices (T, 3, 3) whose rows are the left, up and forward axes of a body part in the world.

    Lean (to the own left) turns about the forward axis first, then pitch (forward) about left, then yaw.
    """
    (cy, cp, cl), (sy, sp, sl) = ([f(angle) for angle in (yaw, pitch, lean)] for f in (np.cos, np.sin))
    zero, one = np.zeros_like(cy), np.ones_like(cy)
    roll = np.stack([cl, -sl, zero, sl, cl, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    bend = np.stack([one, zero, zero, zero, cp, sp, zero, -sp, cp], axis=-1).reshape(-1, 3, 3)
    turn = np.stack([cy, zero, -sy, zero, one, zero, sy, zero, cy], axis=-1).reshape(-1, 3, 3)
    return roll @ bend @ turn


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _arm_direction(raising: np.ndarray, azimuth: np.ndarray, sign: float) -> np.ndarray:
    return np.stack(
        [sign * np.sin(raising) * np.cos(azimuth), -np.cos(raising), np.sin(raising) * np.sin(azimuth)],
        axis=-1,
    )


def _leg(
    hip: np.ndarray, ankle: np.ndarray, bend: np.ndarray, thigh: float, shin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Knee and reachable ankle (T, 3) of a leg from `hip` toward `ankle` whose knee points along `bend`."""
    direction = _unit(ankle - hip)
    reach = np.linalg.norm(ankle - hip, axis=-1)
    reach = np.clip(reach, 0.35 * (thigh + shin), 0.998 * (thigh + shin))
    along = (thigh**2 - shin**2 + reach**2) / (2 * reach)
    aside = np.sqrt(np.maximum(thigh**2 - along**2, 0.0))
    normal = _unit(bend - np.sum(bend * direction, axis=-1, keepdims=True) * direction)
    knee = hip + along[:, None] * direction + aside[:, None] * normal
    return knee, hip + reach[:, None] * direction


def pose_joints(poses: np.ndarray, body: Body) -> np.ndarray:
    """Forward kinematics: (T, 24) pose parameters → (T, 33, 3) joints in the world."""
    p = {name: poses[:, i] for name, i in PARAMETER.items()}
    frames = len(poses)
    zero = np.zeros(frames)
    joints = np.zeros((frames, len(JOINT_NAMES), 3))

    pelvis_axes = _frame(p["yaw"], zero, zero)
    torso_axes = _frame(p["yaw"] + p["twist"], p["pitch"], p["lean"])
    head_axes = _frame(
        p["yaw"] + 0.5 * p["twist"] + p["head_yaw"],
        0.4 * p["pitch"] + p["head_pitch"],
        0.5 * p["lean"] + p["head_roll"],
    )

    def local(axes: np.ndarray, left: object, up: object, forward: object) -> np.ndarray:
        vector = np.stack(
            [np.broadcast_to(np.asarray(a, float), frames) for a in (left, up, forward)], axis=-1
        )
        return np.einsum("ti,tij->tj", vector, axes)

    standing = body.ankle + 0.985 * (body.thigh + body.shin)
    pelvis = local(pelvis_axes, p["x"], standing - p["drop"], p["z"])
    chest = pelvis + local(torso_axes, 0.0, body.torso, 0.0)
    for side, sign in (("left", 1.0), ("right", -1.0)):

        def put(name: str, where: np.ndarray, side: str = side) -> None:
            joints[:, INDEX[f"{side}_{name}"]] = where

        raised = np.clip((p[f"{side}_raise"] - 1.4) / 1.6, 0.0, 1.0)  # a raised arm lifts its shoulder
        shoulder = chest + local(torso_axes, sign * (body.shoulder - 0.012 * raised), 0.022 * raised, 0.0)
        upper = _arm_direction(p[f"{side}_raise"], p[f"{side}_azimuth"], sign)
        fore = _arm_direction(p[f"{side}_fore_raise"], p[f"{side}_fore_azimuth"], sign)
        elbow = shoulder + body.upper_arm * np.einsum("ti,tij->tj", upper, torso_axes)
        along = np.einsum("ti,tij->tj", fore, torso_axes)
        wrist = elbow + body.forearm * along
        across = _unit(np.cross(along, torso_axes[:, 2]) + 1e-3 * torso_axes[:, 0])  # breadth of the palm
        across *= np.where(across @ np.array([0.0, 1.0, 0.0]) < 0, -1.0, 1.0)[:, None]
        put("shoulder", shoulder)
        put("elbow", elbow)
        put("wrist", wrist)
        put("index", wrist + 0.062 * along + 0.012 * across)
        put("pinky", wrist + 0.056 * along - 0.016 * across)
        put("thumb", wrist + 0.034 * along + 0.026 * across)

        hip = pelvis + local(pelvis_axes, sign * body.hip, 0.0, 0.0)
        lift = p[f"{side}_foot_lift"]
        target = local(pelvis_axes, p[f"{side}_foot_x"], body.ankle + lift, p[f"{side}_foot_z"])
        outward = local(pelvis_axes, 0.35 * sign, 0.0, 1.0)
        knee, ankle = _leg(hip, target, outward, body.thigh, body.shin)
        tilt = np.clip(2.2 * lift, 0.0, 0.9)  # a lifted foot lets its toes hang
        toes = local(pelvis_axes, 0.30 * sign * np.cos(tilt), -np.sin(tilt), np.cos(tilt))
        sole = local(pelvis_axes, 0.0, -np.cos(tilt), -np.sin(tilt))
        put("hip", hip)
        put("knee", knee)
        put("ankle", ankle)
        put("heel", ankle - 0.030 * toes + 0.030 * sole)
        put("foot_index", ankle + 0.098 * toes + 0.034 * sole)

    centre = chest + local(torso_axes, 0.0, 0.045, 0.012) + local(head_axes, 0.0, 0.072 * body.head, 0.012)
    face = {
        "nose": (0.0, -0.014, 0.088),
        "mouth_left": (0.021, -0.044, 0.068), "mouth_right": (-0.021, -0.044, 0.068),
        "left_eye_inner": (0.011, 0.018, 0.073), "right_eye_inner": (-0.011, 0.018, 0.073),
        "left_eye": (0.021, 0.018, 0.069), "right_eye": (-0.021, 0.018, 0.069),
        "left_eye_outer": (0.031, 0.018, 0.062), "right_eye_outer": (-0.031, 0.018, 0.062),
        "left_ear": (0.060, 0.002, 0.0), "right_ear": (-0.060, 0.002, 0.0),
    }  # fmt: skip
    for name, offset in face.items():
        joints[:, INDEX[name]] = centre + body.head * local(head_axes, *offset)
    return joints
