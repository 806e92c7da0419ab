"""Splits that share no song, and a check for leaks.

Clips of one song form a group, which is never divided. Groups follow from labels, else from fingerprints of the sound;
otherwise every file is a group of its own (`group_clips`). Groups are assigned to splits by size and seed
(`assign_splits`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...errors import CorpusError
from ..manifest import SPLITS, DanceInfo

Ratios = tuple[float, float, float]
DEFAULT_RATIOS: Ratios = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class SplitClip:
    """A clip to be assigned: name, length (s), and song and split if labelled."""

    name: str
    seconds: float
    song: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Assignment:
    """Split and song of a clip, and the source of the song (see `DanceInfo.song_source`)."""

    split: str
    song: str
    song_source: str


def group_clips(
    clips: Sequence[SplitClip], same_sound: Iterable[tuple[str, str]] = (), compared: Iterable[str] = ()
) -> dict[str, tuple[str, str]]:
    """Determine the song of every clip: {clip: (song, source)}.

    Args:
        clips: all clips of the corpus.
        same_sound: pairs of clips whose sounds match. Pairs of two labelled clips are ignored: labels have priority.
        compared: clips whose sound was compared with all others.

    Returns:
        The label and "label"; or, without one, the label of a clip with the same sound, else the first name of the
        group, and "fingerprint"; or "file" if the sound could not be compared.

    >>> clips = [SplitClip("a", 8.0, song="blue"), SplitClip("b", 8.0), SplitClip("c", 8.0)]
    >>> group_clips(clips, same_sound=[("a", "b")], compared=["a", "b", "c"])
    {'a': ('blue', 'label'), 'b': ('blue', 'fingerprint'), 'c': ('c', 'fingerprint')}
    """
    parent = {clip.name: clip.name for clip in clips}
    labels = {clip.name: clip.song for clip in clips if clip.song}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(one: str, other: str) -> None:
        first, last = sorted((find(one), find(other)))
        parent[last] = first

    first_of_song: dict[str, str] = {}
    for name in sorted(labels):
        join(first_of_song.setdefault(labels[name], name), name)
    for one, other in same_sound:
        if not (one in labels and other in labels):
            join(one, other)

    group_label = {find(name): labels[name] for name in sorted(labels, reverse=True)}
    by_sound = set(compared)
    groups = {}
    for clip in clips:
        root = find(clip.name)
        # Two labels connected through unlabelled clips are one song: one name for all.
        song = group_label.get(root, root)
        source = "label" if clip.song else "fingerprint" if clip.name in by_sound else "file"
        groups[clip.name] = (song, source)
    return groups


def assign_splits(
    clips: Sequence[SplitClip],
    groups: Mapping[str, tuple[str, str]],
    *,
    ratios: Ratios = DEFAULT_RATIOS,
    seed: int = 0,
    previous: Mapping[str, str] | None = None,
) -> dict[str, Assignment]:
    """Assign every group of clips to one split.

    A labelled split is always used (even if it divides a song, which `check_splits` reports), and the rest of the song
    follows it. Other groups are assigned, in a random order given by `seed`, to the split that lacks most seconds;
    with at least as many groups as splits none stays empty. If all clips are labelled "train" or "test", and both
    occur, songs of "train" are moved to "valid".

    Args:
        clips: all clips.
        groups: result of `group_clips`.
        ratios: shares of the total length for train, valid, test.
        seed: of the order.
        previous: splits chosen by an earlier call, kept unless a label differs, so that a song of a growing corpus
            never moves from test to train.

    Raises:
        CorpusError: `ratios` are not shares, or a label is not the name of a split.
    """
    if min(ratios) < 0 or not abs(sum(ratios) - 1) < 1e-6 or ratios[0] == 0:
        raise CorpusError(
            f"split ratios are {ratios}: give shares for train, valid, test that add up to 1, train > 0"
        )
    for clip in clips:
        if clip.split not in (None, *SPLITS):
            raise CorpusError(f"{clip.name} has split {clip.split!r}: write one of {', '.join(SPLITS)}")

    seconds: dict[str, float] = {}
    wanted: dict[str, set[str]] = {}
    kept: dict[str, set[str]] = {}
    for clip in clips:
        song = groups[clip.name][0]
        seconds[song] = seconds.get(song, 0.0) + clip.seconds
        if clip.split:
            wanted.setdefault(song, set()).add(clip.split)
        if previous and previous.get(clip.name) in SPLITS:
            kept.setdefault(song, set()).add(previous[clip.name])
    order = sorted(seconds, key=lambda song: hashlib.sha256(f"{seed}:{song}".encode()).hexdigest())

    # What was used for training must not become test data.
    chosen = {song: min(splits, key=SPLITS.index) for song, splits in kept.items()}
    chosen.update({song: min(splits, key=SPLITS.index) for song, splits in wanted.items()})
    moved: set[str] = set()
    free = [song for song in order if song not in chosen]
    if not free and {split for splits in wanted.values() for split in splits} == {"train", "test"}:
        moved = _move_to_valid(order, seconds, chosen, wanted, kept, ratios)
    _fill(free, seconds, chosen, ratios)

    result = {}
    for clip in clips:
        song, source = groups[clip.name]
        split = "valid" if song in moved else clip.split or chosen[song]
        result[clip.name] = Assignment(split, song, source)
    return result


def _move_to_valid(
    order: Sequence[str],
    seconds: Mapping[str, float],
    chosen: Mapping[str, str],
    wanted: Mapping[str, set[str]],
    kept: Mapping[str, set[str]],
    ratios: Ratios,
) -> set[str]:
    """Songs of train that become valid if no clip is labelled so: about its share, never all."""
    train = [song for song in order if chosen[song] == "train" and wanted.get(song, set()) <= {"train"}]
    train.sort(key=lambda song: "valid" not in kept.get(song, ()))  # stable: earlier choices come first
    target = sum(seconds[song] for song in train) * ratios[1] / (ratios[0] + ratios[1])
    moved: set[str] = set()
    for song in train[:-1]:
        taken = sum(seconds[one] for one in moved)
        if ratios[1] > 0 and (not moved or taken + seconds[song] <= target):
            moved.add(song)
    return moved


def _fill(free: Sequence[str], seconds: Mapping[str, float], chosen: dict[str, str], ratios: Ratios) -> None:
    """Assign each free song to the split that lacks most seconds; fill empty splits with the last songs."""
    total = sum(seconds.values())
    have = {split: sum(seconds[song] for song, where in chosen.items() if where == split) for split in SPLITS}
    share = dict(zip(SPLITS, ratios, strict=True))
    for position, song in enumerate(free):
        left = len(free) - position
        empty = [split for split in ("train", "test", "valid") if share[split] > 0 and have[split] == 0]
        if empty and left <= len(empty):
            split = empty[0]
        else:
            split = max(SPLITS, key=lambda name: share[name] * total - have[name])
        chosen[song] = split
        have[split] += seconds[song]


def check_splits(infos: Iterable[DanceInfo], by: str = "song") -> str:
    """Check whether two splits share a song.

    Args:
        infos: all clips of the corpus, with `split`.
        by: the attribute that must not be shared: "song", "choreography" or "dancer".

    Returns:
        "ok"; or "LEAKING: …" with the songs and their splits; or "unknown: …" if clips have no song, or one that was
        not compared with others.
    """
    infos = [info for info in infos if info.split]
    where: dict[str, set[str]] = {}
    unsure = []
    for info in infos:
        value = getattr(info, by)
        if value is None or (by == "song" and info.song_source in (None, "file")):
            unsure.append(info.name)
        if value is not None:
            where.setdefault(value, set()).add(str(info.split))
    leaking = sorted(value for value, splits in where.items() if len(splits) > 1)
    if leaking:
        places = {value: " and ".join(sorted(where[value], key=SPLITS.index)) for value in leaking[:5]}
        shown = "; ".join(f"{value} in {place}" for value, place in places.items())
        more = f"; and {len(leaking) - 5} more" if len(leaking) > 5 else ""
        return f"LEAKING: {len(leaking)} {by}(s) in more than one split ({shown}{more})"
    if not infos:
        return "unknown: no clip has a split"
    if unsure:
        return f"unknown: {len(unsure)} of {len(infos)} clips have no known {by} ({', '.join(unsure[:3])}, …)"
    return "ok"
