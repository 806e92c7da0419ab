"""What a synthetic corpus holds, and what determines each of its clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ....errors import CorpusError
from ...manifest import SPLITS
from ...score.notes import Score
from .body import Motion
from .music import other_scores
from .scene import Scene
from .timing import Timing

SAMPLE_RATE = 22050  # Hz
OTHER_SONGS = 4
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class SyntheticSpec(ABC):
    """Size of a corpus. A preset is a subclass: its class variables and methods determine the clips.

    Args:
        train, valid, test: number of clips of each split.
        seconds: length of a clip.
        fps: frames per second.
        size: pixels of the frame's longer side.
        seed: the clips depend on it.

    Attributes:
        name: of the preset.
        version: changes whenever the clips of the preset change.
        digits: of a clip's number in its name.
        entropy: first words of every random seed, so that no two presets share random numbers.
        tempos: lowest and highest tempo, beats per minute; whole tempos are dealt to the splits in turn.
        residues: split → its places in such a turn.
    """

    train: int
    valid: int
    test: int
    seconds: float
    fps: int = 25
    size: int = 256
    seed: int = 0

    name: ClassVar[str]
    version: ClassVar[int]
    digits: ClassVar[int]
    entropy: ClassVar[tuple[int, ...]]
    tempos: ClassVar[range]
    residues: ClassVar[dict[str, tuple[int, ...]]]

    def clips(self, split: str) -> int:
        """Number of clips of a split.

        Raises:
            CorpusError: there is no such split.
        """
        if split not in SPLITS:
            raise CorpusError(
                f"the corpus {self.name} has no split {split!r}: choose one of {', '.join(SPLITS)}"
            )
        return int(getattr(self, split))

    def tempos_of(self, split: str) -> list[int]:
        """Whole tempos (beats per minute) of a split, in order; no tempo is in two splits."""
        cycle = sum(map(len, self.residues.values()))
        return [bpm for bpm in self.tempos if (bpm - self.tempos.start) % cycle in self.residues[split]]

    def plan(self, split: str, index: int) -> ClipPlan:
        """Plan of clip `index` of a split; it does not depend on the number of clips.

        Tempos follow a golden-ratio sequence, so that any number of first clips covers the range evenly.

        Raises:
            CorpusError: there is no such split, or no such clip in it.
        """
        if not 0 <= index < self.clips(split):
            raise CorpusError(
                f"split {split} of the corpus {self.name} has {self.clips(split)} clips, and no clip {index}"
            )
        own = self.tempos_of(split)
        bpm = own[int(((index + 0.5) * _GOLDEN % 1.0) * len(own))]
        seed = np.random.SeedSequence((*self.entropy, self.seed, SPLITS.index(split), index))
        return self._plan(f"{self.name}-{split}-{index:0{self.digits}d}", split, index, bpm, seed)

    @abstractmethod
    def _plan(
        self, name: str, split: str, index: int, bpm: int, seed: np.random.SeedSequence
    ) -> ClipPlan: ...


@dataclass(frozen=True)
class ClipPlan(ABC):
    """Everything that determines one clip. Presets say how it is composed and filmed.

    Args:
        id: name of the clip.
        spec: its corpus.
        split: train, valid or test.
        genre: a genre of the preset.
        timing: beats, accents and pauses that dance and music share.
        motion_seed: of choreography and body.
        look_seed: of clothes, room and light.
        music_seed: of the song.
    """

    id: str
    spec: SyntheticSpec
    split: str
    genre: str
    timing: Timing
    motion_seed: np.random.SeedSequence
    look_seed: np.random.SeedSequence
    music_seed: np.random.SeedSequence

    @abstractmethod
    def score(self) -> Score:
        """Score of the clip's music."""

    def scores(self) -> list[Score]:
        """The clip's score, and `OTHER_SONGS` others of different genres for the same dance."""
        (seed,) = streams(self.music_seed, 1)
        return [self.score(), *other_scores(seed, self.timing, OTHER_SONGS)]

    @abstractmethod
    def music(self) -> np.ndarray:
        """Music (N,) float32 at `SAMPLE_RATE`, peak 0.9."""

    @abstractmethod
    def motion(self) -> Motion:
        """Joints of the dancer in the world."""

    @abstractmethod
    def scene(self) -> Scene:
        """Frames of the clip, and its true joints."""

    def audio(self) -> np.ndarray:
        """The music (N,) float32 rounded to 16 bits: exactly what the clip's files contain."""
        return (np.round(self.music() * 32768.0).clip(-32768, 32767) / 32768.0).astype(np.float32)

    @property
    def labels(self) -> dict[str, Any]:
        """Labels that a prepared clip has."""
        return {
            "split": self.split,
            "song": f"{self.id}-song",
            "choreography": f"{self.id}-choreography",
            "dancer": f"{self.id}-dancer",
            "genre": self.genre,
            "bpm": self.timing.bpm,
            "beats": [round(float(t), 6) for t in self.timing.beats()],
        }

    def description(self) -> dict[str, Any]:
        """Content of the JSON file beside a clip's video: labels as `prepare folder` reads them, and the settings."""
        return {
            "id": self.id,
            **self.labels,
            "accents": [round(float(t), 6) for t in self.timing.accents()],
            "pauses": [[round(a, 6), round(b, 6)] for a, b in self.timing.pauses()],
            "seconds": self.spec.seconds,
            "fps": self.spec.fps,
            "size": self.spec.size,
            "generator": self.spec.version,
            "seed": self.spec.seed,
        }


def streams(seed: np.random.SeedSequence, count: int) -> list[np.random.SeedSequence]:
    """Independent seeds derived from one, the same at every call (`seed.spawn` returns new ones at every call)."""
    return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key).spawn(count)
