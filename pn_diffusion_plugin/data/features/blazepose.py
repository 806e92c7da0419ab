"""The two networks of BlazePose as separate calls (mediapipe 0.10; Bazarevsky et al., arXiv 2006.10204).

mediapipe's pose solution tracks a single person. Here its parts are called one by one: a detector that finds all
people, and a landmark network that finds the joints in the region of one person and predicts the region in the next
frame. For one person the results are bit-identical to those of the solution.
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


OBLONG = 1.25  # longer side / shorter side


class Region(NamedTuple):
    """The square around a person: centre and side relative to the frame height, and mediapipe's form of it."""

    x: float
    y: float
    side: float
    raw: Any


class Person:
    """Smoothed region of one person (the joints are not smoothed); see `BlazePose.joints`."""

    def __init__(self) -> None:
        self._follow = _graph(_FOLLOW, ["area"], smooth_landmarks=False)

    def close(self) -> None:
        """Free the graph."""
        self._follow.close()

    def next_region(self, frame: np.ndarray, found: Any) -> Region:
        """Region in the next frame, from the output of the landmark network for this one."""
        inputs = {"image": frame, "joints": found.joints, "body": found.body, "world": found.world}
        return _region(self._follow.process(inputs).area, frame)


class BlazePose:
    """The loaded networks; a context manager that frees them.

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
            empty = np.zeros((64, 64, 3), np.uint8)  # the models are loaded by the first frame
            self._detect.process({"image": empty})
            whole = NormalizedRect(x_center=0.5, y_center=0.5, width=1.0, height=1.0)
            self._landmarks.process({"image": empty, "area": whole})

    def __enter__(self) -> BlazePose:
        return self

    def __exit__(self, *error: object) -> None:
        for person in list(self._persons):
            self.release(person)
        self._stack.close()

    def person(self) -> Person:
        """Create the tracking state of a person."""
        person = Person()
        self._persons.add(person)
        return person

    def release(self, person: Person) -> None:
        """Free the tracking state of a person, whose graph has its own threads."""
        self._persons.discard(person)
        person.close()

    def people(self, frame: np.ndarray, crops: bool = False) -> list[Region]:
        """Detect people in a frame (H, W, 3) uint8, in the order of confidence.

        Args:
            crops: run the detector on square crops of an oblong frame, too: it scales its input to 224 x 224 pixels,
                where a group on a wide stage is small. A person may then be returned twice.
        """
        found = self._detect.process({"image": frame}).people or []
        around = (self._surround.process({"image": frame, "person": person}).area for person in found)
        regions = [_region(raw, frame) for raw in around]
        for part in _squares(*frame.shape[:2]) if crops else ():
            square = np.ascontiguousarray(frame[part])
            regions += [_from_crop(region, square, part, frame) for region in self.people(square)]
        return regions

    def joints(self, frame: np.ndarray, region: Region, person: Person) -> tuple[np.ndarray, Region] | None:
        """The joints of the person in `region` and the region in the next frame; None if there is no person.

        Returns:
            (33, 3) float32 as in `PoseExtractor`, and the next region.
        """
        found = self._landmarks.process({"image": frame, "area": region.raw})
        if not found.joints:
            return None
        row = np.array([(p.x, p.y, p.visibility) for p in found.joints.landmark], dtype=np.float32)
        return row, person.next_region(frame, found)


def _graph(text: str, outputs: list[str], **side: Any) -> Any:
    from mediapipe.python.solution_base import SolutionBase

    return SolutionBase(graph_config=text, side_inputs=side, outputs=outputs)


def _squares(height: int, width: int) -> list[tuple[slice, slice]]:
    """Three squares that cover an oblong frame; none for a nearly square one."""
    side, longer = sorted((height, width))
    if longer < OBLONG * side:
        return []
    parts = [slice(begin, begin + side) for begin in (0, (longer - side) // 2, longer - side)]
    return [(slice(None), part) if width > height else (part, slice(None)) for part in parts]


def _from_crop(region: Region, square: np.ndarray, part: tuple[slice, slice], frame: np.ndarray) -> Region:
    """Convert a region of a square crop to one of the frame."""
    (height, width), side, raw = frame.shape[:2], square.shape[0], region.raw
    raw.x_center = (raw.x_center * side + (part[1].start or 0)) / width
    raw.y_center = (raw.y_center * side + (part[0].start or 0)) / height
    raw.width, raw.height = raw.width * side / width, raw.height * side / height
    return _region(raw, frame)


def _region(raw: Any, frame: np.ndarray) -> Region:
    return Region(raw.x_center * frame.shape[1] / frame.shape[0], raw.y_center, raw.height, raw)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what mediapipe's C++ code writes to stderr when a graph starts; pass on everything else."""
    with _stderr_lock, tempfile.TemporaryFile() as held:
        try:
            saved = os.dup(2)
        except OSError:  # there is no stderr
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
