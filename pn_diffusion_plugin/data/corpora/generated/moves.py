"""What a dancer's body can do: patterns of four poses for the legs, for the arms, for the trunk and head.

They are combined freely: a phrase of a dance is a pattern of each. Parameters are those of `mini/body.py` (angles in
radians, lengths in body heights; the dancer's left is +x, forward +z). Feet and weight (`x`, `z`) are told in the
dancer's heading, so that a foot stays where it is while the hips turn over it (`yaw`). Beyond them a key of the legs
may have `turn`, by which the heading changes on the way to it, and `travel_x`, `travel_z`, by which the dancer's spot
moves.
"""

from __future__ import annotations

from ..mini.body import PARAMETER

Key = dict[str, float]
TRAVEL = ("turn", "travel_x", "travel_z")


def _arms(left: tuple[float, ...], right: tuple[float, ...]) -> Key:
    """Both arms as (raise, azimuth, fore_raise, fore_azimuth)."""
    names = ("raise", "azimuth", "fore_raise", "fore_azimuth")
    return {f"left_{n}": v for n, v in zip(names, left, strict=True)} | {
        f"right_{n}": v for n, v in zip(names, right, strict=True)
    }


def _feet(left: tuple[float, ...], right: tuple[float, ...], **rest: float) -> Key:
    """Both feet as (x, z) or (x, z, lift)."""
    key = dict(rest)
    for side, foot in (("left", left), ("right", right)):
        for name, value in zip(("x", "z", "lift"), foot, strict=False):
            key[f"{side}_foot_{name}"] = value
    return key


_L, _R = (0.09, 0.0), (-0.09, 0.0)  # where the feet stand

