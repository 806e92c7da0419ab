"""Seconds to the ticks of a MIDI file whose quarter notes are the beats, and a file's ticks to seconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import mido
import numpy as np

TICKS = 1920
"""Ticks per quarter note."""

_PERIOD = 0.5  # s per quarter where no beats are known
_LONGEST = 3.0  # s of a quarter: longer ones are divided, so that a tick is at most 1.6 ms
_EARLY = 0.06  # s: a first beat before this is the first tick of the file
_REGULAR = 0.01  # s that beats of a constant tempo deviate from it by at most


class Grid:
    """Tempo map of a piece: its quarter notes.

    Args:
        times: of successive quarters (s), from 0 on; after the last one the last tempo goes on.
        first: number of the quarter that is the first beat; -1: no beats are known.
    """

    def __init__(self, times: Sequence[float], first: int) -> None:
        self.first = first
        self.times, self.tempos = (
            [0.0],
            [],
        )  # as the file's integer tempos have them, so that errors do not add up
        for time in times[1:]:
            self.tempos.append(max(1, round((time - self.times[-1]) * 1e6)))
            self.times.append(self.times[-1] + self.tempos[-1] / 1e6)

    @classmethod
    def of(cls, beats: Sequence[float]) -> Grid:
        """The tempo map of beats at these times (s)."""
        found: list[float] = []
        for beat in sorted(beats):
            if beat >= 0 and (not found or beat - found[-1] >= _EARLY):
                found.append(beat)
        if len(found) < 2:
            return cls([0.0, _PERIOD], -1)
        slope, start = np.polyfit(np.arange(len(found)), found, 1)
        period = round(float(slope) * 1e6) / 1e6  # a tempo is a whole number of microseconds
        even = [float(start) + i * period for i in range(len(found))]
        if period <= _LONGEST and np.abs(np.subtract(even, found)).max() <= _REGULAR:
            found = even if start > _REGULAR else [i * period for i in range(len(found))]
        else:
            period = found[1] - found[0]
        if found[0] < _EARLY:
            return cls(_divided([0.0, *found[1:]]), 0)
        count = max(1, round(found[0] / min(period, _LONGEST)))
        upbeat = list(np.linspace(0.0, found[0], count, endpoint=False))
        return cls(upbeat + _divided(found), count)

    def tick(self, time: float) -> int:
        """Nearest tick to a time (s)."""
        place = min(bisect_right(self.times, time) - 1, len(self.tempos) - 1)
        return round((place + (time - self.times[place]) * 1e6 / self.tempos[place]) * TICKS)


def _divided(beats: list[float]) -> list[float]:
    """Beats, with further ones where they are more than `_LONGEST` apart."""
    out = beats[:1]
    for beat in beats[1:]:
        out += list(np.linspace(out[-1], beat, int(np.ceil((beat - out[-1]) / _LONGEST)) + 1)[1:])
    return out


class Clock:
    """Times of a file's ticks.

    Args:
        file: of any resolution and tempos.
    """

    def __init__(self, file: mido.MidiFile) -> None:
        self._resolution = file.ticks_per_beat
        changes = {0: 500000}
        for track in file.tracks:
            tick = 0
            for message in track:
                tick += message.time
                if message.type == "set_tempo":
                    changes[tick] = message.tempo
        self._ticks = sorted(changes)
        self._tempos = [changes[tick] for tick in self._ticks]
        self._times = [0.0]
        for i in range(1, len(self._ticks)):
            passed = self._ticks[i] - self._ticks[i - 1]
            self._times.append(self._times[-1] + passed * self._tempos[i - 1] / self._resolution / 1e6)

    def __call__(self, tick: int) -> float:
        """Seconds from the file's start to a tick."""
        place = bisect_right(self._ticks, tick) - 1
        return self._times[place] + (tick - self._ticks[place]) * self._tempos[place] / self._resolution / 1e6
