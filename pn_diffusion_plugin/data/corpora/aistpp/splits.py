"""Published splits of AIST++, and our own.

`crossmodal`  AIST++'s own (Li et al., arXiv 2101.08779; `splits/crossmodal_*.txt` of its annotations): one song of each
              genre is used for valid (basic choreography ch01) and test (ch02), two dancers each: 20 sequences each;
              train is all other songs without ch01 and ch02: 980 sequences. Train shares neither song nor choreography
              with the others; valid and test share their songs.
`d2m-gan`     D2M-GAN (Zhu et al., arXiv 2204.00604; its `dataset/aist_*_segment.txt`): the same, camera c01, no valid.
`cdcd`        CDCD (Zhu et al., arXiv 2206.07771; its `data/aist_*_segment.txt`): the same, camera c01.
`loris`       LORIS (Yu et al., arXiv 2305.01319; its `data/dance`): a tenth of the *videos* of the advanced dances, so
              that nearly every test video is a training dance seen by another camera. It leaks, as every report on
              such a corpus states.
`ours`        In every genre one song for valid, one for test, four for train; basic choreographies (danced to
              all songs) are divided 1 : 1 : 8, and those that belong to two splits are omitted. Songs and
              choreographies are drawn from the seed alone, independently of the available videos.

Checked against the published files: the complete test lists of AIST++, D2M-GAN, CDCD and LORIS, the valid list of CDCD;
of the long training lists of AIST++, D2M-GAN and LORIS the beginning and the length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ....errors import CorpusError
from .names import FIXED_CAMERAS, FRONT, AistName, names_in

#: The song of each genre that AIST++'s own split uses for valid and test.
CROSSMODAL_SONGS = frozenset("BR0 PO1 LO2 MH3 LH4 HO5 WA0 KR2 JS3 JB5".split())
_LORIS_TEST = Path(__file__).with_name("loris_held_out.txt")
_LORIS_VALID = 20  # one of this many training videos becomes valid, since LORIS has none
_SONGS, _BASIC = range(6), range(1, 11)  # songs and basic choreographies of a genre


@dataclass(frozen=True)
class SplitRule:
    """A split of AIST++.

    Attributes:
        source: publication.
        assign: (name of a video, seed) → "train", "valid", "test", or None for omitted videos.
        cameras: default cameras.
        disjoint: attributes that no two splits share ("song", "choreography"); checked on the prepared corpus.
        leak: description of a known leak, or None.
        fixed_cameras: the published lists contain only these cameras.
    """

    source: str
    assign: Callable[[AistName, int], str | None]
    cameras: tuple[str, ...] = (FRONT,)
    disjoint: tuple[str, ...] = ("song",)
    leak: str | None = None
    fixed_cameras: bool = False


def crossmodal(name: AistName, seed: int = 0) -> str | None:
    """AIST++'s own split of a video; None for omitted videos."""
    basic = name.situation == "sBM"
    if name.music in CROSSMODAL_SONGS:
        return {"ch01": "valid", "ch02": "test"}.get(name.choreography) if basic else None
    return None if basic and name.choreography in ("ch01", "ch02") else "train"


def _without_valid(name: AistName, seed: int = 0) -> str | None:
    split = crossmodal(name)
    return None if split == "valid" else split


def loris_test() -> frozenset[AistName]:
    """The 189 test videos of LORIS."""
    return frozenset(names_in(_LORIS_TEST.read_text(encoding="utf-8")))


_loris_test: frozenset[AistName] | None = None


def loris(name: AistName, seed: int = 0) -> str | None:
    """LORIS's split of a video: its test list; all other advanced dances are train, and some of them valid."""
    global _loris_test
    if _loris_test is None:
        _loris_test = loris_test()
    if name.situation != "sFM":
        return None
    if name in _loris_test:
        return "test"
    return "valid" if _draw(seed, f"loris:{name}") % _LORIS_VALID == 0 else "train"


def ours(name: AistName, seed: int = 0) -> str | None:
    """Our split of a video, disjoint by song and by choreography; None for omitted videos."""
    of_song = _divide([f"{name.genre}{number}" for number in _SONGS], seed)[name.music]
    if name.situation == "sFM":  # an advanced choreography has one song
        return of_song
    basic = _divide([f"g{name.genre}_ch{number:02d}" for number in _BASIC], seed)
    return of_song if basic.get(f"g{name.genre}_{name.choreography}") == of_song else None


def _divide(items: list[str], seed: int) -> dict[str, str]:
    """One item for test, one for valid, the others for train, in an order drawn from the seed."""
    order = sorted(items, key=lambda item: _draw(seed, item))
    return dict(zip(order, ["test", "valid"] + ["train"] * len(order), strict=False))


def _draw(seed: int, what: str) -> int:
    return int(hashlib.sha256(f"{seed}:{what}".encode()).hexdigest()[:12], 16)


_AISTPP = "AIST++, arXiv 2101.08779"
RULES = {
    "ours": SplitRule("this project", ours, disjoint=("song", "choreography")),
    "crossmodal": SplitRule(_AISTPP, crossmodal),
    "d2m-gan": SplitRule("D2M-GAN, arXiv 2204.00604", _without_valid, fixed_cameras=True),
    "cdcd": SplitRule("CDCD, arXiv 2206.07771", crossmodal, fixed_cameras=True),
    "loris": SplitRule(
        "LORIS, arXiv 2305.01319",
        loris,
        FIXED_CAMERAS,
        leak="the published split of LORIS tests on training dances seen by other cameras "
        "(songs, choreographies and dancers are shared)",
        fixed_cameras=True,
    ),
}


def rule_of(split: str) -> SplitRule:
    """The rule called `split`.

    Raises:
        CorpusError: there is none.
    """
    if split not in RULES:
        raise CorpusError(f"there is no split {split!r} of AIST++: choose from {', '.join(RULES)}")
    return RULES[split]
