"""The camera, the room and the pictures of a generated dance.

The camera stands anywhere in front of the dancer, higher or lower, nearer or farther, in portrait or landscape, on a
tripod or in a hand. Clothes, walls and light have any colours. Dancers are drawn by `mini/render.py`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ..mini.choreography import Dance
from ..mini.look import Colour, Look, room
from ..mini.render import DancerRenderer
from .choreography import Motion
from .curves import drift, streams

_ASPECTS = (1.0, 1.0, 9 / 16, 9 / 16, 3 / 4, 4 / 3)  # width / height
_MARGIN = 0.06  # of the picture's sides, between them and the joints
_SWAY = 0.03  # room beyond the picture's edges, in which a hand-held camera moves


@dataclass(frozen=True)
class Shot:
    """How one clip is filmed.

    Args:
        azimuth, elevation: of the camera as seen from the dancer, radians.
        distance: body heights.
        height: of the body in picture heights, at most; less where the dance would leave the picture.
        aspect: width / height of the picture.
        place: where the dance stands in the room the picture leaves it, 0 to 1 (0.5: the middle).
        unrest: how far a hand-held camera wanders, picture heights; 0: a tripod.
    """

    azimuth: float
    elevation: float
    distance: float
    height: float
    aspect: float
    place: tuple[float, float]
    unrest: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Shot:
        """Mostly from the front."""
        return cls(
            azimuth=float(np.clip(rng.normal(0, 0.4), -1.0, 1.0)),
            elevation=float(rng.uniform(-0.06, 0.3)),
            distance=float(rng.uniform(2.8, 7.0)),
            height=float(rng.uniform(0.5, 0.82)),
            aspect=float(rng.choice(_ASPECTS)),
            place=(float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.3, 0.9))),
            unrest=float(rng.choice([0.0, 0.004, 0.012])),
        )


def film(
    motion: Motion, shot: Shot, fps: float, rng: np.random.Generator
) -> tuple[np.ndarray, float, np.ndarray]:
    """Joints as the camera sees them.

    Args:
        motion: of the dancer.
        shot: of the camera.
        fps: frames a second.
        rng: source of the camera's unrest.

    Returns:
        keypoints (T, 33, 3): x and y in [0, 1] of the square whose middle `aspect` cuts the picture out of, z toward
        the camera in picture heights; the body's height there; and the camera's unrest (T, 2), already in x and y.
    """
    joints = motion.joints - np.array([0.0, 0.5, 0.0])
    ca, sa = np.cos(shot.azimuth), np.sin(shot.azimuth)
    ce, se = np.cos(shot.elevation), np.sin(shot.elevation)
    x = ca * joints[..., 0] - sa * joints[..., 2]
    ahead = sa * joints[..., 0] + ca * joints[..., 2]
    y = ce * joints[..., 1] - se * ahead
    z = se * joints[..., 1] + ce * ahead
    nearness = shot.distance / (shot.distance - np.minimum(z, 0.6 * shot.distance))
    x, y = x * nearness, -y * nearness
    width, height = _extent(shot.aspect)
    low, high = np.array([x.min(), y.min() - 0.08]), np.array([x.max(), y.max() + 0.02])  # hair; soles
    room_for = np.array([width, height]) - 2 * _MARGIN * min(width, height) - 2 * shot.unrest
    scale = float(min(shot.height * height, *(room_for / np.maximum(high - low, 1e-6))))
    spare = room_for - scale * (high - low)
    corner = 0.5 - room_for / 2 + spare * np.array(shot.place)
    at = np.arange(len(x)) / fps
    unrest = np.stack([drift(rng, at, shot.unrest / 2, 1.2), drift(rng, at, shot.unrest / 2, 1.2)], axis=1)
    unrest = np.clip(unrest, -shot.unrest, shot.unrest)
    planes = np.stack(
        [corner[0] + scale * (x - low[0]), corner[1] + scale * (y - low[1]), scale * z], axis=-1
    )
    planes[..., :2] += unrest[:, None]
    return planes.astype(np.float32), scale, unrest


def _extent(aspect: float) -> tuple[float, float]:
    """Width and height of the picture in sides of the square it is cut out of."""
    return min(aspect, 1.0), min(1.0 / aspect, 1.0)


def picture_size(aspect: float, size: int) -> tuple[int, int]:
    """(height, width) in pixels, both even, of a picture cut out of a square of `size` pixels.

    >>> picture_size(9 / 16, 256), picture_size(4 / 3, 256)
    ((256, 144), (192, 256))
    """
    width, height = _extent(aspect)
    return 2 * round(size * height / 2), 2 * round(size * width / 2)


def cut_out(keypoints: np.ndarray, aspect: float, size: int) -> np.ndarray:
    """Keypoints (…, ≥ 2) of the square in shares of the picture cut out of it."""
    height, width = picture_size(aspect, size)
    out = keypoints.copy()
    out[..., 0] = (keypoints[..., 0] * size - (size - width) // 2) / width
    out[..., 1] = (keypoints[..., 1] * size - (size - height) // 2) / height
    return out


def _colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return 255 * r, 255 * g, 255 * b


def random_look(rng: np.random.Generator) -> Look:
    """Skin and hair of `Look.random`; clothes and room of any colour, clothes never near the wall's brightness."""
    known = Look.random(rng)
    wall = _colour(rng, (0.02, 0.45), (0.25, 0.95))
    while True:
        shirt = _colour(rng, (0.0, 0.9), (0.1, 0.95))
        trousers = _colour(rng, (0.0, 0.6), (0.1, 0.7))
        if all(abs(float(np.mean(c)) - float(np.mean(wall))) > 30 for c in (shirt, trousers)):
            break
    return Look(
        skin=known.skin,
        hair=known.hair,
        shirt=shirt,
        trousers=trousers,
        shoes=_colour(rng, (0.0, 0.5), (0.1, 0.95)),
        wall=wall,
        floor=_colour(rng, (0.05, 0.5), (0.25, 0.75)),
        long_hair=known.long_hair,
        long_sleeves=known.long_sleeves,
        shorts=known.shorts,
    )


