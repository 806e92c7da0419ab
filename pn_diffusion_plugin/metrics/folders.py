"""Read clips and systems from folders of sound files, paired by name and never by order.

A name is a file's path below its folder, without the suffix: `a/b.wav` is `a/b`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.corpora.folder import VIDEO_SUFFIXES
from ..errors import AudioError, UserError
from ..utils.sound import SILENCE, read_sound_file
from .beats import SAMPLE_RATE, Times, as_mono, as_times, resample
from .dance import dance_beats, kinematic_beats
from .scoring import EvaluationClip, fit_length

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def find_files(folder: str | Path, suffixes: Collection[str], kind: str) -> dict[str, Path]:
    """Files of a folder and its subfolders by name; hidden files are passed over.

    Raises:
        UserError: no such folder, nothing in it, or two files of one name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: give the folder that holds the {kind}")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.suffix.lower() not in suffixes or any(part.startswith(".") for part in inside.parts):
            continue
        name = inside.with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{path} and {found[name].name} have the same name: keep one of them")
        found[name] = path
    if not found:
        raise UserError(
            f"{folder} holds no {kind} ({', '.join(sorted(suffixes))}): give the folder that does"
        )
    return found


def read_sound(path: str | Path) -> NDArray[np.float32]:
    """Mono sound (N,) at 22 050 Hz; AudioError for a file that cannot be read."""
    import soundfile

    try:
        wav, rate = read_sound_file(path)
        return resample(as_mono(wav.T), rate, SAMPLE_RATE)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise AudioError(f"{path} cannot be read as sound ({error}): write it again as a wav file") from error


def read_annotation(path: str | Path) -> tuple[Times | None, str | None]:
    """(beats in seconds or None, song or None) of the JSON file of a reference; (None, None) without one."""
    path = Path(path)
    if not path.is_file():
        return None, None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file ({error}): repair it or remove it") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: repair it or remove it")
    beats, song = content.get("beats"), content.get("song")
    if beats is None:
        return None, None if song is None else str(song)
    try:
        return as_times(beats), None if song is None else str(song)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"'beats' of {path} are not a list of seconds ({error}): repair or remove them"
        ) from error


def read_clips(
    reference: str | Path,
    systems: Mapping[str, str | Path],
    *,
    videos: str | Path | None = None,
    features: str | Path | None = None,
    partial: bool = False,
    left_out: dict[str, str] | None = None,
) -> list[EvaluationClip]:
    """The reference clips for which there is music, with annotated beats, song and kinematic beats where
    known.

    Arguments and errors as in `evaluate_folders`. Clips with a file that cannot be used are left out, and their names
    and the reasons added to `left_out`; None: the first is raised.
    """
    references = find_files(reference, AUDIO_SUFFIXES, "reference music")
    found = {
        system: find_files(folder, AUDIO_SUFFIXES, "generated music") for system, folder in systems.items()
    }
    for files in found.values():
        for name, path in files.items():
            if name not in references:
                raise UserError(f"{path} has no reference {name} in {reference}: add it or remove the file")
    names = list(references)
    for system, files in found.items():
        missing = [name for name in names if name not in files]
        if missing and not partial:
            raise UserError(
                f"{systems[system]} has no music for {references[missing[0]]}"
                + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
                + ": generate it, or evaluate the clips both folders have (--partial)"
            )
        names = [name for name in names if name in files]
    if not names:
        raise UserError(f"no clip of {reference} has music in every folder: the file names must be the same")
    beats_of, partners = _dances(names, videos, features)
    clips: list[EvaluationClip] = []
    for name in names:
        with _leave_out(name, left_out):
            beats, song = read_annotation(references[name].with_suffix(".json"))
            wav = read_sound(references[name])
            if not np.abs(wav).max(initial=0.0) > SILENCE:
                raise AudioError(f"{references[name]} holds no sound: give a reference that does")
            dance = beats_of(partners[name]) if name in partners else None
            clips.append(EvaluationClip(name, wav, SAMPLE_RATE, beats, dance, song))
    return clips


@contextlib.contextmanager
def _leave_out(name: str, left_out: dict[str, str] | None) -> Iterator[None]:
    """Add clip `name` and the reason to `left_out` where the block cannot read its files; None: raise."""
    try:
        yield
    except UserError as error:
        if left_out is None:
            raise
        left_out[name] = str(error)


def read_systems(
    clips: Sequence[EvaluationClip],
    systems: Mapping[str, str | Path],
    left_out: dict[str, str] | None = None,
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """System name → clip name → sound (N,), cut to its reference; `left_out` as in `read_clips`.

    Raises:
        UserError: a sound is unreadable or shorter than its reference, and `left_out` is None.
    """
    sounds: dict[str, dict[str, NDArray[np.float32]]] = {}
    for system, folder in systems.items():
        files = find_files(folder, AUDIO_SUFFIXES, "generated music")
        sounds[system] = {}
        for clip in clips:
            with _leave_out(clip.name, left_out):
                path = files[clip.name]
                sounds[system][clip.name] = fit_length(read_sound(path), clip, str(path))
    return sounds


def _dances(
    names: Sequence[str], videos: str | Path | None, features: str | Path | None
) -> tuple[Callable[[Path], Times], dict[str, Path]]:
    """How kinematic beats are read, and the file of each clip: its feature file, else its video, else none."""
    if features is not None:
        return features_beats, _partners(names, features, (".safetensors",), "feature file")
    if videos is not None:
        return video_beats, _partners(names, videos, VIDEO_SUFFIXES, "video")
    return features_beats, {}


def _partners(
    names: Sequence[str], folder: str | Path, suffixes: Collection[str], kind: str
) -> dict[str, Path]:
    files = find_files(folder, suffixes, f"{kind}s")
    for name in names:
        if name not in files:
            raise UserError(f"{folder} has no {kind} called {name}: add it, or leave the clip out")
    return {name: files[name] for name in names}


def features_beats(path: str | Path) -> Times:
    """Kinematic beats (s) of a feature file."""
    from ..data.features.feature_file import load_features

    return dance_beats(load_features(path))


def video_beats(path: str | Path, fps: float = 25.0) -> Times:
    """Kinematic beats (s) of the dancer in a video, poses taken at `fps` as a feature file has them."""
    from ..data.features.pose import POSE_SIDE, PoseExtractor
    from ..data.video.probe import probe
    from ..data.video.read import frame_times, read_frames

    info = probe(path)
    frames, times = read_frames(path, fps, size=POSE_SIDE), frame_times(path, fps)
    keypoints, _ = PoseExtractor().extract(frames, fps, name=str(path), times=times)
    return kinematic_beats(keypoints, fps, aspect=info.width / info.height)
