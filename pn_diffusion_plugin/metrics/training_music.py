"""Training music, for the leak check and the memorisation check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.manifest import load_manifest
from .beats import SAMPLE_RATE
from .folders import AUDIO_SUFFIXES, find_files, read_annotation, read_sound
from .memorisation import COPY, TrainingClips, centred_log_mel
from .scoring import EvaluationClip


@dataclass(frozen=True)
class TrainingMusic:
    """Training clips and their songs.

    Attributes:
        clips: index for nearest-clip search.
        songs: clip name → song; None when the song of some clip is unknown.
        complete: whether `clips` holds the whole training set.
    """

    clips: TrainingClips
    songs: dict[str, str] | None
    complete: bool


def read_training(source: str | Path | Sequence[str | Path], limit: int | None = None) -> TrainingMusic:
    """Training music from a manifest (its file, or the folder of its `data.jsonl`) or from a folder of sound files.

    Args:
        source: one or several of these. `song` is read from the json file beside a sound file.
        limit: maximum number of clips, evenly spread; None: all.
    Raises:
        UserError: no such folder or manifest, nothing in it, a file that cannot be read.
    """
    sources = [source] if isinstance(source, str | Path) else source
    files = {name: file for one in sources for name, file in _sound_files(Path(one)).items()}
    names = sorted(files)
    if limit is not None and limit < len(names):
        names = [names[i] for i in np.linspace(0, len(names) - 1, max(1, limit)).round().astype(int)]
    mels, songs = {}, {}
    for name in names:
        mels[name] = centred_log_mel(read_sound(files[name]), SAMPLE_RATE)
        song = read_annotation(files[name].with_suffix(".json"))[1]
        if song is not None:
            songs[name] = song
    every = len(names) == len(files)
    return TrainingMusic(TrainingClips(mels), songs if len(songs) == len(names) else None, every)


def _sound_files(source: Path) -> dict[str, Path]:
    """Clip name → sound file, of a manifest or folder."""
    if source.suffix == ".jsonl" or (source / "data.jsonl").is_file():
        return {path.stem: path for path in (Path(line["path"]) for line in load_manifest(source))}
    return find_files(source, AUDIO_SUFFIXES, "training music")


def leaks(clips: Sequence[EvaluationClip], training: TrainingMusic) -> str:
    """Whether reference music is in the training music: "ok", "LEAKING: …" or "unknown: …".

    Compares recordings (finds another crop or level of the same recording, not another part of the same song) and,
    where both sides have them, song names. Only song names can give "ok".
    """
    found = []
    for clip in clips:
        near = training.clips.nearest(clip.reference, clip.sample_rate)
        if near is not None and near.distance < COPY:
            found.append(f"{clip.name} is in {near.name}")
    if found:
        return f"LEAKING: {len(found)} of {len(clips)} references are in the training music ({_some(found)})"
    songs = [clip.song for clip in clips]
    if training.songs is not None:
        trained = set(training.songs.values())
        shared = [f"{clip.name}: {clip.song}" for clip in clips if clip.song in trained]
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