class SceneRenderer(DancerRenderer):
    """Draws frame after frame of one clip.

    Args:
        motion: of the dancer.
        shot: of the camera.
        fps: frames a second.
        seed: look, room, light and the camera's unrest come from it.
        size: pixels of the picture's longer side.
    """

    def __init__(
        self, motion: Motion, shot: Shot, fps: float, seed: np.random.SeedSequence, size: int
    ) -> None:
        unrest_seed, look_seed, drawing_seed = streams(seed, 3)
        points, scale, unrest = film(motion, shot, fps, np.random.default_rng(unrest_seed))
        self.shot, self._unrest = shot, unrest
        super().__init__(Dance(points, fps, np.zeros(0), np.zeros(0), scale, motion.body), drawing_seed, size)
        rng = np.random.default_rng(look_seed)
        self.look = random_look(rng)
        horizon = self._ground - float(rng.uniform(0.03, 0.10)) - 0.35 * max(shot.elevation, 0.0)
        self._border = round(_SWAY * self._pixels)
        side = self._pixels + 2 * self._border
        self._wide = room(self.look, rng, side, (horizon * self._pixels + self._border) / side)
        gamma, gain = float(rng.uniform(0.75, 1.3)), float(rng.uniform(0.8, 1.1))
        tones = 255.0 * gain * (np.arange(256) / 255.0) ** gamma
        self._tones = np.clip(tones, 0, 255).astype(np.uint8)
        self._blur = float(rng.choice([0.0, 0.0, 0.6, 0.9]))
        self._points = points

    @property
    def keypoints(self) -> np.ndarray:
        """(T, 33, 3) the true joints: x and y in [0, 1] of the picture, z toward the camera."""
        return cut_out(self._points, self.shot.aspect, self.size)

    @property
    def picture_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return picture_size(self.shot.aspect, self.size)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.frame(i) for i in range(len(self)))

    def frame(self, index: int) -> np.ndarray:
        """Picture (height, width, 3) uint8 RGB of one frame."""
        x, y = np.clip(
            np.round(self._border - self._unrest[index] * self._pixels), 0, 2 * self._border
        ).astype(int)
        self._room = self._wide[y : y + self._pixels, x : x + self._pixels]
        picture = super().frame(index)
        height, width = self.picture_size
        top, left = (self.size - height) // 2, (self.size - width) // 2
        picture = picture[top : top + height, left : left + width]
        if self._blur:
            picture = cv2.GaussianBlur(picture, (0, 0), self._blur)
        return np.ascontiguousarray(cv2.LUT(picture, self._tones))

    def _shadow(self, canvas: np.ndarray, joints: dict[str, np.ndarray]) -> None:
        """As the parent's, under the feet wherever they are."""
        heels = [joints[f"{side}_{part}"][1] for side in ("left", "right") for part in ("heel", "foot_index")]
        self._ground = float(max(heels)) / self._pixels
        super()._shadow(canvas, joints)
