"""Select the videos of AIST++ from folders of videos, music and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....errors import CorpusError
from ..folder import find_videos
from ..origin import Origin
from ..selection import Selection, count_notes, read_lists
from .keypoints import AistExtractor
from .names import (
    FIXED_CAMERAS,
    AistName,
    find_annotations,
    find_music,
    ignored_sequences,
    name_videos,
    names_in,
)
from .splits import rule_of

_EXAMPLE = "gBR_sBM_c01_d04_mBR0_ch01"


def select_aistpp(
    src: str | Path,
    dst: str | Path | None = None,
    *,
    split: str = "ours",
    lists: Sequence[str] = (),
    cameras: Sequence[str] | None = None,
    keypoints: bool = False,
    annotations: str | Path | None = None,
    music: str | Path | None = None,
    seed: int = 0,
) -> Selection:
    """Select the videos of a split of AIST++, with the labels contained in their names.

    Args:
        src: folder with AIST's videos, and optionally AIST++'s annotations.
        dst: folder of the corpus, which may be inside `src`.
        split: name of a rule in `aistpp.splits.RULES`.
        lists: lists of files instead of a rule, see `selection.read_lists`; a sequence (`cAll`) means all its cameras.
        cameras: only these ("c01"); None: those of the split.
        keypoints: use the published 2D keypoints instead of BlazePose, and omit sequences with wrong annotations.
        annotations: folder of AIST++'s annotations, if it is not inside `src`.
        music: folder with the music of single dances (see `names.find_music`); None: the sound of the videos.
        seed: of the split `ours`.

    Raises:
        CorpusError: a split, folder, camera, video or annotation does not exist.
    """
    src = Path(src).absolute()
    rule = rule_of(split)
    for camera in cameras or ():
        if camera not in FIXED_CAMERAS:
            raise CorpusError(f"there is no fixed camera {camera!r}: choose from {', '.join(FIXED_CAMERAS)}")
    named, others = name_videos(find_videos(src, None if dst is None else Path(dst)))
    notes = count_notes("have no name of a solo dance", others)
    keypoints_in: Path | None = None
    ignored: set[str] = set()
    if keypoints:
        keypoints_in = find_annotations(Path(annotations).absolute() if annotations is not None else src)
        if keypoints_in is None:
            raise CorpusError(
                f"{annotations or src} contains no folder keypoints2d: give the folder of AIST++'s annotations"
            )
        ignored = ignored_sequences(keypoints_in)
    elif annotations is not None:
        raise CorpusError(f"annotations are given ({annotations}) but not used: add keypoints, or omit them")

    splits = _splits(list(named), split, lists, cameras, seed)
    chosen = {name: where for name, where in splits.items() if name.sequence not in ignored}
    notes += count_notes("belong to no split", [named[name] for name in sorted(set(named) - set(splits))])
    notes += count_notes(
        "have wrong annotations according to AIST++'s authors",
        [named[name] for name in sorted(set(splits) - set(chosen))],
    )
    sounds = {} if music is None else find_music(chosen, Path(music))
    if sounds:
        notes.append(f"{len(sounds)} of {len(chosen)} videos get their music from {music}")
    return Selection(
        folder=next(iter(named.values())).parent,
        videos={named[name]: name.labels(where) for name, where in sorted(chosen.items())},
        sounds={named[name]: file for name, file in sounds.items()},
        origin=Origin(
            corpus="aistpp",
            split="lists" if lists else split,
            source="lists of the user" if lists else rule.source,
            seed=seed,
            pose="aist++" if keypoints else "blazepose",
            disjoint=("song",) if lists else rule.disjoint,
            leak=None if lists else rule.leak,
        ),
        extractor=None if keypoints_in is None else AistExtractor(keypoints_in),
        notes=notes,
    )


def _splits(
    names: Sequence[AistName], split: str, lists: Sequence[str], cameras: Sequence[str] | None, seed: int
) -> dict[AistName, str]:
    """The split of every video that has one."""
    found: dict[AistName, str] = {}
    if lists:
        listed = read_lists(lists, names_in, _EXAMPLE)
        by_text = {str(name): where for name, where in listed.items()}
        for name in names:
            where = by_text.get(str(name), by_text.get(name.sequence))
            if where is not None and (cameras is None or name.camera in cameras):
                found[name] = where
        return found
    rule = rule_of(split)
    if cameras is not None and rule.fixed_cameras and not set(cameras) <= set(rule.cameras):
        raise CorpusError(
            f"the published split {split} uses only the cameras {', '.join(rule.cameras)}: "
            "omit the cameras, or choose the split crossmodal or ours"
        )
    for name in names:
        where = rule.assign(name, seed) if name.camera in (cameras or rule.cameras) else None
        if where is not None:
            found[name] = where
    return found