LEGS: dict[str, list[Key]] = {
    "step_touch": [
        _feet((0.24, 0.0), _R, x=0.08, drop=0.02),
        _feet((0.24, 0.0), (0.08, 0.01), x=0.20, drop=0.035, yaw=0.12),
        _feet((0.24, 0.0), (-0.18, 0.0), x=-0.02, drop=0.02),
        _feet((-0.02, 0.01), (-0.18, 0.0), x=-0.14, drop=0.035, yaw=-0.12),
    ],
    "side_step": [
        _feet((0.24, 0.0), _R, x=0.10, drop=0.02, yaw=0.1),
        _feet((0.24, 0.0), (0.04, 0.0), x=0.13, drop=0.035),
        _feet((0.10, 0.0), (0.04, 0.0), x=0.0, drop=0.02, yaw=-0.1),
        _feet((0.10, 0.0), (-0.24, 0.0), x=-0.12, drop=0.035),
    ],
    "two_step": [
        _feet((0.16, 0.08), _R, x=0.07, drop=0.03, yaw=-0.2),
        _feet((0.16, 0.08), (-0.02, 0.05), x=0.06, drop=0.05),
        _feet((0.16, 0.08), (-0.2, -0.02), x=-0.08, drop=0.03, yaw=0.2),
        _feet((0.06, 0.0), (-0.2, -0.02), x=-0.07, drop=0.05),
    ],
    "grapevine": [
        _feet((0.22, 0.0), _R, x=0.05, drop=0.02, travel_x=0.06),
        _feet((0.16, 0.0), (0.22, -0.08), x=0.10, drop=0.03, yaw=0.35),
        _feet((0.30, 0.0), (0.10, -0.02), x=0.12, drop=0.02),
        _feet((0.16, 0.0), (0.0, 0.0), x=0.04, drop=0.04, travel_x=-0.06),
    ],
    "march": [
        _feet((0.09, 0.1, 0.22), _R, x=-0.05),
        _feet(_L, _R, drop=0.025),
        _feet(_L, (-0.09, 0.1, 0.22), x=0.05),
        _feet(_L, _R, drop=0.025),
    ],
    "running": [
        _feet((0.07, -0.12, 0.10), (-0.07, 0.06), x=-0.05, drop=0.05, pitch=0.12),
        _feet((0.07, 0.06), (-0.07, 0.12, 0.16), x=0.04, drop=0.03, pitch=0.06),
        _feet((0.07, 0.06), (-0.07, -0.12, 0.10), x=0.05, drop=0.05, pitch=0.12),
        _feet((0.07, 0.12, 0.16), (-0.07, 0.06), x=-0.04, drop=0.03, pitch=0.06),
    ],
    "shuffle": [
        _feet((0.15, 0.10), (-0.06, -0.04), x=0.03, drop=0.04, yaw=0.25),
        _feet((0.06, -0.04), (-0.06, 0.04), drop=0.02),
        _feet((0.06, -0.04), (-0.15, 0.10), x=-0.03, drop=0.04, yaw=-0.25),
        _feet((0.06, 0.04), (-0.06, -0.04), drop=0.02),
    ],
    "kick_step": [
        _feet(_L, (-0.1, 0.32, 0.22), x=0.06, pitch=-0.06),
        _feet(_L, (-0.05, 0.04), drop=0.04),
        _feet((0.1, 0.32, 0.22), (-0.05, 0.04), x=-0.06, pitch=-0.06),
        _feet((0.05, 0.0), _R, drop=0.04),
    ],
    "charleston": [
        _feet(_L, (-0.06, 0.26, 0.12), x=0.03, pitch=-0.05),
        _feet(_L, (-0.06, -0.05), drop=0.03, x=-0.03),
        _feet((0.06, -0.26, 0.10), (-0.06, -0.05), x=-0.04, pitch=0.14),
        _feet((0.06, 0.04), (-0.06, -0.05), drop=0.03, x=0.03),
    ],
    "heel_toe": [
        _feet((0.2, 0.14), _R, x=-0.05, drop=0.04, yaw=-0.15),
        _feet((0.07, 0.0), _R, drop=0.01),
        _feet((0.07, 0.0), (-0.2, 0.14), x=0.05, drop=0.04, yaw=0.15),
        _feet((0.07, 0.0), (-0.07, 0.0), drop=0.01),
    ],
    "box": [
        _feet((0.08, 0.16), _R, z=0.08, x=0.03, drop=0.02),
        _feet((0.08, 0.16), (-0.2, 0.16), z=0.12, x=-0.08, drop=0.03),
        _feet((0.08, 0.16), (-0.18, -0.06), z=0.02, x=-0.03, drop=0.02),
        _feet((0.16, -0.06), (-0.1, -0.06), z=-0.05, x=0.06, drop=0.03),
    ],
    "salsa": [
        _feet((0.08, 0.18), _R, z=0.06, x=0.06, yaw=-0.2, drop=0.02),
        _feet((0.08, 0.18), (-0.08, -0.02, 0.05), z=0.02, x=-0.05, yaw=0.2, drop=0.03),
        _feet((0.08, 0.0), (-0.08, -0.18), z=-0.06, x=-0.06, yaw=0.2, drop=0.02),
        _feet((0.08, 0.02, 0.05), (-0.08, -0.18), z=-0.02, x=0.05, yaw=-0.2, drop=0.03),
    ],
    "mambo": [
        _feet((0.26, 0.02), _R, x=0.12, yaw=0.2, drop=0.03),
        _feet((0.12, 0.0), _R, x=-0.03, yaw=-0.1, drop=0.02),
        _feet(_L, (-0.26, 0.02), x=-0.12, yaw=-0.2, drop=0.03),
        _feet(_L, (-0.12, 0.0), x=0.03, yaw=0.1, drop=0.02),
    ],
    "turns": [
        _feet((0.14, 0.06), _R, drop=0.02, turn=0.8, x=0.05),
        _feet(_L, (-0.14, 0.06), drop=0.03, turn=0.8, x=-0.04),
        _feet((0.14, 0.06), _R, drop=0.02, turn=-0.8, x=0.05),
        _feet(_L, (-0.12, 0.0), drop=0.03, turn=-0.8, x=-0.04),
    ],
    "spin": [
        _feet((0.1, 0.05), _R, drop=0.01, turn=1.571, x=0.02),
        _feet(_L, (-0.1, 0.05), drop=0.02, turn=1.571, x=-0.02),
        _feet((0.1, 0.05), _R, drop=0.01, turn=1.571, x=0.02),
        _feet((0.15, 0.0), (-0.15, 0.0), drop=0.05, turn=1.571),
    ],
    "bounce": [
        _feet((0.12, 0.0), (-0.12, 0.0), drop=0.10, pitch=0.08, x=0.03),
        _feet((0.12, 0.0), (-0.12, 0.0), drop=0.02),
        _feet((0.12, 0.0), (-0.12, 0.0), drop=0.10, pitch=0.08, x=-0.03),
        _feet((0.12, 0.0), (-0.12, 0.0), drop=0.02),
    ],
    "crouch": [
        _feet((0.18, 0.04), (-0.18, 0.0), drop=0.17, pitch=0.22, x=0.05),
        _feet((0.18, 0.04), (-0.18, 0.0), drop=0.06, x=0.0),
        _feet((0.18, 0.04), (-0.18, 0.0), drop=0.15, pitch=0.18, x=-0.06),
        _feet((0.10, 0.0), (-0.10, 0.0), drop=0.03),
    ],
    "stomp": [
        _feet((0.2, 0.1), _R, x=0.06, drop=0.08, pitch=0.1),
        _feet((0.14, 0.0, 0.14), _R, x=-0.06, drop=0.0),
        _feet((0.14, 0.0), (-0.22, 0.1), x=-0.06, drop=0.08, pitch=0.1),
        _feet((0.14, 0.0), (-0.14, 0.0, 0.14), x=0.06, drop=0.0),
    ],
    "jump": [
        _feet((0.22, 0.0), (-0.22, 0.0), drop=0.09),
        _feet((0.05, 0.0), (-0.05, 0.0), drop=0.01),
        _feet((0.05, 0.14), (-0.05, -0.12), drop=0.08),
        _feet((0.05, 0.0), (-0.05, 0.0), drop=0.01),
    ],
    "sway": [
        _feet((0.13, 0.0), (-0.13, 0.0), x=0.09, drop=0.02, yaw=0.1),
        _feet((0.13, 0.0), (-0.13, 0.0), x=-0.09, drop=0.03, yaw=-0.1),
        _feet((0.13, 0.0), (-0.13, 0.0), x=0.09, drop=0.01, yaw=0.1),
        _feet((0.13, 0.0), (-0.13, 0.0), x=-0.09, drop=0.04, yaw=-0.1),
    ],
    "robot_walk": [
        _feet((0.09, 0.14), (-0.09, -0.04), yaw=0.3, drop=0.02, z=0.04),
        _feet((0.09, 0.14), (-0.09, 0.10, 0.12), yaw=0.0, x=0.05, z=0.06),
        _feet((0.09, 0.0), (-0.09, 0.14), yaw=-0.3, drop=0.02, z=0.05),
        _feet((0.09, 0.0), _R, yaw=0.0, drop=0.05, x=-0.03),
    ],
}

