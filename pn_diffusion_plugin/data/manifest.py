"""A prepared corpus on disk: paths, descriptions of clips, and audiocraft's manifests.

    DST/corpus.json                        settings used for all clips
    DST/splits.json                        the split of each clip, and whether it was labelled or chosen
    DST/clips/<id>.wav, DST/clips/<id>.json    sound (mono, 16 bit) and `DanceInfo`
    DST/scores/<id>.json                   notes of the music, where it was made by code (`score.files`)
    DST/features/<id>.safetensors          features of the dance
    DST/fingerprints/<id>.npy              fingerprint of the sound
    DST/egs/{train,valid,test}/data.jsonl  audiocraft's manifests (`AudioMeta`, one a line)

Paths inside the corpus are stored relative to DST, so that the folder can be moved; `load_manifest` and
`DanceInfo.load` return absolute paths. This module does not import audiocraft, which takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import CorpusError
from ..utils.files import atomic_path, write_json

SPLITS = ("train", "valid", "test")
_KINDS: dict[str, Any] = {
    "str": str, "int": int, "float": (int, float), "str | None": (str, type(None)),
    "float | None": (int, float, type(None)), "list[float] | None": (list, type(None)), "bool": bool,
}  # fmt: skip
SCHEMA = 1
_MAX = 10**9  # seconds, Hz: more than any clip has


@dataclass(frozen=True)
class CorpusPaths:
    """Paths of the files of the corpus in `root`."""

    root: Path

    @property
    def settings(self) -> Path:
        """`corpus.json`: the settings of the corpus."""
        return self.root / "corpus.json"

    @property
    def splits(self) -> Path:
        """`splits.json`: the split of each clip."""
        return self.root / "splits.json"

    def wav(self, name: str) -> Path:
        """Sound of clip `name`."""
        return self.root / "clips" / f"{name}.wav"

    def info(self, name: str) -> Path:
        """`DanceInfo` of clip `name`."""
        return self.root / "clips" / f"{name}.json"

    def scores(self, name: str) -> Path:
        """Scores of clip `name`, for music that was made by code."""
        return self.root / "scores" / f"{name}.json"

    def features(self, name: str) -> Path:
        """Features of clip `name`."""
        return self.root / "features" / f"{name}.safetensors"

    def fingerprint(self, name: str) -> Path:
        """Fingerprint of clip `name`."""
        return self.root / "fingerprints" / f"{name}.npy"

    def manifest(self, split: str) -> Path:
        """Folder of a split's manifest, which `DanceDataset.from_meta` takes."""
        return self.root / "egs" / split

    def clip_names(self) -> list[str]:
        """Sorted names of the complete clips (those with a JSON file, which is written last)."""
        return sorted(
            path.stem for path in (self.root / "clips").glob("*.json") if not path.name.startswith(".")
        )


