"""AIST++: names of videos, and the files that belong to them.

    gBR_sBM_c01_d04_mBR0_ch01      genre, situation, camera, dancer, music, choreography

The names are those of the AIST Dance Video Database (Tsuchida et al., ISMIR 2019), whose solo dances of the situations
"basic" (sBM) and "advanced" (sFM) AIST++ (Li et al., arXiv 2101.08779) annotates. AIST++ names a sequence as its
nine videos together, with `cAll` for the camera. Dances of several dancers (sGR, sSH, sCY, sBT) have other names and
are not used: the model follows one dancer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import CorpusError
from ..folder import Labels

GENRES = {
    "BR": "break",
    "PO": "pop",
    "LO": "lock",
    "MH": "middle hip-hop",
    "LH": "LA style hip-hop",
    "HO": "house",
    "WA": "waack",
    "KR": "krump",
    "JS": "street jazz",
    "JB": "ballet jazz",
}
FIXED_CAMERAS = tuple(f"c{number:02d}" for number in range(1, 10))  # c10 moves
FRONT = "c01"
_NAME = re.compile(
    r"g(?P<genre>[A-Z]{2})_(?P<situation>sBM|sFM)_(?P<camera>c\d\d|cAll)_(?P<dancer>d\d\d)"
    r"_m(?P<music>[A-Z]{2}[0-5])_(?P<choreography>ch\d\d)"
)
_SOUNDS = (".wav", ".flac", ".mp3", ".ogg")


@dataclass(frozen=True, order=True)
class AistName:
    """The parts of a name: "BR", "sBM", "c01", "d04", "BR0", "ch01"; `camera` is "cAll" for a sequence."""

    genre: str
    situation: str
    camera: str
    dancer: str
    music: str
    choreography: str

    def __str__(self) -> str:
        return f"g{self.genre}_{self.situation}_{self.camera}_{self.dancer}_m{self.music}_{self.choreography}"

    @property
    def sequence(self) -> str:
        """Name of the sequence of the video in the annotations."""
        return str(AistName(self.genre, self.situation, "cAll", self.dancer, self.music, self.choreography))

    @property
    def bpm(self) -> float:
        """Beats per minute of the music: six songs per genre, 80 to 130, house 110 to 135."""
        number = int(self.music[-1])
        return 110.0 + 5 * number if self.genre == "HO" else 80.0 + 10 * number

    def labels(self, split: str | None = None) -> Labels:
        """Labels of the clip. A basic choreography is danced to all songs of its genre, by several dancers; advanced
        choreographies are numbered within their genre."""
        return Labels(
            song=f"m{self.music}",
            split=split,
            choreography=f"g{self.genre}_{self.situation}_{self.choreography}",
            dancer=self.dancer,
            genre=GENRES[self.genre],
            bpm=self.bpm,
        )


def parse_name(text: str) -> AistName | None:
    """Parse a name; None if it is not the name of a solo dance.

    >>> parse_name("gBR_sBM_c01_d04_mBR0_ch01").labels().choreography
    'gBR_sBM_ch01'
    """
    match = _NAME.fullmatch(text)
    if match is None or match["genre"] not in GENRES or match["genre"] != match["music"][:2]:
        return None
    return AistName(**match.groupdict())


def names_in(text: str) -> Iterator[AistName]:
    """All names in a text, e.g. a line of a published list of files."""
    for match in _NAME.finditer(text):
        name = parse_name(match[0])
        if name is not None:
            yield name


def name_videos(videos: Sequence[Path]) -> tuple[dict[AistName, Path], list[Path]]:
    """Separate the videos with names of solo dances from the others.

    Raises:
        CorpusError: no video has such a name, or they are in several folders.
    """
    named: dict[AistName, Path] = {}
    others = []
    for video in videos:
        name = parse_name(video.stem)
        if name is None or name.camera == "cAll":
            others.append(video)
        elif name in named or (named and video.parent != next(iter(named.values())).parent):
            first = next(iter(named.values()))
            raise CorpusError(
                f"AIST videos are in {first.parent} and in {video.parent}: give a folder with one copy"
            )
        else:
            named[name] = video
    if not named:
        raise CorpusError(
            f"no video has the name of a solo dance of AIST, such as gBR_sBM_c01_d04_mBR0_ch01.mp4 (the first is "
            f"{videos[0].name}): give the folder of the videos as AIST distributes them"
        )
    return named, others


def find_annotations(folder: Path) -> Path | None:
    """The folder that contains `keypoints2d`, in `folder` or below; None if there is none."""
    if (folder / "keypoints2d").is_dir():
        return folder
    found = sorted(path.parent for path in folder.rglob("keypoints2d") if path.is_dir())
    return found[0] if found else None


def ignored_sequences(annotations: Path) -> set[str]:
    """Sequences with wrong annotations according to AIST++'s authors (`ignore_list.txt`)."""
    found = set()
    for file in (annotations / "ignore_list.txt", annotations / "splits" / "ignore_list.txt"):
        if file.is_file():
            found |= {str(name) for name in names_in(file.read_text(encoding="utf-8"))}
    return found


def find_music(names: Mapping[AistName, Path] | Iterable[AistName], folder: Path) -> dict[AistName, Path]:
    """Sound files of single dances in `folder`, with the name of the video or of the sequence (for all its cameras).

    Songs as AIST distributes them (`mBR0.wav`) cannot be used, since the start of the dance in them is unknown.

    Raises:
        CorpusError: no file matches any dance.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder: give the folder with the music")
    files = {
        path.stem: path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SOUNDS and path.is_file()
    }
    found = {}
    for name in names:
        file = files.get(str(name)) or files.get(name.sequence)
        if file is not None:
            found[name] = file
    if not found:
        songs = sum(re.fullmatch(r"m[A-Z]{2}\d", stem) is not None for stem in files)
        why = (
            f"; its {songs} whole songs cannot be used, since the start of the dances in them is unknown"
            if songs
            else ""
        )
        raise CorpusError(
            f"{folder} contains no music named as a video or sequence, e.g. {next(iter(names))}.wav{why}: "
            "omit the music to use the sound of the videos"
        )
    return found
