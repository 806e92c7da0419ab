"""BlazePose's two networks, one call at a time (mediapipe 0.10; Bazarevsky et al., arXiv 2006.10204).

mediapipe's own solution follows one person and keeps to itself who else is there. Its parts are called here one by
one: a detector that sees everybody, and a landmark network for one person's surroundings, which also says where that
person's surroundings will be in the next picture. For one person the numbers are the solution's, to the bit.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

_NOISE = re.compile(rb"XNNPACK|inference_feedback_manager|InitializeLog|landmark_projection_calculator")
_stderr_lock = threading.Lock()

_DETECT = """
input_stream: "image"
output_stream: "people"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:people" }
"""
_SURROUND = """
num_threads: 1
input_stream: "image"
input_stream: "person"
output_stream: "area"
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:size" }
node {
  calculator: "PoseDetectionToRoi"
  input_stream: "DETECTION:person" input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:area"
}
"""
_LANDMARKS = """
input_stream: "image"
input_stream: "area"
output_stream: "joints"
output_stream: "body"
output_stream: "world"
input_side_packet: "model_complexity"
input_side_packet: "enable_segmentation"
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:size" }
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image" input_stream: "ROI:area"
  output_stream: "LANDMARKS:joints" output_stream: "AUXILIARY_LANDMARKS:body"
  output_stream: "WORLD_LANDMARKS:world"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  input_side_packet: "ENABLE_SEGMENTATION:enable_segmentation"
}
"""
_FOLLOW = """
num_threads: 1
input_stream: "image"
input_stream: "joints"
input_stream: "body"
input_stream: "world"
output_stream: "area"
input_side_packet: "smooth_landmarks"
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:size" }
node {
  calculator: "PoseLandmarkFiltering"
  input_side_packet: "ENABLE:smooth_landmarks"
  input_stream: "IMAGE_SIZE:size" input_stream: "NORM_LANDMARKS:joints" input_stream: "AUX_NORM_LANDMARKS:body"
  input_stream: "WORLD_LANDMARKS:world"
  output_stream: "FILTERED_AUX_NORM_LANDMARKS:filtered_body"
}
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:filtered_body" input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:area"
}
"""


OBLONG = 1.25  # longer side against the shorter one


class Area(NamedTuple):
    """The square around a person: middle and side, in heights of the picture, and the network's own form of it."""

    x: float
    y: float
    side: float
    raw: Any


class Person:
    """One person's own smoothed surroundings (the joints themselves are not smoothed); see `BlazePose.joints`."""

    def __init__(self) -> None:
        self._follow = _graph(_FOLLOW, ["area"], smooth_landmarks=False)

    def close(self) -> None:
        """Free the graph."""
        self._follow.close()

    def next_area(self, picture: np.ndarray, found: Any) -> Area:
        """Where the person will be in the next picture, of what the landmark network found in this one."""
        given = {"image": picture, "joints": found.joints, "body": found.body, "world": found.world}
        return _area(self._follow.process(given).area, picture)


class BlazePose:
    """The networks, loaded; a context manager that frees them.

    Args:
        model_complexity: 0 (lite), 1 (full) or 2 (heavy).
    """

    def __init__(self, model_complexity: int = 1) -> None:
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect

        self._persons: set[Person] = set()
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=r".*GetPrototype\(\) is deprecated")
        side = {"model_complexity": model_complexity, "enable_segmentation": False}
        with quiet():
            self._detect = self._stack.enter_context(_graph(_DETECT, ["people"]))
            self._surround = self._stack.enter_context(_graph(_SURROUND, ["area"]))
            self._landmarks = self._stack.enter_context(
                _graph(_LANDMARKS, ["joints", "body", "world"], **side)
            )
            nothing = np.zeros((64, 64, 3), np.uint8)  # the models are loaded by the first picture
            self._detect.process({"image": nothing})
            whole = NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0)
            self._landmarks.process({"image": nothing, "area": whole})

    def __enter__(self) -> BlazePose:
        return self

    def __exit__(self, *error: object) -> None:
        for person in list(self._persons):
            self.release(person)
        self._stack.close()

    def person(self) -> Person:
        """Somebody new to follow, until `release` or the networks' end."""
        person = Person()
        self._persons.add(person)
        return person

    def release(self, person: Person) -> None:
        """Nobody is followed by this one any more: a graph has threads of its own."""
        self._persons.discard(person)
        person.close()

    def people(self, picture: np.ndarray, closer: bool = False) -> list[Area]:
        """Where somebody is in a picture (H, W, 3) uint8, the surest first.

        Args:
            closer: look at the squares of an oblong picture, too: the detector sees 224 x 224 pixels, in which a group
                on a wide stage is small. Somebody may be named twice.
        """
        found = self._detect.process({"image": picture}).people or []
        around = (self._surround.process({"image": picture, "person": person}).area for person in found)
        areas = [_area(area, picture) for area in around]
        for part in _squares(*picture.shape[:2]) if closer else ():
            square = np.ascontiguousarray(picture[part])
            areas += [_whole(area, square, part, picture) for area in self.people(square)]
        return areas

    def joints(self, picture: np.ndarray, area: Area, person: Person) -> tuple[np.ndarray, Area] | None:
        """The joints of the person in `area`, and where that person will be; None where nobody is.

        Returns:
            (33, 3) float32 as `PoseExtractor` has them, and the next area.
        """
        found = self._landmarks.process({"image": picture, "area": area.raw})
        if not found.joints:
            return None
        row = np.array([(p.x, p.y, p.visibility) for p in found.joints.landmark], dtype=np.float32)
        return row, person.next_area(picture, found)


def _graph(text: str, outputs: list[str], **side: Any) -> Any:
    from mediapipe.python.solution_base import SolutionBase

    return SolutionBase(graph_config=text, side_inputs=side, outputs=outputs)


def _squares(height: int, width: int) -> list[tuple[slice, slice]]:
    """Three squares side by side, or above each other, that cover an oblong picture; none of one that is no such."""
    side, longer = sorted((height, width))
    if longer < OBLONG * side:
        return []
    parts = [slice(begin, begin + side) for begin in (0, (longer - side) // 2, longer - side)]
    return [(slice(None), part) if width > height else (part, slice(None)) for part in parts]


def _whole(area: Area, square: np.ndarray, part: tuple[slice, slice], picture: np.ndarray) -> Area:
    """An area of a square part of a picture as one of the picture."""
    (height, width), side, raw = picture.shape[:2], square.shape[0], area.raw
    raw.x_center = (raw.x_center * side + (part[1].start or 0)) / width
    raw.y_center = (raw.y_center * side + (part[0].start or 0)) / height
    raw.width, raw.height = raw.width * side / width, raw.height * side / height
    return _area(raw, picture)


def _area(raw: Any, picture: np.ndarray) -> Area:
    return Area(raw.x_center * picture.shape[1] / picture.shape[0], raw.y_center, raw.height, raw)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what mediapipe's C++ side writes to stderr when a graph starts; pass on anything else."""
    with _stderr_lock, tempfile.TemporaryFile() as held:
        try:
            saved = os.dup(2)
        except OSError:  # there is no stderr to keep quiet
            yield
            return
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _NOISE.search(line):
                    os.write(2, line)
