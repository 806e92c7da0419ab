"""Track all people through each shot, then choose one.

Prominence is high for a person who is large, central and visible for long: the mean over the frames of the shot of

    size · (1 − ½ · distance from the centre, in half widths)

with 0 where the person was not detected. The choice is made per shot, not per frame, so that it does not alternate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from .blazepose import BlazePose, Person, Region

if TYPE_CHECKING:
    from .camera import Box

CHOICES = ("prominent", "left", "right", "largest")
DETECT_EVERY = 12  # frames between two runs of the detector
MAX_PEOPLE = 4  # tracked at once: each costs as much as a single dancer
SAME_CENTRE = 0.3  # of the side of a person's region: closer centres belong to the same person
SAME_JOINTS = 0.06  # of that side: two tracks with a smaller joint distance follow the same person
MAX_LOST = 4  # lost people whose smoothed region is kept in case they return
MIN_SIZE = 1 / 3  # of the largest person's mean size: smaller people are passers-by


def parse_dancer(dancer: str | int) -> str | int:
    """Parse the choice of a dancer: one of `CHOICES`, or a number, 1 being the leftmost person.

    Raises:
        UserError: it is neither.
    """
    text = str(dancer).strip().lower()
    if text in CHOICES:
        return text
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise UserError(
        f"dancer is {dancer!r}: give {', '.join(CHOICES)}, or a number, 1 being the leftmost person"
    )


@dataclass(eq=False)
class Track:
    """One person in one shot.

    Attributes:
        person: tracking state of the networks; None: released, or not created yet.
        rows: frame index → joints (33, 3).
        regions: frame index → centre x and side of the person's region, relative to the frame height.
        region: predicted region in the next frame; None: lost.
        last: last region in which the person was detected.
    """

    person: Person | None = None
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    regions: dict[int, tuple[float, float]] = field(default_factory=dict)
    region: Region | None = None
    last: Region | None = None

    def add(self, number: int, row: np.ndarray, region: Region) -> None:
        """Store the joints of frame `number` and the region predicted for the next frame."""
        self.rows[number] = row
        self.regions[number] = (region.x, region.side)
        self.region = self.last = region


@dataclass(eq=False)
class Shot:
    """Frames between two cuts, and the people in them."""

    begin: int
    end: int = 0
    tracks: list[Track] = field(default_factory=list)


class People:
    """Tracks all people in a sequence of frames.

    Args:
        networks: detector and landmark network.
        fps: frame rate (Hz).
    """

    def __init__(self, networks: BlazePose, fps: float) -> None:
        self.networks, self.fps = networks, fps
        self.shots: list[Shot] = []
        self.count = 0
        self.aspect = 1.0
        self._spare: Person | None = None

    def push(self, frame: np.ndarray, new_shot: bool = False) -> list[Box]:
        """Add the next frame (H, W, 3) uint8; returns the bounding boxes of the people in it."""
        number, self.count = self.count, self.count + 1
        self.aspect = frame.shape[1] / frame.shape[0]
        if new_shot or not self.shots:
            self._release([track for shot in self.shots[-1:] for track in shot.tracks])
            self.shots.append(Shot(number))
        shot = self.shots[-1]
        shot.end = self.count
        active = [track for track in shot.tracks if track.region is not None]
        for track in active:
            assert track.region is not None and track.person is not None
            found = self.networks.joints(frame, track.region, track.person)
            if found is None:
                track.region = None
            else:
                track.add(number, *found)
        if not active or number % DETECT_EVERY == 0:
            for region in self.networks.people(frame, crops=number % DETECT_EVERY == 0):
                self._assign(frame, number, region)
        self._remove_duplicates(number)
        return [_box(track.rows[number]) for track in shot.tracks if number in track.rows]

    def _assign(self, frame: np.ndarray, number: int, region: Region) -> None:
        """Assign a detection to an active track, to a lost one, or to a new one."""
        tracks = self.shots[-1].tracks
        active = [track for track in tracks if track.region is not None]
        if any(_distance(track.region, region) < SAME_CENTRE * region.side for track in active):
            return
        if len(active) >= MAX_PEOPLE:
            return
        known = self._lost_track(tracks, number, region)
        track = Track() if known is None else known
        if track.person is None:
            track.person, self._spare = self._spare or self.networks.person(), None
        found = self.networks.joints(frame, region, track.person)
        if found is not None:
            if known is None:
                tracks.append(track)
            track.add(number, *found)
            self._release([other for other in tracks if other.region is None][:-MAX_LOST])
        elif known is None:  # a false detection, e.g. a poster or a shadow
            self._spare = track.person

    def _release(self, tracks: list[Track]) -> None:
        """Free the tracking state of these people; their joints are kept."""
        for track in tracks:
            if track.person is not None:
                self.networks.release(track.person)
            track.person = track.region = None

    def _lost_track(self, tracks: list[Track], number: int, region: Region) -> Track | None:
        """The lost track that a detection continues: the nearest one, if the distance is plausible."""
        lost = [track for track in tracks if track.region is None and track.last is not None]
        if not lost:
            return None
        if len(tracks) == 1:  # the only person of the shot
            return lost[0]
        nearest = min(lost, key=lambda track: _distance(track.last, region))
        away = (number - max(nearest.rows)) / self.fps
        return nearest if _distance(nearest.last, region) < (0.5 + away) * region.side else None

    def _remove_duplicates(self, number: int) -> None:
        """When people cross, two tracks may end on the same person: the later one is then lost."""
        tracks = [track for track in self.shots[-1].tracks if number in track.rows]
        for i, first in enumerate(tracks):
            for later in tracks[i + 1 :]:
                if first.region is None or later.region is None:
                    continue
                gap = (first.rows[number] - later.rows[number])[:, :2] * (self.aspect, 1.0)
                if np.median(np.linalg.norm(gap, axis=1)) < SAME_JOINTS * first.region.side:
                    later.region = None
                    del later.rows[number], later.regions[number]
                    if not later.rows:
                        self._release([later])
                        self.shots[-1].tracks.remove(later)

    def choose(self, dancer: str | int) -> tuple[list[np.ndarray | None], int]:
        """Choose a person in each shot.

        Returns:
            the joints of the person in every frame (None where not detected), and the largest number of people in a
            shot.
        """
        rows: list[np.ndarray | None] = [None] * self.count
        most = 0
        for shot in self.shots:
            tracks = [track for track in shot.tracks if track.rows]
            ranked = rank(tracks, shot.end - shot.begin, self.aspect)
            most = max(most, len(ranked["left"]))
            if isinstance(dancer, int):
                wanted = ranked["left"][dancer - 1 : dancer]
            else:
                wanted = ranked[dancer][:1]
            for track in wanted:
                for number, row in track.rows.items():
                    rows[number] = row
        return rows, most


def rank(tracks: list[Track], frames: int, aspect: float) -> dict[str, list[Track]]:
    """People of a shot in the order of each of `CHOICES`; `left` and `right` omit passers-by.

    Args:
        tracks: people of the shot.
        frames: number of frames of the shot.
        aspect: width / height of the frame.
    """

    def prominence(track: Track) -> float:
        weights = [
            side * (1 - 0.5 * min(1.0, abs(x / aspect - 0.5) * 2)) for x, side in track.regions.values()
        ]
        return sum(weights) / max(1, frames)

    def size(track: Track) -> float:
        return sum(side for _, side in track.regions.values()) / max(1, frames)

    def centre(track: Track) -> float:
        return float(np.median([x for x, _ in track.regions.values()]))

    largest = sorted(tracks, key=size, reverse=True)
    main = [track for track in largest if size(track) >= MIN_SIZE * size(largest[0])]
    left = sorted(main, key=centre)
    return {
        "prominent": sorted(tracks, key=prominence, reverse=True),
        "largest": largest,
        "left": left,
        "right": left[::-1],
    }


def _distance(one: Region | None, other: Region) -> float:
    return float("inf") if one is None else float(np.hypot(one.x - other.x, one.y - other.y))


def _box(row: np.ndarray) -> Box:
    """Bounding box of the joints (33, 3), relative to the frame."""
    left, top = row[:, :2].min(axis=0)
    right, bottom = row[:, :2].max(axis=0)
    return float(left), float(top), float(right), float(bottom)