_HANG = (0.22, 0.2, 0.35, 0.8)
_OUT = (1.5, 0.1, 1.5, 0.1)
_UP = (2.75, 0.2, 2.9, 0.2)
_HIGH = (2.3, 0.1, 2.5, 0.1)
_FIST = (0.6, 0.3, 2.3, 1.0)
_HIP = (0.75, -0.3, 0.65, 2.3)
_ACROSS = (0.9, 1.3, 1.3, 2.4)
_FRONT = (1.3, 1.3, 1.5, 1.4)
_GOAL = (1.55, 0.1, 3.0, 0.2)
_DROP = (1.55, 0.1, 0.15, 0.2)
_BACK = (0.5, -0.9, 0.7, 0.3)
_CHEST = (0.7, 0.7, 1.7, 2.2)
_SWING_F = (0.65, 1.4, 1.5, 1.5)
_TOGETHER = (1.1, 0.9, 1.6, 2.3)
_FACE = (1.2, 1.0, 2.6, 1.9)

ARMS: dict[str, list[Key]] = {
    "swing": [_arms(_SWING_F, _BACK), _arms(_HANG, _HANG), _arms(_BACK, _SWING_F), _arms(_HANG, _FIST)],
    "pump": [_arms(_FIST, _HIGH), _arms(_FIST, _FIST), _arms(_HIGH, _FIST), _arms(_FIST, _FIST)],
    "wave": [_arms(_HIGH, _HANG), _arms(_OUT, _OUT), _arms(_HANG, _HIGH), _arms(_OUT, _OUT)],
    "roll": [_arms(_CHEST, _FRONT), _arms(_FRONT, _CHEST), _arms(_CHEST, _FACE), _arms(_FACE, _CHEST)],
    "cross": [_arms(_ACROSS, _ACROSS), _arms(_OUT, _OUT), _arms(_CHEST, _CHEST), _arms(_HANG, _HANG)],
    "point": [_arms(_HIP, _UP), _arms(_HIP, _ACROSS), _arms(_HIP, _UP), _arms(_HIP, _OUT)],
    "clap": [_arms(_UP, _UP), _arms(_TOGETHER, _TOGETHER), _arms(_HIGH, _HIGH), _arms(_TOGETHER, _TOGETHER)],
    "robot": [_arms(_GOAL, _DROP), _arms(_DROP, _GOAL), _arms(_GOAL, _GOAL), _arms(_DROP, _DROP)],
    "hang": [_arms(_HANG, _HANG), _arms(_FIST, _HANG), _arms(_HANG, _HANG), _arms(_HANG, _FIST)],
    "punch": [_arms(_FRONT, _FIST), _arms(_FIST, _FIST), _arms(_FIST, _FRONT), _arms(_FIST, _CHEST)],
    "chop": [_arms(_FACE, _HIP), _arms(_FRONT, _HANG), _arms(_HIP, _FACE), _arms(_HANG, _FRONT)],
    "reach": [_arms(_UP, _HIP), _arms(_OUT, _HANG), _arms(_HIP, _UP), _arms(_HANG, _OUT)],
    "circle": [_arms(_OUT, _OUT), _arms(_UP, _UP), _arms(_FACE, _FACE), _arms(_HANG, _HANG)],
    "hips": [_arms(_HIP, _HIP), _arms(_HIP, _CHEST), _arms(_HIP, _HIP), _arms(_CHEST, _HIP)],
}

