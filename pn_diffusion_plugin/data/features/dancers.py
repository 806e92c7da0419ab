"""Who is followed when several people dance: everybody is, through each shot, and then one is chosen.

Most prominent is who is large, near the middle, and there for long: the mean over the shot's pictures of

    size · (1 − ½ · distance from the middle, in half widths)

with 0 where the person was not seen. Choosing after the shot, not in each picture, is what keeps the choice from
hopping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from .blazepose import Area, BlazePose, Person

if TYPE_CHECKING:
    from .camera import Box

CHOICES = ("prominent", "left", "right", "largest")
LOOK_EVERY = 12  # pictures between two looks for more people
MOST_PEOPLE = 4  # followed at once: each costs as much as one dancer alone
SAME_PLACE = 0.3  # of a person's square: nearer middles are the same person's
SAME_JOINTS = (
    0.06  # of a person's square: two whose joints are as near as this are one person, followed twice
)
REMEMBERED = 4  # lost people whose smoothed surroundings are kept for their return
SERIOUS = 1 / 3  # of the largest person's size and presence: less is somebody passing by


def parse_dancer(dancer: str | int) -> str | int:
    """A choice as it may be written: one of `CHOICES`, or a number, 1 being the person farthest to the left.

    Raises:
        UserError: it is neither.
    """
    text = str(dancer).strip().lower()
    if text in CHOICES:
        return text
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise UserError(
        f"dancer is {dancer!r}: give {', '.join(CHOICES)}, or a number, 1 being the person farthest to the left"
    )


@dataclass(eq=False)
class Track:
    """One person through one shot.

    Attributes:
        person: as the networks know her or him; None: not any more, or nobody was asked yet.
        rows: picture number → joints (33, 3).
        places: picture number → middle x and side of the person's square, heights of the picture.
        area: where to look in the next picture; None: lost.
        last: where the person was seen last.
    """

    person: Person | None = None
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    places: dict[int, tuple[float, float]] = field(default_factory=dict)
    area: Area | None = None
    last: Area | None = None

    def see(self, number: int, row: np.ndarray, area: Area) -> None:
        """The person was found in picture `number`."""
        self.rows[number] = row
        self.places[number] = (area.x, area.side)
        self.area = self.last = area


@dataclass(eq=False)
class Shot:
    """Pictures between two cuts, and who is in them."""

    begin: int
    end: int = 0
    tracks: list[Track] = field(default_factory=list)


class People:
    """Follows everybody in the pictures it is given.

    Args:
        eyes: the networks.
        fps: pictures a second.
    """

    def __init__(self, eyes: BlazePose, fps: float) -> None:
        self.eyes, self.fps = eyes, fps
        self.shots: list[Shot] = []
        self.count = 0
        self.aspect = 1.0
        self._spare: Person | None = None

    def push(self, picture: np.ndarray, new_shot: bool = False) -> list[Box]:
        """Give the next picture (H, W, 3) uint8; returns where people are in it."""
        number, self.count = self.count, self.count + 1
        self.aspect = picture.shape[1] / picture.shape[0]
        if new_shot or not self.shots:
            self._forget([track for shot in self.shots[-1:] for track in shot.tracks])
            self.shots.append(Shot(number))
        shot = self.shots[-1]
        shot.end = self.count
        followed = [track for track in shot.tracks if track.area is not None]
        for track in followed:
            assert track.area is not None and track.person is not None
            found = self.eyes.joints(picture, track.area, track.person)
            if found is None:
                track.area = None
            else:
                track.see(number, *found)
        if not followed or number % LOOK_EVERY == 0:
            for area in self.eyes.people(picture, closer=number % LOOK_EVERY == 0):
                self._meet(picture, number, area)
        self._part_doubles(number)
        return [_box(track.rows[number]) for track in shot.tracks if number in track.rows]

    def _meet(self, picture: np.ndarray, number: int, area: Area) -> None:
        """Somebody was detected: a person who is followed, one who comes back, or another one."""
        tracks = self.shots[-1].tracks
        followed = [track for track in tracks if track.area is not None]
        if any(_distance(track.area, area) < SAME_PLACE * area.side for track in followed if track.area):
            return
        if len(followed) >= MOST_PEOPLE:
            return
        known = self._who(tracks, number, area)
        track = Track() if known is None else known
        if track.person is None:
            track.person, self._spare = self._spare or self.eyes.person(), None
        found = self.eyes.joints(picture, area, track.person)
        if found is not None:
            if known is None:
                tracks.append(track)
            track.see(number, *found)
            self._forget([other for other in tracks if other.area is None][:-REMEMBERED])
        elif known is None:  # what looked like somebody was a poster, or a shadow
            self._spare = track.person

    def _forget(self, tracks: list[Track]) -> None:
        """Give back what following these people took; their joints stay."""
        for track in tracks:
            if track.person is not None:
                self.eyes.release(track.person)
            track.person = track.area = None

    def _who(self, tracks: list[Track], number: int, area: Area) -> Track | None:
        """The lost person that this one is: the nearest, if he or she can have come so far."""
        lost = [track for track in tracks if track.area is None and track.last is not None]
        if not lost:
            return None
        if len(tracks) == 1:  # nobody else was ever there
            return lost[0]
        nearest = min(lost, key=lambda track: _distance(track.last, area))
        away = (number - max(nearest.rows)) / self.fps
        return nearest if _distance(nearest.last, area) < (0.5 + away) * area.side else None

    def _part_doubles(self, number: int) -> None:
        """Two tracks may come to follow one person, when people cross: the younger one is lost then."""
        tracks = [track for track in self.shots[-1].tracks if number in track.rows]
        for i, elder in enumerate(tracks):
            for younger in tracks[i + 1 :]:
                if elder.area is None or younger.area is None:
                    continue
                gap = (elder.rows[number] - younger.rows[number])[:, :2] * (self.aspect, 1.0)
                if np.median(np.linalg.norm(gap, axis=1)) < SAME_JOINTS * elder.area.side:
                    younger.area = None
                    del younger.rows[number], younger.places[number]
                    if not younger.rows:
                        self._forget([younger])
                        self.shots[-1].tracks.remove(younger)

    def choose(self, dancer: str | int) -> tuple[list[np.ndarray | None], int]:
        """The joints of the chosen person in every picture (None where not seen), and how many people there were at
        most.

        In each shot the choice is made anew.
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


