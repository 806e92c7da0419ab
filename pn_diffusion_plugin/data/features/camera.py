"""What the camera does while somebody dances: cuts, and its own movement.

A cut begins a new shot: nothing is followed across it. A pan looks like a step to the side; so the picture's own
movement is estimated from what stands still around the dancers (corners followed by sparse optical flow: Shi & Tomasi
1994, Lucas & Kanade 1981; a similarity fitted by RANSAC: Fischler & Bolles 1981) and taken off their joints.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_flow: Any = cv2  # whose hints know no None where the library takes one

THUMBNAIL = (48, 27)  # width, height: enough to see a cut
HISTORY = 12  # changes that a cut is compared with: half a second
SETTLED = 3  # fewer are too few to compare with
LEAST_CHANGE = 0.06  # mean change of a thumbnail's values, of 1
LEAST_COLOURS = 0.25  # share of the thumbnail whose colours are others
TIMES_THE_USUAL = 4.0  # as much as the median of `HISTORY`

SIDE = 320  # pixels of the longer side that the flow is measured in
CORNERS = 160
LEAST_CORNERS = 16  # fewer, or less agreement, and the camera is taken to stand
LEAST_CONTRAST = 1e-3  # eigenvalue of a corner's gradients: the grain of a compressed wall has a tenth
AGREEMENT = 0.5
STANDS = 0.2  # pixels: when the middle one of the corners moves less, so does a camera that stands
MARGIN = 0.15  # of a dancer's box, on every side, is not looked at
#: A shot whose picture moves less counts as filmed by a camera that stands: in heights of the picture.
STILL_STEP, STILL_WAY = 5e-4, 1e-2

Similarity = NDArray[np.float64]  # (2, 3)
Box = tuple[float, float, float, float]  # left, top, right, bottom in shares of the picture


class CutDetector:
    """Tells whether a picture begins a new shot.

    A cut changes both the values and the colours of most of the picture at once, and much more than the pictures
    before it changed: neither a dancer who moves fast nor a strobe light does.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._colours: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=HISTORY)

    def push(self, picture: np.ndarray) -> bool:
        """Give the next picture (H, W, 3) uint8; True where it begins a new shot (never for the first)."""
        small = np.asarray(cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA), np.uint8)
        values = small.astype(np.float32) / 255
        bins = (small >> 5).astype(np.int64)  # 8 x 8 x 8 colours
        colours = np.bincount((bins[..., 0] * 64 + bins[..., 1] * 8 + bins[..., 2]).ravel(), minlength=512)
        colours = (colours / colours.sum()).astype(np.float32)
        cut = False
        if self._last is not None and self._colours is not None:
            change = float(np.abs(values - self._last).mean())
            others = 0.5 * float(np.abs(colours - self._colours).sum())
            # Of a video that has just begun nobody knows yet how much it changes.
            usual = float(np.median(self._changes)) if len(self._changes) >= SETTLED else LEAST_CHANGE
            cut = change > max(LEAST_CHANGE, TIMES_THE_USUAL * usual) and others > LEAST_COLOURS
            self._changes.append(change)
        self._last, self._colours = values.astype(np.float32, copy=False), colours
        return cut


