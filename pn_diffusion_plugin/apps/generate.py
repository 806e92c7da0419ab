"""Music for many videos, with several takes of each: the names of the files, and a loop over the videos.

A take is the music of one seed for one video. The features of a video are extracted once for all its takes; a video
that fails does not stop the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ..data.corpora.folder import find_videos
from ..data.features.dancers import parse_dancer
from ..data.video.markers import SUFFIXES as MARKERS
from ..data.video.markers import marker_text
from ..data.video.probe import probe
from ..errors import UserError, is_about_the_disk
from ..models.band.ending import first_of_bar
from ..models.pipeline import Edit, FeatureModel, Music, Take, Video2Features, Video2Video
from ..utils.files import atomic_path, check_writable, fit_name

VIDEO, WAV, MIDI = (".mp4",), (".wav", ".flac"), (".mid", ".midi")


def plan_takes(
    videos: Sequence[Path],
    output: Path,
    wav: Path | None = None,
    seeds: Sequence[int] = (0,),
    *,
    midi: Path | None = None,
    stems: Path | None = None,
    markers: Path | None = None,
) -> list[Take]:
    """The takes of videos, and of the videos in folders, ordered by video.

    `output`, `wav`, `midi` and `markers` are files for one take of one video. For several videos they are folders, in
    which each video keeps its name (and its path below the folder given). Several takes of a video add `_seed3` to the
    name.
    `stems` is the folder of the stems of one take of one video; otherwise each take has a folder in it.

    Raises:
        UserError: a name that cannot be written, two videos of one name, or a take that would replace its video.
    """
    for target in (output, wav, midi, stems, markers):
        if target == Path("-"):
            raise UserError("'-' (standard output) is not supported: give the name of a file or folder")
    named: dict[Path, Path] = {}  # video → its place in an output folder
    for path in videos:
        if path.is_dir():
            exclude = (
                None if os.path.realpath(output) == os.path.realpath(path) else output
            )  # results of an earlier call
            named |= {found: found.relative_to(path) for found in find_videos(path, exclude)}
        else:
            named[path] = Path(path.name)
    many = len(named) > 1 or any(path.is_dir() for path in videos)
    mp4_of = _placer(output, VIDEO, many)
    wav_of = _nowhere if wav is None else _placer(wav, WAV, many)
    midi_of = _nowhere if midi is None else _placer(midi, MIDI, many)
    markers_of = _nowhere if markers is None else _placer(markers, MARKERS, many)
    takes: list[Take] = []
    for video, name in named.items():
        for seed in seeds:
            more = f"_seed{seed}" if len(seeds) > 1 else ""
            parts = stems
            if stems is not None and (many or len(seeds) > 1):
                parts = stems / name.parent / fit_name(name.stem, more)
            files = mp4_of(name, more), wav_of(name, more), parts, midi_of(name, more), markers_of(name, more)
            takes.append(Take(video, seed, *files))
    _check_files(takes)
    return takes


def _check_files(takes: Sequence[Take]) -> None:
    """Raise UserError unless every take has files of its own that can be written, none of which is a dance."""
    dances = {os.path.realpath(take.video) for take in takes}
    owner: dict[Path, Path] = {}
    for take in takes:
        if os.path.realpath(take.output) in dances:
            raise UserError(f"{take.output} is the dance itself: give another name or folder with -o")
        other = owner.setdefault(take.output, take.video)
        if other != take.video:
            raise UserError(
                f"{other} and {take.video} would both become {take.output}: rename one, or make their music "
                "in two calls with different folders"
            )
        for file in take.files:
            check_writable(file)


def _nowhere(name: Path, more: str) -> None:
    """The place of a file that is not written."""


def _placer(target: Path, suffixes: tuple[str, ...], many: bool) -> Callable[[Path, str], Path]:
    """From a video's place and a take's suffix to the file that is written for it."""
    if target.suffix.lower() in suffixes and not many and not target.is_dir():
        return lambda name, more: target.with_name(fit_name(target.stem, f"{more}{target.suffix}"))
    if target.is_dir() and target.suffix.lower() not in suffixes or not target.suffix:
        return lambda name, more: target / name.parent / fit_name(name.stem, f"{more}{suffixes[0]}")
    if many and target.suffix.lower() in suffixes:
        raise UserError(f"{target} is one file and there may be several videos: give the name of a folder")
    raise UserError(
        f"{target} cannot be written: give the name of a file that ends in {' or '.join(suffixes)}, or of a folder, "
        "which must be there if its name has a dot"
    )


def generate_takes(
    model: FeatureModel,
    takes: Sequence[Take],
    edit: Edit | None = None,
    visual_weights: Path | None = None,
    progress: Callable[[Path, str, float, float], None] | None = None,
    dancer: str | int = "prominent",
    name: str | None = None,
) -> Iterator[tuple[Path, dict[Take, float | None], Exception | None]]:
    """Generate takes; yields each video with the takes that were written and, where one failed, the error.

    Where a video has several takes, each comes with its `alignment`, so that the best can be chosen; a single one with
    None.

    Args:
        visual_weights: file with the visual encoder's weights, where it needs one.
        progress: called with the video, and as `models.pipeline.StageCallback`.
        dancer: whom to follow where there are several (see `data.features.dancers`).
        name: of the model, as a user gives it, for the metadata of the files.

    Raises:
        UserError: there is no such choice of a dancer.
    """
    dancer = parse_dancer(dancer)
    extract = Video2Features(model.feature_spec, visual_weights, device=model.device)
    pipeline = Video2Video(model, extract, None if name is None else public_name(name))
    by_video: dict[Path, list[Take]] = {}
    for take in takes:
        by_video.setdefault(take.video, []).append(take)
    for video, takes_of_video in by_video.items():
        report = None if progress is None else partial(progress, video)
        written: dict[Take, float | None] = {}
        many = len(takes_of_video) > 1
        failed: Exception | None = None
        try:
            for music in pipeline(takes_of_video, edit, dancer, report):
                if music.take.markers is not None:
                    write_markers(music, model.sample_rate, music.take.markers)
                written[music.take] = alignment(music, model.sample_rate) if many else None
        except Exception as error:  # whatever is wrong with one video, the others get their music
            if is_about_the_disk(error):
                raise
            failed = error
        yield video, written, failed


def public_name(name: str) -> str:
    """The name of a model without the folders in which it lies on this machine.

    >>> public_name("band"), public_name("OWNER/NAME@main")
    ('band', 'OWNER/NAME@main')
    """
    path = Path(name).expanduser().resolve()
    if path.is_file():  # a checkpoint: its folder is the model
        path = path.parent
    return path.name if path.exists() else name


def write_markers(music: Music, sample_rate: int, path: Path) -> None:
    """Write the beats of a take for a video editor; the suffix of `path` chooses the format (`data.video.markers`).

    `sample_rate` of `music.wave`, Hz.
    """
    video, score = music.take.output, music.score
    first = None if score is None else first_of_bar(score.notes, score.beats)
    text = marker_text(path.suffix.lower(), music_beats(music, sample_rate), video, probe(video), first or 0)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def music_beats(music: Music, sample_rate: int) -> list[float]:
    """Times (s) of the beats: those of the score where there is one, else those that are heard in the music.

    `sample_rate` of `music.wave`, Hz.
    """
    from ..metrics.beats import track_beats

    found = track_beats(music.wave, sample_rate) if music.score is None else music.score.beats
    return [float(beat) for beat in found]


def alignment(music: Music, sample_rate: int) -> float | None:
    """How well the beats of music and dance agree, 0 to 1: the mean of both directions of beat alignment.

    None where the dance has no beats. `sample_rate` of `music.wave`, Hz.
    """
    from ..metrics.beats import track_beats
    from ..metrics.dance import dance_beats, dance_music_alignment

    moves = dance_beats(music.features)
    if not moves.size:
        return None
    return sum(dance_music_alignment(moves, track_beats(music.wave, sample_rate))) / 2
