"""Where a corpus comes from and by which rule it was split: `DST/origin.json` of corpora with published splits.

A published split may leak: it is used for comparison with papers, and then everything made of the corpus has
to say so, also where the part at hand (the test clips alone, say) would not show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...errors import CorpusError
from ...utils.files import write_json
from ..manifest import SCHEMA, CorpusPaths, DanceInfo, read_json
from .splits import check_splits


@dataclass(frozen=True)
class Origin:
    """How a corpus came about.

    Attributes:
        corpus: "aistpp", "tiktok".
        split: name of the rule, "ours" or that of a published one.
        source: who published it.
        seed: of our own splits.
        pose: who found the dancer: "blazepose" or "aist++".
        disjoint: what no two splits may share: "song", "choreography".
        leak: what is known to leak whatever clips are at hand, or None.
    """

    corpus: str
    split: str
    source: str
    seed: int = 0
    pose: str = "blazepose"
    disjoint: tuple[str, ...] = ("song",)
    leak: str | None = None

    @staticmethod
    def file(root: Path) -> Path:
        """Where it stands in the corpus `root`."""
        return root / "origin.json"

    def save(self, root: Path) -> None:
        """Write it into the corpus `root`.

        Raises:
            CorpusError: the corpus there holds clips of another origin.
        """
        there = Origin.load(root)
        if CorpusPaths(root).clip_names() and there != self:
            raise CorpusError(f"{root} was prepared {_difference(there, self)}: name another folder")
        write_json(self.file(root), {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, root: Path) -> Origin | None:
        """What the corpus `root` says of its origin; None where it says nothing.

        Raises:
            CorpusError: the file is damaged.
        """
        if not cls.file(root).is_file():
            return None
        values: dict[str, Any] = read_json(cls.file(root))
        try:
            known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
            return cls(**{**known, "disjoint": tuple(known.get("disjoint", ("song",)))})
        except TypeError as error:
            raise CorpusError(f"{cls.file(root)} is damaged ({error}): prepare the corpus again") from error


def _difference(there: Origin | None, asked: Origin) -> str:
    if there is None:
        return f"as a folder of videos, and corpus {asked.corpus} is asked for"
    for field in fields(Origin):
        before, now = getattr(there, field.name), getattr(asked, field.name)
        if before != now:
            return f"with {field.name} = {before!r}, and {now!r} is asked for"
    raise AssertionError("no difference")


def check_corpus(root: Path, infos: Sequence[DanceInfo] | None = None) -> str:
    """Does the corpus `root` leak between its splits?

    Args:
        root: the prepared corpus.
        infos: its clips; None: read them.

    Returns:
        As `splits.check_splits`: "ok", "LEAKING: …" or "unknown: …", after all that the corpus's origin says
        must be disjoint and what it says leaks anyway. Without an origin songs are checked.
    """
    paths, origin = CorpusPaths(root), Origin.load(root)
    if infos is None:
        infos = [DanceInfo.load(paths.info(name)) for name in paths.clip_names()]
    found = [check_splits(infos, by) for by in (origin.disjoint if origin else ("song",))]
    leaks = [text.removeprefix("LEAKING: ") for text in found if text.startswith("LEAKING: ")]
    if origin and origin.leak:
        leaks.insert(0, origin.leak)
    if leaks:
        return "LEAKING: " + "; ".join(leaks)
    return next((text for text in found if text != "ok"), "ok")