class CameraMotion:
    """Follows the picture's own movement from picture to picture, beside the dancers.

    `steps[t]` (2, 3) takes a place in picture t - 1 to where it is in picture t, in heights of the picture.
    """

    def __init__(self) -> None:
        self.steps: list[Similarity] = []
        self._last: NDArray[np.uint8] | None = None
        self._avoid: list[Box] = []

    def push(self, picture: np.ndarray, boxes: Iterable[Box], new_shot: bool = False) -> None:
        """Give the next picture (H, W, 3) uint8 and where its dancers are."""
        height, width = picture.shape[:2]
        scale = min(1.0, SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        gray = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        boxes = list(boxes)
        step = IDENTITY
        if self._last is not None and not new_shot and self._last.shape == gray.shape:
            step = background_step(self._last, np.asarray(gray, np.uint8), [*self._avoid, *boxes])
        self.steps.append(step)
        self._last, self._avoid = np.asarray(gray, np.uint8), boxes


IDENTITY: Similarity = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def background_step(before: np.ndarray, after: np.ndarray, boxes: Iterable[Box] = ()) -> Similarity:
    """How the picture moved.

    Args:
        before, after: (H, W) uint8.
        boxes: what not to look at.

    Returns:
        (2, 3) similarity from places in `before` to places in `after`, in heights of the picture; the identity where
        too little of the background agrees.
    """
    height, width = before.shape
    mask = np.full(before.shape, 255, np.uint8)
    for left, top, right, bottom in boxes:
        wide, high = MARGIN * (right - left), MARGIN * (bottom - top)
        upright = slice(max(0, int((top - high) * height)), max(0, int((bottom + high) * height) + 1))
        across = slice(max(0, int((left - wide) * width)), max(0, int((right + wide) * width) + 1))
        mask[upright, across] = 0
    corners = _flow.goodFeaturesToTrack(before, CORNERS, 0.01, 7, mask=mask)
    if corners is None:
        return IDENTITY
    columns, rows = corners[:, 0].astype(np.intp).T
    corners = corners[_flow.cornerMinEigenVal(before, 3)[rows, columns] > LEAST_CONTRAST]
    if len(corners) < LEAST_CORNERS:
        return IDENTITY
    moved, found, _ = _flow.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(15, 15), maxLevel=3)
    good = found.ravel() == 1
    if good.sum() < LEAST_CORNERS or np.median(np.linalg.norm((moved - corners)[good], axis=-1)) < STANDS:
        return IDENTITY
    start, end = (x.reshape(-1, 2)[good] / height for x in (corners, moved))
    fitted, agree = _flow.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=0.7 / height, maxIters=200
    )
    if fitted is None or agree.sum() < max(LEAST_CORNERS, AGREEMENT * good.sum()):
        return IDENTITY
    return np.asarray(fitted, np.float64)


def join(second: Similarity, first: Similarity) -> Similarity:
    """`first`, and then `second`: (2, 3) each."""
    turned = second[:, :2] @ first
    turned[:, 2] += second[:, 2]
    return turned


def undo(step: Similarity) -> Similarity:
    """The way back: (2, 3)."""
    inverse = np.linalg.inv(step[:, :2])
    return np.concatenate([inverse, -inverse @ step[:, 2:]], axis=1)


def steady(places: np.ndarray, steps: Iterable[Similarity], cuts: np.ndarray, aspect: float) -> np.ndarray:
    """Where joints would be seen had the camera stood still since its shot began.

    Args:
        places: (T, J, 2) x, y in shares of the picture.
        steps: T of them, as `CameraMotion` has them.
        cuts: (T,) bool, which pictures begin a shot.
        aspect: width / height of the picture.

    Returns:
        (T, J, 2), in shares of the picture's width and height. A shot filmed by a camera that stands comes back as it
        is.
    """
    steadied = np.array(places, dtype=np.float32)
    steps = list(steps)
    bounds = [0, *np.flatnonzero(cuts[1:]) + 1, len(steadied)]
    unit = np.array([aspect, 1.0])
    corners = np.array([[0.0, 0.0], [aspect, 0.0], [0.0, 1.0], [aspect, 1.0]])
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        to_first, to_firsts, lengths, ways = IDENTITY, [IDENTITY], [], []
        for step in steps[begin + 1 : end]:
            to_first = join(to_first, undo(step))
            to_firsts.append(to_first)
            lengths.append(np.abs(_apply(step, corners) - corners).max())
            ways.append(np.abs(_apply(to_first, corners) - corners).max())
        if not lengths or (np.percentile(lengths, 90) < STILL_STEP and max(ways) < STILL_WAY):
            continue
        for t, way in enumerate(to_firsts, begin):
            steadied[t] = _apply(way, places[t] * unit) / unit
    return steadied


def _apply(step: Similarity, places: np.ndarray) -> np.ndarray:
    """(..., 2) → (..., 2)."""
    moved: np.ndarray = places @ step[:, :2].T + step[:, 2]
    return moved
