"""The camera and the frames of a dance.

The camera stands anywhere in front of the dancer, higher or lower, nearer or farther, in portrait or landscape, on a
tripod or in a hand. `render.py` draws the dancer, `look.py` determines the colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .body import INDEX, Motion
from .curves import drift
from .look import Look
from .render import DancerRenderer, Footage

OVERSAMPLING = 2  # the dancer is drawn larger and then reduced
_ASPECTS = (1.0, 1.0, 9 / 16, 9 / 16, 3 / 4, 4 / 3)  # width / height
_MARGIN = 0.06  # between the joints and the frame, as a share of its side


@dataclass(frozen=True)
class Shot:
    """Camera of one clip.

    Args:
        azimuth, elevation: of the camera seen from the dancer, radians.
        distance: body heights.
        height: largest height of the body in frame heights; less where the dance would leave the frame.
        aspect: width / height of the frame.
        place: position of the dance within the space that the frame leaves, 0 to 1 (0.5: the middle).
        shake: movement of a hand-held camera, frame heights; 0: a tripod.
    """

    azimuth: float
    elevation: float
    distance: float
    height: float
    aspect: float
    place: tuple[float, float]
    shake: float

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
            shake=float(rng.choice([0.0, 0.004, 0.012])),
        )


def film(motion: Motion, shot: Shot, fps: float, rng: np.random.Generator) -> tuple[Footage, np.ndarray]:
    """Project the joints of a dance.

    Args:
        motion: of the dancer.
        shot: the camera.
        fps: frames per second.
        rng: source of the camera's shake.

    Returns:
        What the camera sees in a square, out of whose middle `aspect` crops the frame; and the shake (T, 2), which
        the keypoints already contain.
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
    space = np.array([width, height]) - 2 * _MARGIN * min(width, height) - 2 * shot.shake
    scale = float(min(shot.height * height, *(space / np.maximum(high - low, 1e-6))))
    spare = space - scale * (high - low)
    corner = 0.5 - space / 2 + spare * np.array(shot.place)
    at = np.arange(len(x)) / fps
    shake = np.stack([drift(rng, at, shot.shake / 2, 1.2), drift(rng, at, shot.shake / 2, 1.2)], axis=1)
    shake = np.clip(shake, -shot.shake, shot.shake)
    planes = np.stack(
        [corner[0] + scale * (x - low[0]), corner[1] + scale * (y - low[1]), scale * z], axis=-1
    )
    planes[..., :2] += shake[:, None]
    return Footage(planes.astype(np.float32), scale, motion.body), shake


def _extent(aspect: float) -> tuple[float, float]:
    """Width and height of the frame in sides of the square that it is cropped from."""
    return min(aspect, 1.0), min(1.0 / aspect, 1.0)


def frame_size(aspect: float, size: int) -> tuple[int, int]:
    """(height, width) in pixels, both even, of a frame cropped from a square of `size` pixels.

    >>> frame_size(9 / 16, 256), frame_size(4 / 3, 256)
    ((256, 144), (192, 256))
    """
    width, height = _extent(aspect)
    return 2 * round(size * height / 2), 2 * round(size * width / 2)


def crop(keypoints: np.ndarray, aspect: float, size: int) -> np.ndarray:
    """Convert keypoints (…, ≥ 2) from [0, 1] of the square to [0, 1] of the frame cropped from it."""
    height, width = frame_size(aspect, size)
    out = keypoints.copy()
    out[..., 0] = (keypoints[..., 0] * size - (size - width) // 2) / width
    out[..., 1] = (keypoints[..., 1] * size - (size - height) // 2) / height
    return out


def ground(footage: Footage) -> float:
    """Height of the floor in [0, 1] of the image, from the top: where the heels mostly are."""
    heels = footage.keypoints[:, [INDEX["left_heel"], INDEX["right_heel"]], 1].astype(np.float64)
    return float(np.percentile(heels, 90))


@dataclass
class Scene:
    """Frames of one clip; iterating over it draws one after the other.

    Args:
        footage: what the camera sees.
        look: colours and clothes of the dancer.
        background: (side, side, 3) uint8 the room, `OVERSAMPLING` times as large as the square that the frame is
            cropped from, and with a border if the camera moves.
        floor: (T,) height of the floor under the dancer in [0, 1] of the square.
        size: pixels of the frame's longer side.
        aspect: width / height of the frame.
        shake: (T, 2) movement of the camera in [0, 1] of the square; None: a tripod.
        tones: (256,) uint8 tone curve; None: as drawn.
        blur: standard deviation in pixels.
    """

    footage: Footage
    look: Look
    background: np.ndarray
    floor: np.ndarray
    size: int
    aspect: float = 1.0
    shake: np.ndarray | None = None
    tones: np.ndarray | None = None
    blur: float = 0.0

    def __post_init__(self) -> None:
        self._side = self.size * OVERSAMPLING
        self._dancer = DancerRenderer(self.footage, self.look, self._side)

    @property
    def keypoints(self) -> np.ndarray:
        """True joints (T, 33, 3): x and y in [0, 1] of the frame, z toward the camera."""
        points = self.footage.keypoints
        return points if self.aspect == 1.0 else crop(points, self.aspect, self.size)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return frame_size(self.aspect, self.size)

    def __len__(self) -> int:
        return len(self.floor)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.frame(i) for i in range(len(self)))

    def frame(self, index: int) -> np.ndarray:
        """Draw one frame (height, width, 3), uint8 RGB."""
        border = (len(self.background) - self._side) // 2
        offset = np.zeros(2) if self.shake is None else self.shake[index] * self._side
        x, y = np.clip(np.round(border - offset), 0, 2 * border).astype(int)
        canvas = self.background[y : y + self._side, x : x + self._side].copy()
        self._dancer.draw(canvas, index, self.floor[index] * self._side)
        image = cv2.resize(canvas, (self.size, self.size), interpolation=cv2.INTER_AREA)
        height, width = self.frame_size
        top, left = (self.size - height) // 2, (self.size - width) // 2
        image = image[top : top + height, left : left + width]
        if self.blur:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        return np.ascontiguousarray(image if self.tones is None else cv2.LUT(image, self.tones))
