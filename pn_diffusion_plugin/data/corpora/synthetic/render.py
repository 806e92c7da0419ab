"""Drawing a dancer from joints.

Limbs are tapered capsules shaded like cylinders lit from the upper left, drawn from far to near. The dancer has what a
person detector needs: a head with a face, hair, neck, hands, shoes, clothes that differ from the skin and the wall, a
shadow on the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .body import INDEX, Body
from .look import Colour, Look

_SHIFT = 4  # fractional bits of cv2's coordinates
_LIGHT = np.array([-0.45, -0.60])  # direction of the light in the image
_LAYERS = (
    (1.0, 0.66),
    (0.86, 0.80),
    (0.68, 0.92),
    (0.48, 1.02),
    (0.26, 1.10),
)  # width, brightness of the shading
_ARC = np.linspace(-1.0, 1.0, 9)

_Points = dict[str, np.ndarray]  # pixels (2,) of each joint
_Depths = dict[str, float]  # body heights toward the camera of each joint
_Painter = Callable[[np.ndarray, _Points, _Depths, str], None]


def _tone(colour: Colour, brightness: float) -> Colour:
    r, g, b = (min(255.0, c * brightness) for c in colour)
    return r, g, b


def _polygon(canvas: np.ndarray, points: np.ndarray, colour: Colour) -> None:
    cv2.fillConvexPoly(
        canvas, np.round(points * (1 << _SHIFT)).astype(np.int32), colour, lineType=cv2.LINE_AA, shift=_SHIFT
    )


def _capsule_outline(a: np.ndarray, ra: float, b: np.ndarray, rb: float) -> np.ndarray:
    """Outline (18, 2) of the convex hull of two discs."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = float(np.hypot(dx, dy))
    heading = float(np.arctan2(dy, dx))
    tangent = float(np.arccos(np.clip((ra - rb) / max(length, 1e-6), -1.0, 1.0)))
    near_b = heading + tangent * _ARC
    near_a = heading + np.pi + (np.pi - tangent) * _ARC
    return np.concatenate(
        [
            np.stack([b[0] + rb * np.cos(near_b), b[1] + rb * np.sin(near_b)], axis=1),
            np.stack([a[0] + ra * np.cos(near_a), a[1] + ra * np.sin(near_a)], axis=1),
        ]
    )


def _capsule(canvas: np.ndarray, a: np.ndarray, ra: float, b: np.ndarray, rb: float, colour: Colour) -> None:
    """Draw a limb from a to b (pixels), shaded across."""
    for width, brightness in _LAYERS:
        offset = _LIGHT * (1.0 - width) * 0.6
        _polygon(
            canvas,
            _capsule_outline(a + offset * ra, width * ra, b + offset * rb, width * rb),
            _tone(colour, brightness),
        )


def _hull(canvas: np.ndarray, discs: list[tuple[np.ndarray, float]], colour: Colour) -> None:
    """Draw a part of the trunk: the hull of discs (centre, radius), shaded across its breadth."""
    angles = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centre = np.mean([c for c, _ in discs], axis=0)
    breadth = max(np.ptp([c[0] for c, _ in discs]) / 2, discs[0][1])
    for width, brightness in _LAYERS:
        offset = _LIGHT * (1.0 - width) * 0.5 * breadth
        points = []
        for c, radius in discs:
            middle = np.array([centre[0] + (c[0] - centre[0]) * width, c[1]])
            points.append(middle + offset * np.array([1.0, 0.2]) + max(width, 0.3) * radius * circle)
        outline = cv2.convexHull(np.concatenate(points).astype(np.float32))[:, 0]
        _polygon(canvas, outline, _tone(colour, 0.12 + 0.88 * brightness))


@dataclass(frozen=True)
class Footage:
    """What a camera sees of one dance.

    Args:
        keypoints: (T, 33, 3) joints: x, y in [0, 1] of a square image, z toward the camera in image heights.
        scale: height of the body, in image heights.
        body: proportions.
    """

    keypoints: np.ndarray
    scale: float
    body: Body


