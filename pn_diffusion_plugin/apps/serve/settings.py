"""What whoever starts the page decides, and what whoever uses it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...data.features.dancers import parse_dancer
from ...errors import UserError

MOST_TAKES = 4


@dataclass(frozen=True)
class ServeSettings:
    """Bounds of the page.

    Attributes:
        models: names as in `get_pretrained`; the first is the one offered.
        device: `cpu` or `cuda`.
        host: address to listen on; 127.0.0.1: this machine alone.
        port: to listen on; 0: any free one.
        max_upload_mb: largest video file, in 10^6 bytes.
        max_seconds: longest stretch of a video to be given music.
        max_side: longest side of the picture, pixels.
        queue: how many may wait while one is served.
        keep_minutes: how long uploads and results stay.
    """

    models: tuple[str, ...] = ("mini",)
    device: str = "cpu"
    host: str = "127.0.0.1"
    port: int = 7860
    max_upload_mb: float = 200.0
    max_seconds: float = 120.0
    max_side: int = 4096
    queue: int = 8
    keep_minutes: float = 60.0

    def __post_init__(self) -> None:
        """Raise UserError for bounds that let nothing through."""
        for name in ("max_upload_mb", "max_seconds", "max_side", "keep_minutes"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}: give more than 0")
        if self.queue < 0:
            raise UserError(f"queue is {self.queue}: give 0 (nobody waits) or more")
        if not 0 <= self.port <= 65535:
            raise UserError(f"port is {self.port}: give 0 (any free one) to 65535")
        if not self.models:
            raise UserError("no model is named: give at least one")


@dataclass(frozen=True)
class Wish:
    """Music somebody wants.

    Attributes:
        model: one of the page's.
        seeds: one take each.
        params: of `GenerationParams`, by name.
        start, end: stretch of the video, seconds; None: its ends.
        dancer: who is followed where there are several (see `data.dancers`).
    """

    model: str
    seeds: tuple[int, ...] = (0,)
    params: dict[str, Any] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None
    dancer: str | int = "prominent"

    def __post_init__(self) -> None:
        """Raise UserError for what cannot be wished."""
        if not 1 <= len(self.seeds) <= MOST_TAKES:
            raise UserError(f"{len(self.seeds)} takes are asked for: give 1 to {MOST_TAKES}")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise UserError(
                f"the seed is {min(self.seeds)}: give a whole number from 0 to {2**31 - MOST_TAKES}"
            )
        object.__setattr__(self, "dancer", parse_dancer(self.dancer))  # one word for one choice

    @property
    def cuts(self) -> bool:
        """Whether a part of the video is wished."""
        return self.start is not None or self.end is not None
