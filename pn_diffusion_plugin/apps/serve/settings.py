"""Server limits and the parameters of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...data.features.dancers import parse_dancer
from ...errors import UserError
from ...models.pipeline import Edit
from ...paths import DEFAULT_WEIGHTS

MAX_TAKES = 4


@dataclass(frozen=True)
class ServeSettings:
    """Settings of the server.

    Attributes:
        models: names as in `get_pretrained`; the first is the default.
        device: `cpu` or `cuda`.
        host: address to listen on; 127.0.0.1: this machine only.
        port: to listen on; 0: any free one.
        root_path: path of the page behind a reverse proxy, such as /music.
        max_upload_mb: largest video file, in 10^6 bytes.
        max_seconds: longest part of a video.
        max_side: longest side of a frame, pixels.
        queue: requests that may wait.
        keep_minutes: how long uploads and results are kept.
    """

    models: tuple[str, ...] = (DEFAULT_WEIGHTS, "mini")
    device: str = "cpu"
    host: str = "127.0.0.1"
    port: int = 7860
    root_path: str = ""
    max_upload_mb: float = 200.0
    max_seconds: float = 120.0
    max_side: int = 4096
    queue: int = 8
    keep_minutes: float = 60.0

    def __post_init__(self) -> None:
        """Raise UserError for settings that allow nothing."""
        for name in ("max_upload_mb", "max_seconds", "max_side", "keep_minutes"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}: give more than 0")
        if self.queue < 0:
            raise UserError(f"queue is {self.queue}: give 0 (no waiting) or more")
        if not 0 <= self.port <= 65535:
            raise UserError(f"port is {self.port}: give 0 (any free one) to 65535")
        if not self.models:
            raise UserError("there is no model: give at least one")
        if self.root_path and not self.root_path.startswith("/"):
            raise UserError(f"root_path is {self.root_path}: give a path that begins with /, such as /music")
        object.__setattr__(self, "root_path", self.root_path.rstrip("/"))


@dataclass(frozen=True)
class GenerationRequest:
    """A request for takes of a video.

    Attributes:
        model: one of the server's.
        seeds: one for each take.
        params: of `GenerationParams`, by name.
        start, end: part of the video, seconds; None: its beginning, its end.
        dancer: whom to follow where there are several (see `data.features.dancers`).
    """

    model: str
    seeds: tuple[int, ...] = (0,)
    params: dict[str, Any] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None
    dancer: str | int = "prominent"

    def __post_init__(self) -> None:
        """Validate the number of takes, seeds and dancer."""
        if not 1 <= len(self.seeds) <= MAX_TAKES:
            raise UserError(f"the number of takes is {len(self.seeds)}: give 1 to {MAX_TAKES}")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise UserError(
                f"the seed is {min(self.seeds)}: give a whole number from 0 to {2**31 - MAX_TAKES}"
            )
        object.__setattr__(self, "dancer", parse_dancer(self.dancer))

    @property
    def edit(self) -> Edit:
        """The part of the video."""
        return Edit(self.start, self.end)
