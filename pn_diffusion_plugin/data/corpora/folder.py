"""A folder of dance videos: which files are videos, and what is known of them.

Labels come from a table (`metadata.csv` in the folder, or another that is named) with a column `file` and
any of `song`, `split`, `choreography`, `dancer`, `genre`, `bpm`; and from a `<video>.json` beside the video
with these keys and `beats` (s). Where both speak, the table wins.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import CorpusError
from ..manifest import SPLITS

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv .vob .asf".split()
)
_TEXTS = ("song", "split", "choreography", "dancer", "genre")


@dataclass(frozen=True)
class Labels:
    """What is known of a video; None where nothing is. `beats` are seconds, `bpm` beats a minute."""

    song: str | None = None
    split: str | None = None
    choreography: str | None = None
    dancer: str | None = None
    genre: str | None = None
    bpm: float | None = None
    beats: list[float] | None = None

    def over(self, other: Labels) -> Labels:
        """These labels, and those of `other` where these say nothing."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})


def find_videos(folder: Path, leave_out: Path | None = None) -> list[Path]:
    """All videos in `folder` and the folders within, sorted; hidden files and the folder `leave_out` are
    passed over.

    Raises:
        CorpusError: no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder: name the folder that holds the videos")
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and (leave_out is None or (Path(place) / name).resolve() != leave_out.resolve())
        )
        found += [
            Path(place) / name
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES
        ]
    if not found:
        raise CorpusError(
            f"{folder} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}): name another folder"
        )
    return sorted(found)


def clip_name(relative: Path) -> str:
    """Name of the clip made of the video at this path within its folder.

    It depends on nothing but the path: `a/b.mp4` → `a__b`. A path that such a name could not tell from
    another (other suffix, unusual characters) gets a few digits of its hash: `my dance.mov` →
    `my_dance-3f2a91`.
    """
    parts = relative.with_suffix("").parts
    name = "__".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part).strip("._-") for part in parts) or "clip"
    plain = all(
        re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", part) and "__" not in part for part in parts
    )
    if plain and relative.suffix == ".mp4":
        return name
    return f"{name[:100]}-{hashlib.sha256(relative.as_posix().encode()).hexdigest()[:6]}"


def read_sidecar(video: Path) -> Labels:
    """Labels of the json beside a video (`dance.json` or `dance.mp4.json`); empty ones if there is none.

    Raises:
        CorpusError: it is no json, or a value is of the wrong kind.
    """
    for path in (video.with_suffix(".json"), video.with_name(video.name + ".json")):
        if path.is_file():
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, RecursionError) as error:
                raise CorpusError(f"{path} is not a json file ({error}): mend it or take it away") from error
            if not isinstance(values, dict):
                raise CorpusError(f'{path} is not a json object: write labels as {{"song": …}}')
            return _labels(values, str(path))
    return Labels()


def read_table(path: Path, folder: Path, videos: Sequence[Path]) -> dict[Path, Labels]:
    """Labels of the videos that a table names.

    A row names a video by its path within `folder`, or by its mere name where only one video has it (with or
    without suffix). Rows of videos that are not there are passed over.

    Raises:
        CorpusError: no such table, no column `file`, a row that fits two videos or holds a wrong value, or
            no row that fits any.
    """
    if not path.is_file():
        raise CorpusError(f"{path} does not exist: name the table of labels")
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (ValueError, csv.Error) as error:
        raise CorpusError(f"{path} is no table ({error}): write comma-separated values in UTF-8") from error
    if not rows or "file" not in rows[0]:
        raise CorpusError(
            f"{path} has no column `file` (or no rows): its first line must name the columns, file among them"
        )
    by_name: dict[str, list[Path]] = {}
    for video in videos:
        relative = video.relative_to(folder)
        for key in {relative.as_posix(), relative.with_suffix("").as_posix(), video.name, video.stem}:
            by_name.setdefault(key, []).append(video)
    labels: dict[Path, Labels] = {}
    missing = []
    for number, row in enumerate(rows, 2):
        wanted = (row["file"] or "").strip()
        exact = folder / wanted
        fits = [exact] if exact in by_name.get(wanted, []) else by_name.get(wanted.removeprefix("./"), [])
        if len(fits) > 1:
            raise CorpusError(
                f"line {number} of {path}: {wanted} fits {len(fits)} videos: give its path in {folder}"
            )
        if fits:
            labels[fits[0]] = _labels(row, f"line {number} of {path}")
        elif not _exists(exact):
            missing.append(wanted)
    if missing and not labels:
        raise CorpusError(
            f"{path} names none of the videos in {folder} (its first is {missing[0]}): name another table"
        )
    if missing:
        logger.warning("%s names %d videos that are not there, e.g. %s", path, len(missing), missing[0])
    return labels


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or not a name at all
        return False


def _labels(values: Mapping[str, Any], where: str) -> Labels:
    found: dict[str, Any] = {}
    for name in _TEXTS:
        value = values.get(name)
        if value is not None and str(value).strip():
            found[name] = str(value).strip()
    if found.get("split", SPLITS[0]) not in SPLITS:
        raise CorpusError(f"{where}: split is {found['split']!r}: write one of {', '.join(SPLITS)}")
    try:
        bpm = values.get("bpm")
        if bpm is not None and str(bpm).strip():
            found["bpm"] = float(bpm)
        beats = values.get("beats")
        if isinstance(beats, list):
            found["beats"] = [float(beat) for beat in beats]
    except (TypeError, ValueError, OverflowError) as error:
        raise CorpusError(
            f"{where}: bpm or beats is no number ({error}): write beats a minute, and seconds"
        ) from error
    return Labels(**found)
