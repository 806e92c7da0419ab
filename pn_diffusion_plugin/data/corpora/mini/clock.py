"""What is true of every score, whatever its bars and sections are: when its beats and stresses sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


class AnyHit:
    """A moment of a score.

    Attributes:
        time: seconds.
        count: place in its bar, in beats.
        accent: stressed.
        still: within a pause.
    """

    time: float
    count: float
    accent: bool
    still: bool

    @property
    def on_beat(self) -> bool:
        """Whether it falls on a beat, not between two."""
        return float(self.count).is_integer()


class AnyScore:
    """The timing of one clip.

    Attributes:
        seconds: length of the clip.
        bpm: beats a minute.
        hits: in order, some before 0 and after the end.
    """

    seconds: float
    bpm: float
    hits: Sequence[AnyHit]

    @property
    def period(self) -> float:
        """Seconds from beat to beat."""
        return 60.0 / self.bpm

    def _inside(self, hits: Iterable[AnyHit]) -> np.ndarray:
        return np.array([hit.time for hit in hits if 0.0 <= hit.time < self.seconds])

    def beats(self) -> np.ndarray:
        """Times (s) of the beats that sound within the clip: those of pauses are not among them."""
        return self._inside(hit for hit in self.hits if hit.on_beat and not hit.still)

    def accents(self) -> np.ndarray:
        """Times (s) of the stressed beats within the clip."""
        return self._inside(hit for hit in self.hits if hit.accent and not hit.still)
