"""Move patterns: four key poses each for the legs, the arms, and the trunk with the head.

They are combined freely: a phrase of a dance is one pattern of each. Parameters are those of `body.py` (angles in
radians, lengths in body heights; the dancer's left is +x, forward +z). Positions of feet and weight (`x`, `z`) are
relative to the dancer's heading, so that a foot stays in place while the hips turn over it (`yaw`). A key of the legs
may also have `turn`, the change of heading on the way to it, and `travel_x`, `travel_z`, the change of the dancer's
position.
"""

from __future__ import annotations

from .body import PARAMETER

Key = dict[str, float]  # pose parameter → value
Arm = tuple[float, float, float, float]  # raise, azimuth, fore_raise, fore_azimuth in radians
TRAVEL = ("turn", "travel_x", "travel_z")


DOWN: Arm = (0.25, 0.2, 0.35, 0.8)
OUT: Arm = (1.5, 0.1, 1.5, 0.1)
UP: Arm = (2.75, 0.2, 2.9, 0.2)
HIGH: Arm = (2.3, 0.1, 2.5, 0.1)
FIST: Arm = (0.6, 0.3, 2.3, 1.0)
HIP: Arm = (0.75, -0.3, 0.65, 2.3)
ACROSS: Arm = (0.9, 1.3, 1.3, 2.4)
FRONT: Arm = (1.3, 1.3, 1.5, 1.4)
GOAL: Arm = (1.55, 0.1, 3.0, 0.2)  # upper arms out, forearms up
DROP: Arm = (1.55, 0.1, 0.15, 0.2)  # upper arms out, forearms down
TOGETHER: Arm = (1.1, 0.9, 1.6, 2.3)


def arms(left: Arm, right: Arm) -> Key:
    """Pose parameters of both arms."""
    names = ("raise", "azimuth", "fore_raise", "fore_azimuth")
    return {
        f"{side}_{name}": value
        for side, arm in (("left", left), ("right", right))
        for name, value in zip(names, arm, strict=True)
    }


def _feet(left: tuple[float, ...], right: tuple[float, ...], **rest: float) -> Key:
    """Both feet as (x, z) or (x, z, lift)."""
    key = dict(rest)
    for side, foot in (("left", left), ("right", right)):
        for name, value in zip(("x", "z", "lift"), foot, strict=False):
            key[f"{side}_foot_{name}"] = value
    return key


_L, _R = (0.09, 0.0), (-0.09, 0.0)  # neutral position of the feet

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
_BACK = (0.5, -0.9, 0.7, 0.3)
_CHEST = (0.7, 0.7, 1.7, 2.2)
_SWING_F = (0.65, 1.4, 1.5, 1.5)
_FACE = (1.2, 1.0, 2.6, 1.9)

ARMS: dict[str, list[Key]] = {
    "swing": [arms(_SWING_F, _BACK), arms(_HANG, _HANG), arms(_BACK, _SWING_F), arms(_HANG, FIST)],
    "pump": [arms(FIST, HIGH), arms(FIST, FIST), arms(HIGH, FIST), arms(FIST, FIST)],
    "wave": [arms(HIGH, _HANG), arms(OUT, OUT), arms(_HANG, HIGH), arms(OUT, OUT)],
    "roll": [arms(_CHEST, FRONT), arms(FRONT, _CHEST), arms(_CHEST, _FACE), arms(_FACE, _CHEST)],
    "cross": [arms(ACROSS, ACROSS), arms(OUT, OUT), arms(_CHEST, _CHEST), arms(_HANG, _HANG)],
    "point": [arms(HIP, UP), arms(HIP, ACROSS), arms(HIP, UP), arms(HIP, OUT)],
    "clap": [arms(UP, UP), arms(TOGETHER, TOGETHER), arms(HIGH, HIGH), arms(TOGETHER, TOGETHER)],
    "robot": [arms(GOAL, DROP), arms(DROP, GOAL), arms(GOAL, GOAL), arms(DROP, DROP)],
    "hang": [arms(_HANG, _HANG), arms(FIST, _HANG), arms(_HANG, _HANG), arms(_HANG, FIST)],
    "punch": [arms(FRONT, FIST), arms(FIST, FIST), arms(FIST, FRONT), arms(FIST, _CHEST)],
    "chop": [arms(_FACE, HIP), arms(FRONT, _HANG), arms(HIP, _FACE), arms(_HANG, FRONT)],
    "reach": [arms(UP, HIP), arms(OUT, _HANG), arms(HIP, UP), arms(_HANG, OUT)],
    "circle": [arms(OUT, OUT), arms(UP, UP), arms(_FACE, _FACE), arms(_HANG, _HANG)],
    "hips": [arms(HIP, HIP), arms(HIP, _CHEST), arms(HIP, HIP), arms(_CHEST, HIP)],
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
    """Pose parameters that a kind of patterns moves, in the order of `PARAMETERS`.

    >>> parameters_of(TRUNKS)
    ['lean', 'pitch', 'twist', 'head_yaw', 'head_pitch', 'head_roll']
    """
    named = {name for keys in patterns.values() for key in keys for name in key}
    return [name for name in PARAMETER if name in named]
