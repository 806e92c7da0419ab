"""Selections of videos from published datasets, with labels and splits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import CorpusError
from ..manifest import SPLITS, CorpusPaths
from .folder import Labels
from .origin import Origin

if TYPE_CHECKING:
    from .clips import ExtractorFactory
    from .prepare import PrepareReport

Name = TypeVar("Name")


@dataclass(frozen=True)
class Selection:
    """Videos to be prepared.

    Attributes:
        folder: folder that contains them.
        videos: video → labels, including the split.
        origin: source of the corpus.
        sounds: video → sound file that replaces its own sound track.
        extractor: extracts the features; None: BlazePose and the visual encoder.
        notes: messages for the user about omitted videos.
    """

    folder: Path
    videos: Mapping[Path, Labels]
    origin: Origin
    sounds: Mapping[Path, Path] = field(default_factory=dict)
    extractor: ExtractorFactory | None = None
    notes: Sequence[str] = ()


def prepare_selection(
    selection: Selection,
    dst: str | Path,
    run: Callable[..., PrepareReport] | None = None,
    **options: Any,
) -> PrepareReport:
    """Make the corpus `dst` from a selection, or continue it.

    Args:
        selection: what to prepare.
        dst: folder of the corpus.
        run: replaces `prepare.prepare_folder`, with the same arguments.
        options: of `prepare.prepare_folder`.

    Raises:
        CorpusError: nothing was selected, `dst` has another origin, or see `prepare_folder`.
    """
    from .prepare import prepare_folder

    root = Path(dst).absolute()
    if not selection.videos:
        raise CorpusError(
            f"none of the videos in {selection.folder} is in split {selection.origin.split!r}: "
            "choose another split or other cameras"
        )
    selection.origin.save(root)
    if selection.extractor is not None:
        options.setdefault("extractor", selection.extractor)
    splits = {
        video.relative_to(selection.folder).as_posix(): labels.split
        for video, labels in selection.videos.items()
        if labels.split is not None
    }
    try:
        return (run or prepare_folder)(
            selection.folder,
            root,
            splits=splits,
            files=sorted(selection.videos),
            labels=selection.videos,
            sounds=selection.sounds,
            **options,
        )
    finally:
        # Without clips the origin is removed, unless other shards may be working on their first ones.
        if options.get("shard") is None and not CorpusPaths(root).clip_names():
            Origin.file(root).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                root.rmdir()


def read_lists(
    lists: Iterable[str], names_in: Callable[[str], Iterable[Name]], example: str
) -> dict[Name, str]:
    """Read splits from lists of files, such as published ones.

    Args:
        lists: "train=PATH", "valid=PATH", "test=PATH"; several lists of a split are joined. A line may contain a name
            among other text (folders, suffixes, numbers of segments).
        names_in: finds the names in a line.
        example: example of a name for error messages.

    Raises:
        CorpusError: an invalid entry, a missing file, a list without names, or a name in two splits.
    """
    found: dict[Name, str] = {}
    for entry in lists:
        split, _, file = entry.partition("=")
        if split not in SPLITS or not file:
            raise CorpusError(f"the list {entry!r} has no split: write train=FILE, valid=FILE or test=FILE")
        path = Path(file)
        if not path.is_file():
            raise CorpusError(f"{path} does not exist: give the list of the files of {split}")
        names = {name for line in path.read_text(encoding="utf-8").splitlines() for name in names_in(line)}
        if not names:
            raise CorpusError(f"{path} lists no video such as {example}: give a list of names, one per line")
        for name in names:
            if found.setdefault(name, split) != split:
                raise CorpusError(
                    f"{name} is listed in {found[name]} and in {split}: remove it from one of them"
                )
    return found


def count_notes(what: str, left_out: Sequence[Path]) -> list[str]:
    """A message about omitted files; none if there are none."""
    if not left_out:
        return []
    return [f"{len(left_out)} videos {what}, e.g. {left_out[0].name}: left out"]
