"""The TikTok Dance-Music dataset of D2M-GAN (Zhu et al., arXiv 2204.00604): in-the-wild dances, 445 videos.

    000007_7_188.mp4      batch, song, video: several videos dance to one song

The authors publish names and links; users have to obtain the videos. The published split uses 43 songs for the test
(`dataset/tiktok_*_segment.txt`); none of them is in the part of the training list that was checked (songs 25 to 85).
The split `ours` divides the songs by size and seed (`splits.assign_splits`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import CorpusError
from .folder import Labels, find_videos
from .origin import Origin
from .selection import Selection, count_notes, read_lists

#: Songs of the published test list.
D2M_GAN_TEST_SONGS = frozenset(
    (7, 8, 10, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22)
    + (26, 29, 31, 32, 35, 36, 37, 40, 41, 42, 43, 44, 45, 46, 48, 49, 50, 51, 52, 53, 54)
    + (69, 70, 72, 74, 76, 79, 80, 81, 82)
)
_NAME = re.compile(r"(?<![0-9_])(\d{6})_(\d{1,3})_(\d{1,3})(?!\d)")


@dataclass(frozen=True, order=True)
class TikTokName:
    """The parts of a file name."""

    batch: str
    song: int
    video: int

    def __str__(self) -> str:
        return f"{self.batch}_{self.song}_{self.video}"

    def labels(self, split: str | None = None) -> Labels:
        """Labels of the clip; dancer and choreography are unknown."""
        return Labels(song=f"tiktok{self.song:03d}", split=split)


def parse_name(text: str) -> TikTokName | None:
    """Parse a name; None if it has another form.

    >>> parse_name("000007_7_188").song
    7
    """
    match = _NAME.fullmatch(text)
    return None if match is None else TikTokName(match[1], int(match[2]), int(match[3]))


def names_in(text: str) -> Iterator[TikTokName]:
    """All names in a line."""
    for match in _NAME.finditer(text):
        yield TikTokName(match[1], int(match[2]), int(match[3]))


def d2m_gan(name: TikTokName) -> str | None:
    """The split of D2M-GAN."""
    return "test" if name.song in D2M_GAN_TEST_SONGS else "train"


def _by_song(name: TikTokName) -> str | None:
    return None  # assigned when the corpus is finished


RULES: dict[str, tuple[str, Callable[[TikTokName], str | None]]] = {
    "ours": ("this project", _by_song),
    "d2m-gan": ("D2M-GAN, arXiv 2204.00604", d2m_gan),
}


def select_tiktok(
    src: str | Path,
    dst: str | Path | None = None,
    *,
    split: str = "ours",
    lists: Sequence[str] = (),
    seed: int = 0,
) -> Selection:
    """Choose the videos of the TikTok dataset, with the songs that their names give.

    Args:
        src: folder with the videos.
        dst: folder of the corpus, which may be inside `src`.
        split: "ours" or "d2m-gan".
        lists: lists of files instead of `split`, see `selection.read_lists`.
        seed: of the split `ours`.

    Raises:
        CorpusError: `split` or `src` does not exist, or no video has a name of the dataset.
    """
    src = Path(src).absolute()
    if split not in RULES:
        raise CorpusError(
            f"there is no split {split!r} of the TikTok dataset: choose from {', '.join(RULES)}"
        )
    source, assign = RULES[split]
    videos = find_videos(src, None if dst is None else Path(dst))
    named: dict[TikTokName, Path] = {}
    others = []
    for video in videos:
        name = parse_name(video.stem)
        if name is None:
            others.append(video)
        elif name in named:
            raise CorpusError(f"{named[name]} and {video} have the same name: give a folder with one copy")
        else:
            named[name] = video
    if not named:
        raise CorpusError(
            f"no video has a name such as 000007_7_188.mp4 (batch, song, video; the first is {videos[0].name}): "
            "name the videos as the dataset's annotations do, or use `prepare folder`"
        )
    notes = count_notes("have no name of the dataset", others)
    if lists:
        listed = read_lists(lists, names_in, "000007_7_188")
        chosen = {video: name.labels(listed[name]) for name, video in sorted(named.items()) if name in listed}
        unlisted = [video for name, video in sorted(named.items()) if name not in listed]
        notes += count_notes("are in none of the lists", unlisted)
    else:
        chosen = {video: name.labels(assign(name)) for name, video in sorted(named.items())}
    return Selection(
        folder=src,
        videos=chosen,
        origin=Origin(
            corpus="tiktok",
            split="lists" if lists else split,
            source="lists of the user" if lists else source,
            seed=seed,
        ),
        notes=notes,
    )
