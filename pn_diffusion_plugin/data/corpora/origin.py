"""Source and split rule of a corpus: `DST/origin.json` of corpora with published splits.

A published split may leak. It is used for comparison with papers, and then every report on the corpus has to say so,
even if the prepared part alone (e.g. only the test clips) does not show it.
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
    """How a corpus was selected and split.

    Attributes:
        corpus: "aistpp", "tiktok".
        split: name of the split rule, "ours" or a published one.
        source: publication of the rule.
        seed: of our own splits.
        pose: source of the keypoints: "blazepose" or "aist++".
        disjoint: attributes that no two splits may share: "song", "choreography".
        leak: a known leak of the published split, whichever clips were prepared, or None.
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
        """Path of the file in the corpus `root`."""
        return root / "origin.json"

    def save(self, root: Path) -> None:
        """Write it into the corpus `root`.

        Raises:
            CorpusError: the corpus there holds clips of another origin.
        """
        existing = Origin.load(root)
        if CorpusPaths(root).clip_names() and existing != self:
            raise CorpusError(f"{root} was prepared {_difference(existing, self)}: choose another folder")
        write_json(self.file(root), {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, root: Path) -> Origin | None:
        """Read the origin of the corpus `root`; None if it has none.

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


def _difference(existing: Origin | None, requested: Origin) -> str:
    if existing is None:
        return f"from a folder of videos, not from {requested.corpus}"
    for field in fields(Origin):
        before, now = getattr(existing, field.name), getattr(requested, field.name)
        if before != now:
            return f"with {field.name} = {before!r}, not {now!r}"
    raise AssertionError("no difference")


def check_corpus(root: Path, infos: Sequence[DanceInfo] | None = None) -> str:
    """Check whether the splits of the corpus `root` leak.

    Args:
        root: the prepared corpus.
        infos: its clips; None: read them.

    Returns:
        As `splits.check_splits`: "ok", "LEAKING: …" or "unknown: …", for the attributes that the origin lists as
        disjoint (songs without an origin), and the known leak of the origin.
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
