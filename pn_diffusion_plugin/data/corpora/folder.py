"""A folder of dance videos: its video files and their labels.

Labels are read from a table (by default `metadata.csv` in the folder) with a column `file` and any of `song`, `split`,
`choreography`, `dancer`, `genre`, `bpm`; and from a sidecar file `<video>.json` with these keys and `beats` (s). The
table overrides the sidecar file.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import CorpusError
from ..manifest import SPLITS

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .wmv .flv .3gp .ogv .vob .asf".split()
)
LONGEST_NAME = 200  # of a clip; file systems allow 255 bytes with suffix
_TEXTS = ("song", "split", "choreography", "dancer", "genre")


@dataclass(frozen=True)
class Labels:
    """Labels of a video; None if unknown. `beats` are times in seconds, `bpm` beats per minute."""

    song: str | None = None
    split: str | None = None
    choreography: str | None = None
    dancer: str | None = None
    genre: str | None = None
    bpm: float | None = None
    beats: list[float] | None = None

    def over(self, other: Labels) -> Labels:
        """These labels, with those of `other` for the ones that are None."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})


def find_videos(folder: Path, exclude: Path | None = None) -> list[Path]:
    """All videos in `folder` and its subfolders, sorted. Hidden files, the folder `exclude`, and links to a folder
    that contains them are skipped.

    Raises:
        CorpusError: the folder does not exist or contains no video.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder: give the folder that holds the videos")
    excluded = set() if exclude is None else {os.path.realpath(exclude)}
    found = sorted(_walk(folder, excluded))
    if not found:
        raise CorpusError(
            f"{folder} contains no video ({', '.join(sorted(VIDEO_SUFFIXES))}): give another folder"
        )
    return found


def _walk(folder: Path, excluded: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in excluded:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        logger.warning("%s is skipped: %s", folder, error.strerror)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry.path):
            yield from _walk(folder / entry.name, excluded | {real})
        elif Path(entry.name).suffix.lower() in VIDEO_SUFFIXES:
            yield folder / entry.name


def clip_name(relative: Path) -> str:
    """Name of the clip of the video at this path within its folder.

    It depends on the path alone: `a/b.mp4` → `a__b`. A path that is long or has another suffix or unusual characters
    gets some digits of its hash: `my dance.mov` → `my_dance-3f2a91`.
    """
    parts = relative.with_suffix("").parts
    name = "__".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part).strip("._-") for part in parts) or "clip"
    plain = all(
        re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", part) and "__" not in part for part in parts
    )
    if plain and relative.suffix == ".mp4" and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:100]}-{hashlib.sha256(os.fsencode(relative)).hexdigest()[:6]}"


def utf8_path(path: Path) -> str:
    """A path as text that can be encoded: bytes that are not UTF-8 become escapes such as `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_sidecar(video: Path) -> Labels:
    """Labels of the JSON file beside a video (`dance.json` or `dance.mp4.json`); empty if there is none.

    Raises:
        CorpusError: the file cannot be read, is not a JSON object, or a value has the wrong type.
    """
    stem = str(video.with_suffix(""))
    for path in (Path(f"{stem}.json"), Path(f"{video}.json")):
        if not os.path.isfile(path):  # False for a name that is too long, too
            continue
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError, OSError) as error:
            raise CorpusError(f"{path} cannot be read as JSON ({error}): correct or remove it") from error
        if not isinstance(values, dict):
            raise CorpusError(f'{path} is not a JSON object: write labels as {{"song": …}}')
        return _labels(values, str(path))
    return Labels()


def read_table(path: Path, folder: Path, videos: Sequence[Path]) -> dict[Path, Labels]:
    """Labels of the videos listed in a table.

    A row identifies a video by its path within `folder`, or by its file name (with or without suffix) if it is unique.
    Rows without a video are ignored with a warning.

    Raises:
        CorpusError: the table is missing or has no column `file`, a row matches two videos or has an invalid value, or
            no row matches any video.
    """
    if not path.is_file():
        raise CorpusError(f"{path} does not exist: give the table of labels")
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (ValueError, csv.Error) as error:
        raise CorpusError(
            f"{path} is not a table ({error}): write comma-separated values in UTF-8"
        ) from error
    if not rows or "file" not in rows[0]:
        raise CorpusError(
            f"{path} has no column `file` or no rows: name the columns in its first line, including file"
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
                f"line {number} of {path}: {wanted} matches {len(fits)} videos: give its path within {folder}"
            )
        if fits:
            labels[fits[0]] = _labels(row, f"line {number} of {path}")
        elif not os.path.exists(exact):
            missing.append(wanted)
    if missing and not labels:
        raise CorpusError(
            f"{path} lists none of the videos in {folder} (its first is {missing[0]}): give another table"
        )
    if missing:
        logger.warning("%s lists %d videos that do not exist, e.g. %s", path, len(missing), missing[0])
    return labels


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
            f"{where}: bpm or beats is not a number ({error}): write beats per minute, and seconds"
        ) from error
    return Labels(**found)