class DancerRenderer:
    """Draws the dancer of one filmed dance onto images.

    Args:
        footage: the joints that the camera sees.
        look: colours and clothes.
        side: pixels of the square images.
    """

    def __init__(self, footage: Footage, look: Look, side: int) -> None:
        self.look = look
        self._joints = footage.keypoints[..., :2].astype(np.float64) * side
        self._depth = footage.keypoints[..., 2] / footage.scale  # body heights toward the camera
        self._height = footage.scale * side  # pixels of one body height
        self._girth = footage.body.girth
        self._head = footage.body.head

    def draw(self, canvas: np.ndarray, index: int, ground: float) -> None:
        """Draw frame `index` onto `canvas` (side, side, 3) uint8 RGB, its shadow `ground` pixels from the top."""
        joints = {name: self._joints[index, i] for name, i in INDEX.items()}
        depth = {name: float(self._depth[index, i]) for name, i in INDEX.items()}
        self._shadow(canvas, joints, ground)

        parts: list[tuple[float, _Painter, str]] = []
        for side in ("left", "right"):
            thigh = 0.5 * (depth[f"{side}_hip"] + depth[f"{side}_knee"])
            parts.append((thigh - 0.07, self._leg, side))
            arm = (
                0.3 * depth[f"{side}_shoulder"] + 0.4 * depth[f"{side}_elbow"] + 0.3 * depth[f"{side}_wrist"]
            )
            parts.append((arm + 0.03, self._arm, side))
        trunk = (
            depth["left_shoulder"] + depth["right_shoulder"] + depth["left_hip"] + depth["right_hip"]
        ) / 4
        parts.append((trunk, self._trunk, ""))
        parts.append((0.5 * (depth["left_ear"] + depth["right_ear"]) + 0.02, self._draw_head, ""))
        if self.look.long_hair:
            ears = 0.5 * (depth["left_ear"] + depth["right_ear"])
            parts.append((trunk - 0.001 if depth["nose"] > ears else ears + 0.03, self._long_hair, ""))
        for _, draw, side in sorted(parts, key=lambda part: part[0]):
            draw(canvas, joints, depth, side)

    def _radius(self, share: float) -> float:
        return share * self._height * self._girth

    def _shadow(self, canvas: np.ndarray, joints: _Points, ground: float) -> None:
        hips = 0.5 * (joints["left_hip"] + joints["right_hip"])
        centre = (int(hips[0]), int(ground + 0.012 * self._height))
        half = (int(0.26 * self._height), int(0.045 * self._height))
        top, left = max(centre[1] - half[1], 0), max(centre[0] - half[0], 0)
        patch = canvas[top : centre[1] + half[1], left : centre[0] + half[0]]
        y, x = np.ogrid[top : top + patch.shape[0], left : left + patch.shape[1]]
        square = ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2
        patch[:] = (patch * (1.0 - 0.45 * np.clip(1.0 - square, 0.0, 1.0))[..., None]).astype(np.uint8)

    def _leg(self, canvas: np.ndarray, joints: _Points, depth: _Depths, side: str) -> None:
        look, r = self.look, self._radius
        hip, knee, ankle = (joints[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
        heel, toes = joints[f"{side}_heel"], joints[f"{side}_foot_index"]
        shin = look.skin if look.shorts else look.trousers
        _capsule(canvas, heel, r(0.019), 0.75 * toes + 0.25 * heel, r(0.017), look.shoes)
        _capsule(canvas, 0.6 * toes + 0.4 * heel, r(0.019), toes, r(0.015), look.shoes)
        _capsule(canvas, knee, r(0.036), ankle, r(0.022 if look.shorts else 0.027), shin)
        _capsule(canvas, hip, r(0.058), knee, r(0.038), look.trousers)

    def _trunk(self, canvas: np.ndarray, joints: _Points, depth: _Depths, side: str) -> None:
        look, r = self.look, self._radius
        ls, rs, lh, rh = (joints[n] for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip"))
        shoulders, hips = 0.5 * (ls + rs), 0.5 * (lh + rh)
        waist = 0.38 * shoulders + 0.62 * hips
        half_waist = 0.5 * (0.5 * (ls - rs) + 0.5 * (lh - rh))
        _capsule(canvas, shoulders, r(0.034), self._head_centre(joints), r(0.030), _tone(look.skin, 0.92))
        _hull(
            canvas,
            [(lh, r(0.056)), (rh, r(0.056)), (waist + half_waist, r(0.045)), (waist - half_waist, r(0.045))],
            look.trousers,
        )
        seam = 0.15 * shoulders + 0.85 * hips
        _hull(
            canvas,
            [
                (0.92 * ls + 0.08 * rs + 0.05 * (hips - shoulders), r(0.038)),
                (0.92 * rs + 0.08 * ls + 0.05 * (hips - shoulders), r(0.038)),
                (shoulders + 0.28 * (hips - shoulders) + 0.33 * (ls - rs), r(0.050)),
                (shoulders + 0.28 * (hips - shoulders) - 0.33 * (ls - rs), r(0.050)),
                (seam + 0.9 * half_waist, r(0.048)),
                (seam - 0.9 * half_waist, r(0.048)),
            ],
            look.shirt,
        )
        collar = shoulders + 0.02 * (hips - shoulders)
        _capsule(canvas, collar, r(0.028), collar - 0.1 * (hips - shoulders), r(0.028), look.skin)

    def _arm(self, canvas: np.ndarray, joints: _Points, depth: _Depths, side: str) -> None:
        look, r = self.look, self._radius
        shoulder, elbow, wrist = (joints[f"{side}_{n}"] for n in ("shoulder", "elbow", "wrist"))
        index, pinky, thumb = (joints[f"{side}_{n}"] for n in ("index", "pinky", "thumb"))
        _capsule(canvas, wrist, r(0.014), thumb, r(0.008), look.skin)
        _capsule(canvas, wrist, r(0.017), 0.5 * (index + pinky), r(0.018), look.skin)
        for tip in (index, pinky):
            _capsule(
                canvas, 0.6 * tip + 0.4 * wrist, r(0.010), 1.35 * tip - 0.35 * wrist, r(0.007), look.skin
            )
        fore = look.shirt if look.long_sleeves else look.skin
        _capsule(canvas, elbow, r(0.027), wrist, r(0.019), fore)
        if look.long_sleeves:
            _capsule(canvas, shoulder, r(0.038), elbow, r(0.029), look.shirt)
        else:
            _capsule(canvas, shoulder, r(0.034), elbow, r(0.027), look.skin)
            _capsule(canvas, shoulder, r(0.040), 0.45 * shoulder + 0.55 * elbow, r(0.037), look.shirt)

    @staticmethod
    def _head_centre(joints: _Points) -> np.ndarray:
        return 0.5 * (joints["left_ear"] + joints["right_ear"])

    def _long_hair(self, canvas: np.ndarray, joints: _Points, depth: _Depths, side: str) -> None:
        centre, unit = self._head_centre(joints), self._height * self._head
        down = 0.5 * (joints["mouth_left"] + joints["mouth_right"] - joints["left_eye"] - joints["right_eye"])
        down = down / max(float(np.hypot(*down)), 1e-6)
        behind = centre - 0.35 * (joints["nose"] - centre)
        tips = behind + 0.085 * unit * down
        _capsule(canvas, behind, 0.064 * unit, tips, 0.056 * unit, _tone(self.look.hair, 0.9))

    def _draw_head(self, canvas: np.ndarray, joints: _Points, depth: _Depths, side: str) -> None:
        look = self.look
        unit = self._height * self._head  # pixels of a body height, for a head of average size
        centre = self._head_centre(joints)
        eyes = 0.5 * (joints["left_eye"] + joints["right_eye"])
        mouth = 0.5 * (joints["mouth_left"] + joints["mouth_right"])
        up = eyes - mouth
        up = up / max(float(np.hypot(*up)), 1e-6)
        ahead = joints["nose"] - centre  # turn of the face to the side, in pixels
        ahead = ahead - up * float(ahead @ up)
        facing = depth["nose"] > 0.5 * (depth["left_ear"] + depth["right_ear"])
        crown = centre + 0.022 * unit * up
        skull = 0.060 * unit
        for name in ("left_ear", "right_ear"):
            lobe = joints[name] - 0.008 * unit * up
            _capsule(canvas, joints[name], 0.013 * unit, lobe, 0.010 * unit, _tone(look.skin, 0.9))
        back, front = crown + 0.010 * unit * up - 0.18 * ahead, crown - 0.15 * ahead
        _capsule(canvas, back, 1.03 * skull, front, 1.02 * skull, look.hair)
        if not facing:
            return
        brow = centre + 0.008 * unit * up + 0.22 * ahead
        chin = centre - 0.056 * unit * up + 0.42 * ahead
        _capsule(canvas, brow, 0.050 * unit, chin, 0.027 * unit, look.skin)
        self._face(canvas, joints, up, unit)

    def _face(self, canvas: np.ndarray, joints: _Points, up: np.ndarray, unit: float) -> None:
        skin = self.look.skin
        dark, lips = _tone(skin, 0.62), (0.80 * skin[0], 0.50 * skin[1], 0.50 * skin[2])

        def stroke(a: np.ndarray, ra: float, b: np.ndarray, rb: float, colour: Colour) -> None:
            _polygon(canvas, _capsule_outline(a, ra * unit, b, rb * unit), colour)

        for name in ("left_eye", "right_eye"):
            eye, half = joints[name], 0.5 * (joints[f"{name}_outer"] - joints[f"{name}_inner"])
            lid, brow = 0.009 * unit * up, 0.019 * unit * up
            stroke(eye - half, 0.006, eye + half, 0.005, (240, 238, 234))
            stroke(eye - 0.1 * half, 0.0062, eye + 0.1 * half, 0.0062, (42, 30, 26))
            stroke(eye - half + lid, 0.0022, eye + half + lid, 0.002, dark)
            stroke(
                eye - 1.2 * half + brow, 0.0030, eye + 1.2 * half + brow, 0.0024, _tone(self.look.hair, 0.9)
            )
        nose, side = joints["nose"], np.array([-up[1], up[0]])
        bridge = 0.5 * (joints["left_eye_inner"] + joints["right_eye_inner"])
        stroke(bridge, 0.004, nose, 0.009, _tone(skin, 1.08))
        stroke(nose - 0.007 * unit * (side + up), 0.0035, nose + 0.007 * unit * (side - up), 0.0035, dark)
        left, right = joints["mouth_left"], joints["mouth_right"]
        lower = 0.5 * (left + right) - 0.006 * unit * up
        stroke(left, 0.003, lower, 0.0055, lips)
        stroke(right, 0.003, lower, 0.0055, lips)
