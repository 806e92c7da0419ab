"""Appearance of a dancer and the room: colours, clothes, walls and light."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import cv2
import numpy as np

Colour = tuple[float, float, float]  # RGB in [0, 255]

_SKINS: tuple[Colour, ...] = (
    (236, 196, 168), (224, 178, 146), (205, 156, 122), (180, 130, 96), (150, 104, 74), (122, 82, 58),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (34, 26, 22),
    (62, 42, 28),
    (98, 66, 40),
    (150, 112, 66),
    (24, 24, 28),
    (112, 52, 30),
)
_SHIRTS: tuple[Colour, ...] = (
    (176, 46, 52), (44, 84, 160), (42, 122, 84), (222, 178, 60), (120, 64, 140), (230, 228, 222),
    (34, 120, 140), (208, 104, 48),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (40, 46, 66),
    (58, 74, 110),
    (52, 48, 46),
    (86, 72, 58),
    (28, 30, 34),
    (72, 84, 72),
)
_SHOES: tuple[Colour, ...] = ((232, 230, 226), (40, 38, 38), (150, 44, 40), (70, 90, 140))
_WALLS: tuple[Colour, ...] = (
    (206, 200, 190),
    (188, 198, 204),
    (210, 204, 178),
    (178, 184, 176),
    (196, 182, 184),
)
_FLOORS: tuple[Colour, ...] = ((142, 112, 82), (112, 104, 98), (160, 138, 110), (96, 84, 76))


@dataclass(frozen=True)
class Look:
    """Colours and clothes of one dancer, and colours of the room."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    wall: Colour
    floor: Colour
    long_hair: bool
    long_sleeves: bool
    shorts: bool

    @classmethod
    def from_palette(cls, rng: np.random.Generator) -> Look:
        """A colour of the palette for each part, slightly varied; the shirt differs from the wall in brightness."""

        def pick(colours: tuple[Colour, ...]) -> Colour:
            r, g, b = np.clip(
                np.array(colours[int(rng.integers(len(colours)))]) + rng.normal(0, 5, 3), 8, 247
            )
            return float(r), float(g), float(b)

        wall = pick(_WALLS)
        shirt = pick(_SHIRTS)
        while abs(float(np.mean(shirt)) - float(np.mean(wall))) < 35:
            shirt = pick(_SHIRTS)
        return cls(
            skin=pick(_SKINS),
            hair=pick(_HAIRS),
            shirt=shirt,
            trousers=pick(_TROUSERS),
            shoes=pick(_SHOES),
            wall=wall,
            floor=pick(_FLOORS),
            long_hair=bool(rng.random() < 0.5),
            long_sleeves=bool(rng.random() < 0.4),
            shorts=bool(rng.random() < 0.25),
        )

    @classmethod
    def random(cls, rng: np.random.Generator) -> Look:
        """Skin and hair of the palette; clothes and room of any colour, clothes of another brightness than the wall."""
        palette = cls.from_palette(rng)
        wall = _colour(rng, (0.02, 0.45), (0.25, 0.95))
        while True:
            shirt = _colour(rng, (0.0, 0.9), (0.1, 0.95))
            trousers = _colour(rng, (0.0, 0.6), (0.1, 0.7))
            if all(abs(float(np.mean(c)) - float(np.mean(wall))) > 30 for c in (shirt, trousers)):
                break
        shoes = _colour(rng, (0.0, 0.5), (0.1, 0.95))
        floor = _colour(rng, (0.05, 0.5), (0.25, 0.75))
        return replace(palette, shirt=shirt, trousers=trousers, shoes=shoes, wall=wall, floor=floor)


def _colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return 255 * r, 255 * g, 255 * b


def room(look: Look, rng: np.random.Generator, size: int, horizon: float) -> np.ndarray:
    """Draw the empty room (size, size, 3) uint8: wall, skirting board, floor boards, soft light.

    Args:
        look: colours of wall and floor.
        rng: source of the wall's pattern and the grain.
        size: pixels.
        horizon: height of the line between wall and floor, in [0, 1] from the top.
    """
    y, x = np.mgrid[0:size, 0:size] / size
    light = 1.06 - 0.35 * ((x - rng.uniform(0.3, 0.7)) ** 2 + (y - 0.35) ** 2)
    image = np.empty((size, size, 3))
    image[:] = look.wall
    panels = 1.0 + 0.025 * np.sign(np.sin(2 * np.pi * x * rng.uniform(2, 6) + rng.uniform(0, 6)))
    image *= panels[..., None]
    depth = np.maximum((y - horizon) / (1.0 - horizon), 1e-3)
    boards = 1.0 + 0.05 * np.sign(np.sin(14.0 * (x - 0.5) / (0.35 + depth) + rng.uniform(0, 6)))
    floor = np.array(look.floor) * (0.82 + 0.25 * depth * boards)[..., None]
    image = np.where((y > horizon)[..., None], floor, image)
    image[(y > horizon - 0.018) & (y <= horizon)] = np.array(look.wall) * 0.72
    image *= light[..., None]
    grain = cv2.GaussianBlur(rng.normal(0.0, 5.0, (size, size)), (0, 0), 1.2)
    return np.clip(image + grain[..., None], 0, 255).astype(np.uint8)
