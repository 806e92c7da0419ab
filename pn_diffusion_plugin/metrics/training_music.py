"""The music a system was trained on, as the leak check and the memorisation check need it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.manifest import load_manifest
from .beats import SAMPLE_RATE
from .folders import AUDIO_SUFFIXES, find_files, read_annotation, read_sound
from .memorisation import COPY, TrainingClips, mel_picture
from .scoring import EvaluationClip


@dataclass(frozen=True)
class TrainingMusic:
    """Training clips, and the songs that are known of them.

    Attributes:
        clips: the pictures to search in.
        songs: clip name → song, of all clips or None when some have no known song.
        complete: whether `clips` are all there are.
    """

    clips: TrainingClips
    songs: dict[str, str] | None
    complete: bool


def read_training(source: str | Path | Sequence[str | Path], limit: int | None = None) -> TrainingMusic:
    """Training music from a manifest (its file, or the folder of its `data.jsonl`) or from a folder of sound files.

    Args:
        source: where it is, or several such places. `song` is read from a json file beside a sound.
        limit: at most so many clips, spread over all; None: all.
    Raises:
        UserError: no such folder or manifest, nothing in it, a file that cannot be read.
    """
    sources = [source] if isinstance(source, str | Path) else source
    files = {name: file for one in sources for name, file in _sound_files(Path(one)).items()}
    names = sorted(files)
    if limit is not None and limit < len(names):
        names = [names[i] for i in np.linspace(0, len(names) - 1, max(1, limit)).round().astype(int)]
    pictures, songs = {}, {}
    for name in names:
        pictures[name] = mel_picture(read_sound(files[name]), SAMPLE_RATE)
        song = read_annotation(files[name].with_suffix(".json"))[1]
        if song is not None:
            songs[name] = song
    every = len(names) == len(files)
    return TrainingMusic(TrainingClips(pictures), songs if len(songs) == len(names) else None, every)


def _sound_files(source: Path) -> dict[str, Path]:
    """Clip name → sound file, of a manifest or folder."""
    if source.suffix == ".jsonl" or (source / "data.jsonl").is_file():
        return {path.stem: path for path in (Path(line["path"]) for line in load_manifest(source))}
    return find_files(source, AUDIO_SUFFIXES, "training music")


def leaks(clips: Sequence[EvaluationClip], training: TrainingMusic) -> str:
    """Whether reference music stands in the training music: "ok", "LEAKING: …" or "unknown: …".

    Recordings are compared (another cut or level of the same one is found, another part of the same song is not),
    and songs where both sides name them. Only names can say "ok".
    """
    found = []
    for clip in clips:
        near = training.clips.nearest(clip.reference, clip.sample_rate)
        if near is not None and near.distance < COPY:
            found.append(f"{clip.name} is in {near.name}")
    if found:
        return (
            f"LEAKING: {len(found)} of {len(clips)} references stand in the training music ({_some(found)})"
        )
    songs = [clip.song for clip in clips]
    if training.songs is not None:
        learnt = set(training.songs.values())
        shared = [f"{clip.name}: {clip.song}" for clip in clips if clip.song in learnt]
        if shared:
            return (
                f"LEAKING: {len(shared)} of {len(clips)} references are songs of the training music "
                f"({_some(shared)})"
            )
        if None not in songs and training.complete:
            return "ok"
    return "unknown: no reference recording is in the training music, but not every clip's song is known"


def _some(items: Sequence[str]) -> str:
    return ", ".join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