def rank(tracks: list[Track], pictures: int, aspect: float) -> dict[str, list[Track]]:
    """People of a shot in the order of every one of `CHOICES`: `left` and `right` leave out who only passes by.

    Args:
        tracks: who was seen.
        pictures: of the shot.
        aspect: width / height of the picture.
    """

    def prominence(track: Track) -> float:
        weights = [
            side * (1 - 0.5 * min(1.0, abs(x / aspect - 0.5) * 2)) for x, side in track.places.values()
        ]
        return sum(weights) / max(1, pictures)

    def size(track: Track) -> float:
        return sum(side for _, side in track.places.values()) / max(1, pictures)

    def middle(track: Track) -> float:
        return float(np.median([x for x, _ in track.places.values()]))

    largest = sorted(tracks, key=size, reverse=True)
    serious = [track for track in largest if size(track) >= SERIOUS * size(largest[0])]
    left = sorted(serious, key=middle)
    return {
        "prominent": sorted(tracks, key=prominence, reverse=True),
        "largest": largest,
        "left": left,
        "right": left[::-1],
    }


def _distance(one: Area | None, other: Area) -> float:
    return float("inf") if one is None else float(np.hypot(one.x - other.x, one.y - other.y))


def _box(row: np.ndarray) -> Box:
    """Around the joints (33, 3), in shares of the picture."""
    left, top = row[:, :2].min(axis=0)
    right, bottom = row[:, :2].max(axis=0)
    return float(left), float(top), float(right), float(bottom)
