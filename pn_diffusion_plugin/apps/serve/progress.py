"""How far a job is, and how long it will still take, learned from the jobs before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Seconds of work a unit of each stage takes before anything was measured (two CPU cores, the bundled model).
FIRST_GUESS = {"watching": 0.6, "denoising": 0.01, "sounding": 0.15, "finishing": 0.2}
_LEAST_SHARE = 0.15  # of a stage, before its own pace is trusted more than that of earlier jobs


@dataclass(frozen=True)
class Progress:
    """A moment of a job.

    Attributes:
        stage: one of `FIRST_GUESS`'s names.
        done, total: units of the stage, in words of the user (seconds of video, steps, takes).
        share: of the whole job, 0 to 1.
        left: seconds.
    """

    stage: str
    done: float
    total: float
    share: float
    left: float


class Pace:
    """Seconds of work a unit takes, by stage: the mean of what was guessed and measured, newer counting more."""

    def __init__(self, guess: Mapping[str, float] = FIRST_GUESS) -> None:
        self.seconds = dict(guess)
        self._measured: set[str] = set()

    def learn(self, stage: str, units: float, seconds: float) -> None:
        """Take in how long a stage took."""
        if units > 0:
            measured = seconds / units
            old = self.seconds[stage] if stage in self._measured else measured
            self.seconds[stage] = 0.5 * (old + measured)
            self._measured.add(stage)


class Course:
    """The stages of one job, in their order.

    Args:
        pace: is asked, and taught when a stage ends.
        units: of work of each stage (such as steps times seconds of video); a stage without any is left out.
        tell: is told every change; may raise to end the job.
        clock: seconds.
    """

    def __init__(
        self,
        pace: Pace,
        units: Mapping[str, float],
        tell: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pace, self.units, self.tell, self.clock = pace, dict(units), tell, clock
        self.spent = 0.0  # seconds, of stages that are over
        self.stage = ""
        self.began = clock()

    def at(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` of a stage is over; a new stage ends the one before it."""
        now = self.clock()
        if stage != self.stage:
            self._end(now)
            self.stage, self.began = stage, now
        elapsed, part = now - self.began, min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
        expected = self._expected(stage)
        left = expected * (1 - part)
        if part > 0:
            own = elapsed * (1 - part) / part
            trust = min(part / _LEAST_SHARE, 1.0)
            left = trust * own + (1 - trust) * left
        names = list(self.units)
        left += sum(self._expected(name) for name in names[names.index(stage) + 1 :])
        spent = self.spent + elapsed
        share = spent / (spent + left) if spent + left > 0 else 0.0
        self.tell(Progress(stage, done, total, share, left))

    def finish(self) -> None:
        """The last stage is over."""
        self._end(self.clock())
        self.stage = ""

    def _end(self, now: float) -> None:
        if self.stage:
            self.pace.learn(self.stage, self.units[self.stage], now - self.began)
            self.spent += now - self.began

    def _expected(self, stage: str) -> float:
        return self.pace.seconds[stage] * self.units[stage]
