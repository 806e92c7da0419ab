"""A contender whose rounds take as long as its arguments say; its processes import it by this name."""

from __future__ import annotations

import os

from benchmarks.counts import Counts, Use


class Simple:
    """Round n takes n times `seconds`.

    Args:
        fails: `raise` or `exit` in the first round; None: never.
    """

    def __init__(self, seconds: float, fails: str | None = None) -> None:
        self.seconds, self.fails, self.rounds = seconds, fails, 0

    def run(self) -> dict[str, float]:
        if self.fails == "raise":
            raise ValueError("no such weights")
        if self.fails == "exit":
            os._exit(9)
        self.rounds += 1
        return {"first": 0.25 * self.rounds * self.seconds, "second": 0.75 * self.rounds * self.seconds}

    def count(self) -> Counts:
        return Counts(7, {"U-Net": Use(1, 2, 6)})
