"""Further named streams of the feature file, besides keypoints and visual windows.

A stream is one class here or in a file of its own, and one entry of `STREAMS`. Then `features.streams: [NAME]` in the
configuration (and `--stream NAME` of `pn-diffusion prepare`) extracts it, and the dance encoder reads it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...errors import UserError


class StreamExtractor(Protocol):
    """Computes one stream of a video.

    Attributes:
        name: name of the stream; choose another one when the values change.
        dim: numbers per row.
    """

    name: str
    dim: int

    def __call__(self, video: Path, fps: float, frames: int) -> np.ndarray:
        """(frames, dim): row k describes the time k / fps of the video (s)."""
        ...


#: Name → class, called without arguments once per process.
STREAMS: dict[str, type[Any]] = {}


def stream_dim(name: str) -> int:
    """Numbers per row of the stream called `name`.

    Raises:
        UserError: there is no such stream.
    """
    return int(_stream_class(name).dim)


@lru_cache
def build_stream(name: str) -> StreamExtractor:
    """The extractor called `name`.

    Raises:
        UserError: there is no such stream.
    """
    extractor: StreamExtractor = _stream_class(name)()
    return extractor


def _stream_class(name: str) -> type[Any]:
    if name not in STREAMS:
        raise UserError(
            f"there is no feature stream {name!r}: choose from {', '.join(sorted(STREAMS)) or 'none'}"
        )
    return STREAMS[name]
