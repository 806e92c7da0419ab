"""Cuts and camera movement.

A cut begins a new shot: nothing is tracked across it. A pan looks like a step to the side, so the camera movement is
estimated from the background (corners tracked by sparse optical flow: Shi & Tomasi 1994, Lucas & Kanade 1981; a
similarity transform fitted by RANSAC: Fischler & Bolles 1981) and subtracted from the joints.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_flow: Any = cv2  # its type hints forbid None where the library accepts it

THUMBNAIL = (48, 27)  # width, height: enough to see a cut
HISTORY = 12  # changes that a cut is compared with: half a second
MIN_HISTORY = 3  # with fewer, only the absolute threshold is used
MIN_CHANGE = 0.06  # mean change of the thumbnail's values, of 1
MIN_COLOUR_CHANGE = 0.25  # share of the thumbnail whose colours change
MIN_RATIO = 4.0  # change relative to the median of `HISTORY`

SIDE = 320  # longer side of the frames used for optical flow, pixels
CORNERS = 160
MIN_CORNERS = 16  # with fewer, or less agreement, the camera is assumed to be static
MIN_CONTRAST = 1e-3  # eigenvalue of a corner's gradients: compression noise has a tenth of it
AGREEMENT = 0.5
MIN_MOVEMENT = 0.2  # pixels: with a smaller median movement of the corners the camera is static
MARGIN = 0.15  # of a dancer's box, excluded on every side
#: Largest movement of a shot with a static camera, per frame and in total, relative to the frame height.
STATIC_STEP, STATIC_TOTAL = 5e-4, 1e-2

Similarity = NDArray[np.float64]  # (2, 3)
Box = tuple[float, float, float, float]  # left, top, right, bottom relative to the frame


class CutDetector:
    """Detects cuts.

    A cut changes both the values and the colours of most of the frame at once, and much more than the frames before
    it; neither a fast dancer nor a strobe light does.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._colours: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=HISTORY)

    def push(self, frame: np.ndarray) -> bool:
        """Add the next frame (H, W, 3) uint8; returns True if it begins a new shot (never for the first)."""
        small = np.asarray(cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA), np.uint8)
        values = small.astype(np.float32) / 255
        bins = (small >> 5).astype(np.int64)  # 8 x 8 x 8 colours
        colours = np.bincount((bins[..., 0] * 64 + bins[..., 1] * 8 + bins[..., 2]).ravel(), minlength=512)
        colours = (colours / colours.sum()).astype(np.float32)
        cut = False
        if self._last is not None and self._colours is not None:
            change = float(np.abs(values - self._last).mean())
            others = 0.5 * float(np.abs(colours - self._colours).sum())
            # At the beginning there is no history to compare with.
            usual = float(np.median(self._changes)) if len(self._changes) >= MIN_HISTORY else MIN_CHANGE
            cut = change > max(MIN_CHANGE, MIN_RATIO * usual) and others > MIN_COLOUR_CHANGE
            self._changes.append(change)
        self._last, self._colours = values.astype(np.float32, copy=False), colours
        return cut


class CameraMotion:
    """Estimates the movement of the background from frame to frame.

    `steps[t]` (2, 3) maps a position in frame t - 1 to its position in frame t, relative to the frame height.
    """

    def __init__(self) -> None:
        self.steps: list[Similarity] = []
        self._last: NDArray[np.uint8] | None = None
        self._avoid: list[Box] = []

    def push(self, frame: np.ndarray, boxes: Iterable[Box], new_shot: bool = False) -> None:
        """Add the next frame (H, W, 3) uint8 and the boxes of its dancers."""
        height, width = frame.shape[:2]
        scale = min(1.0, SIDE / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        gray = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        boxes = list(boxes)
        step = IDENTITY
        if self._last is not None and not new_shot and self._last.shape == gray.shape:
            step = background_step(self._last, np.asarray(gray, np.uint8), [*self._avoid, *boxes])
        self.steps.append(step)
        self._last, self._avoid = np.asarray(gray, np.uint8), boxes


IDENTITY: Similarity = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def background_step(before: np.ndarray, after: np.ndarray, boxes: Iterable[Box] = ()) -> Similarity:
    """Movement of the background between two frames.

    Args:
        before, after: (H, W) uint8.
        boxes: regions to exclude.

    Returns:
        (2, 3) similarity from positions in `before` to positions in `after`, relative to the frame height; the identity
        if too little of the background agrees.
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
    corners = corners[_flow.cornerMinEigenVal(before, 3)[rows, columns] > MIN_CONTRAST]
    if len(corners) < MIN_CORNERS:
        return IDENTITY
    moved, found, _ = _flow.calcOpticalFlowPyrLK(before, after, corners, None, winSize=(15, 15), maxLevel=3)
    good = found.ravel() == 1
    if good.sum() < MIN_CORNERS or np.median(np.linalg.norm((moved - corners)[good], axis=-1)) < MIN_MOVEMENT:
        return IDENTITY
    start, end = (x.reshape(-1, 2)[good] / height for x in (corners, moved))
    fitted, agree = _flow.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=0.7 / height, maxIters=200
    )
    if fitted is None or agree.sum() < max(MIN_CORNERS, AGREEMENT * good.sum()):
        return IDENTITY
    return np.asarray(fitted, np.float64)


def compose(second: Similarity, first: Similarity) -> Similarity:
    """Apply `first`, then `second`: (2, 3) each."""
    product = second[:, :2] @ first
    product[:, 2] += second[:, 2]
    return product


def invert(step: Similarity) -> Similarity:
    """The inverse transform (2, 3)."""
    inverse = np.linalg.inv(step[:, :2])
    return np.concatenate([inverse, -inverse @ step[:, 2:]], axis=1)


def steady(positions: np.ndarray, steps: Iterable[Similarity], cuts: np.ndarray, aspect: float) -> np.ndarray:
    """Positions of joints in the view of the first frame of their shot, as if the camera were static.

    Args:
        positions: (T, J, 2) x, y relative to the frame.
        steps: T transforms of `CameraMotion`.
        cuts: (T,) bool, which frames begin a shot.
        aspect: width / height of the frame.

    Returns:
        (T, J, 2), relative to the frame's width and height. Shots with a static camera are unchanged.
    """
    steadied = np.array(positions, dtype=np.float32)
    steps = list(steps)
    bounds = [0, *np.flatnonzero(cuts[1:]) + 1, len(steadied)]
    unit = np.array([aspect, 1.0])
    corners = np.array([[0.0, 0.0], [aspect, 0.0], [0.0, 1.0], [aspect, 1.0]])
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        to_first, transforms, lengths, totals = IDENTITY, [IDENTITY], [], []
        for step in steps[begin + 1 : end]:
            to_first = compose(to_first, invert(step))
            transforms.append(to_first)
            lengths.append(np.abs(_apply(step, corners) - corners).max())
            totals.append(np.abs(_apply(to_first, corners) - corners).max())
        if not lengths or (np.percentile(lengths, 90) < STATIC_STEP and max(totals) < STATIC_TOTAL):
            continue
        for t, transform in enumerate(transforms, begin):
            steadied[t] = _apply(transform, positions[t] * unit) / unit
    return steadied


def _apply(step: Similarity, positions: np.ndarray) -> np.ndarray:
    """(..., 2) → (..., 2)."""
    moved: np.ndarray = positions @ step[:, :2].T + step[:, 2]
    return moved
