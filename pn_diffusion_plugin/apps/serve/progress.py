"""Progress of a job and the time left, estimated from the jobs before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...models.pipeline import DECODE, DENOISE, EXTRACT, WRITE

# Seconds per unit of each stage before anything is measured (two CPU cores, the bundled model).
INITIAL_TIMINGS = {EXTRACT: 0.6, DENOISE: 0.01, DECODE: 0.15, WRITE: 0.2}
_OWN_SHARE = 0.15  # of a stage, from which on its own speed alone counts, not that of earlier jobs


@dataclass(frozen=True)
class Progress:
    """Progress of a job.

    Attributes:
        stage: one of `models.pipeline.STAGES`.
        done, total: units of the stage (see `models.pipeline.StageCallback`).
        share: of the whole job, 0 to 1.
        left: seconds.
    """

    stage: str
    done: float
    total: float
    share: float
    left: float


class StageTimings:
    """Seconds per unit of each stage: a running mean, in which newer jobs count more."""

    def __init__(self, initial: Mapping[str, float] = INITIAL_TIMINGS) -> None:
        self.seconds = dict(initial)
        self._measured: set[str] = set()

    def update(self, stage: str, units: float, seconds: float) -> None:
        """Add a measurement."""
        if units > 0:
            old = self.seconds[stage] if stage in self._measured else seconds / units
            self.seconds[stage] = 0.5 * (old + seconds / units)
            self._measured.add(stage)


class ProgressTracker:
    """Progress of one job from stage to stage; a stage may be skipped.

    Args:
        timings: updated when a stage ends.
        units: of work of each stage, in order.
        report: called with every change; may raise to stop the job.
        clock: seconds.
    """

    def __init__(
        self,
        timings: StageTimings,
        units: Mapping[str, float],
        report: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timings, self.units, self.report, self.clock = timings, dict(units), report, clock
        self.spent = 0.0  # seconds, of stages that are over
        self.stage = ""
        self.began = clock()

    def update(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` of a stage is over; a new stage ends the one before it."""
        now = self.clock()
        if stage != self.stage:
            self._end_stage(now)
            self.stage, self.began = stage, now
        elapsed, part = now - self.began, min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        left = self._expected(stage) * (1 - part)
        if part > 0:
            own = min(part / _OWN_SHARE, 1.0)
            left = own * elapsed * (1 - part) / part + (1 - own) * left
        names = list(self.units)
        left += sum(self._expected(name) for name in names[names.index(stage) + 1 :])
        spent = self.spent + elapsed
        share = spent / (spent + left) if spent + left > 0 else 0.0
        self.report(Progress(stage, done, total, share, left))

    def finish(self) -> None:
        """The last stage is over."""
        self._end_stage(self.clock())
        self.stage = ""

    def _end_stage(self, now: float) -> None:
        if self.stage:
            self.timings.update(self.stage, self.units[self.stage], now - self.began)
            self.spent += now - self.began

    def _expected(self, stage: str) -> float:
        return self.timings.seconds[stage] * self.units[stage]