TRUNKS: dict[str, list[Key]] = {
    "upright": [{"head_yaw": 0.1}, {}, {"head_yaw": -0.1}, {"head_pitch": 0.06}],
    "groove": [
        {"pitch": 0.12, "head_pitch": 0.12, "lean": 0.06}, {"pitch": -0.05, "head_pitch": -0.08},
        {"pitch": 0.12, "head_pitch": 0.12, "lean": -0.06}, {"pitch": -0.05, "head_pitch": -0.08},
    ],
    "lean": [
        {"lean": 0.16, "head_roll": -0.1, "head_yaw": 0.25}, {"lean": 0.02},
        {"lean": -0.16, "head_roll": 0.1, "head_yaw": -0.25}, {"lean": -0.02},
    ],
    "twist": [
        {"twist": 0.45, "head_yaw": -0.2}, {"twist": -0.2, "head_yaw": 0.1},
        {"twist": -0.45, "head_yaw": 0.2}, {"twist": 0.2, "head_yaw": -0.1},
    ],
    "wave": [
        {"pitch": 0.2, "head_pitch": 0.25}, {"pitch": 0.05, "head_pitch": -0.2},
        {"pitch": -0.12, "head_pitch": -0.1}, {"pitch": 0.02, "head_pitch": 0.15},
    ],
    "nod": [
        {"head_pitch": 0.28, "pitch": 0.06}, {"head_pitch": -0.1},
        {"head_pitch": 0.28, "pitch": 0.06, "head_yaw": 0.2}, {"head_pitch": -0.1, "head_yaw": -0.1},
    ],
    "hips": [
        {"lean": 0.12, "twist": -0.25}, {"lean": -0.12, "twist": 0.25},
        {"lean": 0.12, "twist": -0.25, "head_yaw": 0.2}, {"lean": -0.12, "twist": 0.25, "head_yaw": -0.2},
    ],
}  # fmt: skip


def parameters_of(patterns: dict[str, list[Key]]) -> list[str]:
    """The pose parameters that some pattern of a kind moves, in the body's order.

    >>> parameters_of(TRUNKS)
    ['lean', 'pitch', 'twist', 'head_yaw', 'head_pitch', 'head_roll']
    """
    named = {name for keys in patterns.values() for key in keys for name in key}
    return [name for name in PARAMETER if name in named]