@dataclass(frozen=True)
class DanceInfo:
    """Description of a clip.

    Attributes:
        name: id of the clip.
        seconds: length of video and sound (s).
        sample_rate, n_samples: of the wav file.
        video: path of the video file; relative to the corpus if it is inside.
        video_sha256, video_size: of the bytes of the video file.
        width, height, fps: of the video.
        detected_share: share of the keypoint frames in which the dancer was detected.
        split: "train", "valid" or "test"; None until it is chosen.
        split_source: "label" or "chosen".
        song: name of the song. Without a label it is the name of the first clip with the same sound.
        song_source: "label", "fingerprint" (the sounds were compared) or "file" (unknown).
        choreography, dancer, genre, bpm: labels or None.
        beats: times of the music's beats (s) or None.
        silent: the sound track holds no music; the clip is in no split.
    """

    name: str
    seconds: float
    sample_rate: int
    n_samples: int
    video: str
    video_sha256: str
    video_size: int
    width: int
    height: int
    fps: float
    detected_share: float
    split: str | None = None
    split_source: str | None = None
    song: str | None = None
    song_source: str | None = None
    choreography: str | None = None
    dancer: str | None = None
    genre: str | None = None
    bpm: float | None = None
    beats: list[float] | None = None
    silent: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The values written by `save`."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DanceInfo:
        """Inverse of `to_dict`; unknown keys are ignored."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    @classmethod
    def load(cls, path: str | Path, root: Path | None = None) -> DanceInfo:
        """Read the JSON file of a clip; with the corpus `root`, the path of the video becomes absolute.

        Raises:
            CorpusError: the file is missing, damaged or of another version.
        """
        try:
            info = cls.from_dict(read_json(path))
            info._check()
        except (TypeError, ValueError) as error:
            if isinstance(error, CorpusError):
                raise
            raise CorpusError(
                f"{path} is not a description of a clip ({error}): delete it and prepare again"
            ) from error
        return info if root is None else replace(info, video=str(root / info.video))

    def _check(self) -> None:
        """Raise TypeError or ValueError if a value has the wrong type or is out of range."""
        for field in fields(self):
            value, kinds = getattr(self, field.name), _KINDS[str(field.type)]
            if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
                raise TypeError(f"{field.name} is {value!r}")
        if not all(isinstance(beat, (int, float)) for beat in self.beats or []):
            raise TypeError("beats are not numbers")
        if not (0 < self.seconds < _MAX and 0 < self.sample_rate < _MAX and 0 <= self.n_samples < _MAX**2):
            raise ValueError("its length or sample rate is out of range")

    def save(self, path: str | Path) -> None:
        """Write the JSON file of the clip atomically."""
        write_json(path, self.to_dict())


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON file of a corpus.

    Raises:
        CorpusError: the file is missing, damaged or of another version.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(values, ensure_ascii=False).encode()  # escaped lone surrogates cannot be written again
    except FileNotFoundError:
        raise CorpusError(f"{path} is missing: prepare the corpus again") from None
    except (ValueError, RecursionError) as error:
        raise CorpusError(
            f"{path} is not a JSON file ({error}): delete it and prepare the corpus again"
        ) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise CorpusError(f"{path} does not have schema {SCHEMA}: delete it and prepare the corpus again")
    return values


def write_manifests(root: str | Path, splits: Iterable[str] = SPLITS) -> dict[str, list[str]]:
    """Write `egs/<split>/data.jsonl` for all complete clips.

    The lines are audiocraft's `AudioMeta`, sorted by name, with paths relative to `root`.

    Returns:
        Names of the clips of each of `splits`.
    """
    paths = CorpusPaths(Path(root))
    names: dict[str, list[str]] = {split: [] for split in splits}
    lines: dict[str, list[str]] = {split: [] for split in splits}
    for name in paths.clip_names():
        info = DanceInfo.load(paths.info(name))
        if info.split in names:
            meta = {
                "path": f"clips/{name}.wav",
                "duration": info.n_samples / info.sample_rate,
                "sample_rate": info.sample_rate,
                "amplitude": None,
                "weight": None,
                "info_path": None,
            }
            names[info.split].append(name)
            lines[info.split].append(json.dumps(meta) + "\n")
    for split in names:
        with atomic_path(paths.manifest(split) / "data.jsonl") as temporary:
            temporary.write_text("".join(lines[split]), encoding="utf-8")
    return names


def manifest_file(path: str | Path) -> Path:
    """Path of a manifest: `path` itself, or the `data.jsonl` in that folder.

    Raises:
        CorpusError: the manifest is missing or lists no clip.
    """
    path = Path(path)
    file = path / "data.jsonl" if path.is_dir() or not path.suffix else path
    if not file.is_file():
        raise CorpusError(
            f"{file} is missing: make the corpus with `pn-diffusion prepare`, or give another one"
        )
    if not file.stat().st_size:
        raise CorpusError(
            f"{file} lists no clips: give the corpus more songs, or a `split` column in its metadata"
        )
    return file


def corpus_root(path: str | Path) -> Path:
    """The corpus that contains a manifest, clip or folder: the nearest parent folder with a `corpus.json`.

    Raises:
        CorpusError: there is none.
    """
    path = Path(path).absolute()
    for folder in (path, *path.parents):
        if (folder / "corpus.json").is_file():
            return folder
    raise CorpusError(
        f"{path} is not in a prepared corpus (no parent folder has a corpus.json): make one with `pn-diffusion prepare`"
    )


def load_manifest(path: str | Path) -> list[dict[str, Any]]:
    """Read the lines of a manifest (see `manifest_file`), with absolute paths.

    Raises:
        CorpusError: the manifest is missing, empty or damaged.
    """
    file = manifest_file(path)
    lines = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            meta = json.loads(line)
            audio = Path(meta["path"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorpusError(
                f"line {number} of {file} is damaged ({error}): prepare the corpus again"
            ) from error
        lines.append({**meta, "path": str(audio if audio.is_absolute() else corpus_root(file) / audio)})
    return lines
