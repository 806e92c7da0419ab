"""From a folder of dance videos to a corpus for training: features, sound, splits, manifests.

Videos are processed by worker processes. A clip is complete when its JSON file, written last, exists and matches the
video and the settings; a run that was killed is continued by running it again, with the same result. Splits and
manifests are made at the end from the JSON files of all clips.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ...errors import CorpusError
from ...utils.files import atomic_path, sha256_file, write_json
from ..features.dancers import parse_dancer
from ..manifest import SCHEMA, SPLITS, CorpusPaths, DanceInfo, read_json, write_manifests
from .clips import (
    ClipJob,
    ExtractorFactory,
    build_extractor,
    is_complete,
    name_conflict,
    prepare_clips,
    with_labels,
)
from .fingerprint import fingerprint, matching_pairs
from .folder import Labels, clip_name, find_videos, read_sidecar, read_table
from .locking import Shard, lock_corpus, lock_settings, remove_locks
from .origin import check_corpus
from .splits import DEFAULT_RATIOS, Ratios, SplitClip, assign_splits, group_clips

if TYPE_CHECKING:
    from ..features.feature_file import FeatureSpec


@dataclass
class PrepareReport:
    """Result of `prepare_folder`.

    Attributes:
        done: names of the clips made by this call.
        skipped: names of the clips that were already complete.
        failed: (video, reason) of the videos that could not be used.
        warnings: one sentence per clip that is usable only in part.
        splits: number of clips in each split of the whole corpus.
        leak_check: "ok", "LEAKING: …" or "unknown: …", see `origin.check_corpus`.
        seconds: duration of the call.
        frames: video frames processed (at `FeatureSpec.pose_fps`).
        extraction_seconds: duration of the extraction, over all processes in parallel.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    leak_check: str = "unknown: no clip has a split"
    seconds: float = 0.0
    frames: int = 0
    extraction_seconds: float = 0.0

    @property
    def frames_per_second(self) -> float:
        """Speed of the extraction; 0 if there was none."""
        return self.frames / self.extraction_seconds if self.frames else 0.0


def prepare_folder(
    src: str | Path,
    dst: str | Path,
    *,
    spec: FeatureSpec | None = None,
    metadata: str | Path | None = None,
    jobs: int = 2,
    split_ratios: Ratios = DEFAULT_RATIOS,
    seed: int = 0,
    progress: bool = True,
    sample_rate: int = 22050,
    splits: Mapping[str, str] | str | None = None,
    files: Sequence[str | Path] | None = None,
    labels: Mapping[Path, Labels] | None = None,
    sounds: Mapping[Path, Path] | None = None,
    visual_weights: str | Path | None = None,
    dancer: str | int = "prominent",
    extractor: ExtractorFactory | None = None,
    shard: Shard | None = None,
) -> PrepareReport:
    """Make the corpus `dst` from the videos in `src`, or add them to it.

    Every video becomes one clip. Clips of earlier calls are kept; to remove one, delete its `clips/<id>.json`.

    On several machines that share the folders, call it once per shard, which only makes clips; then once with the
    same arguments and without `shard`, which makes missing clips and chooses the splits.

    Args:
        src: folder with videos, searched recursively.
        dst: folder of the corpus; created if missing.
        spec: which features to extract; None: the default specification.
        metadata: table of labels (see `corpora.folder`); default: `metadata.csv` in `src` if it exists.
        jobs: worker processes; 0 works in this process.
        split_ratios: shares of train, valid, test for clips without a labelled split.
        seed: of the splits.
        progress: show a progress bar on stderr.
        sample_rate: of the clips' sound (Hz).
        splits: the split of all videos, or {path within `src`: split}; overrides all labels.
        files: only these videos, as absolute paths or relative to `src`.
        labels: default labels of videos; tables and sidecar files override them.
        sounds: video → sound file that starts with the video, to replace its own sound track.
        visual_weights: file with the weights of the visual encoder, if it needs one.
        dancer: which dancer to follow if there are several (see `features.dancers`).
        extractor: replaces the default extractor and `dancer`; must be picklable for `jobs` > 0.
        shard: only this part of the videos, and no splits.

    Raises:
        UserError: `dancer` is invalid.
        CorpusError: no videos, an invalid table, a `dst` that is in use or was prepared with other settings, or no
            usable video (a shard may have none).
    """
    from ..features.feature_file import FeatureSpec

    began = time.monotonic()
    src, paths = Path(src).absolute(), CorpusPaths(Path(dst).absolute())
    spec = FeatureSpec() if spec is None else spec
    weights = None if visual_weights is None else Path(visual_weights).absolute()
    dancer = parse_dancer(dancer)
    extractor = partial(build_extractor, dancer=dancer) if extractor is None else extractor
    videos = find_videos(src, paths.root) if files is None else _named_videos(src, files)
    labelled, unreadable = _all_labels(src, videos, metadata, splits, labels or {})
    if shard is not None:
        labelled = {v: found for v, found in labelled.items() if shard.holds(v.relative_to(src))}
        unreadable = [(v, reason) for v, reason in unreadable if shard.holds(v.relative_to(src))]

    report = PrepareReport(failed=unreadable)
    with lock_corpus(paths.root, shard) as run:
        try:
            with lock_settings(run) as shared:
                write_or_check_settings(paths, spec, sample_rate, weights, shared, dancer)
            if shard is None:
                remove_temp_files(paths.root)
            todo = []
            for video, found in labelled.items():
                name, sound = clip_name(video.relative_to(src)), (sounds or {}).get(video)
                job = ClipJob(video, name, paths.root, sample_rate, spec, found, run, sound)
                conflict = name_conflict(job)
                if conflict:
                    report.failed.append((video, conflict))
                elif is_complete(job):
                    report.skipped.append(name)
                else:
                    todo.append(job)
            start = time.monotonic()
            for job, outcome in prepare_clips(todo, partial(extractor, spec, weights), jobs, progress):
                if outcome.reason is None:
                    report.done.append(job.name)
                    report.frames += outcome.frames
                else:
                    report.failed.append((job.video, outcome.reason))
            report.extraction_seconds = time.monotonic() - start
            report.done.sort()
            report.failed.sort()
            known = {clip_name(video.relative_to(src)): found for video, found in labelled.items()}
            if shard is None and paths.clip_names():
                finish_corpus(paths.root, ratios=split_ratios, seed=seed, labels=known, report=report)
        finally:
            if shard is None and not paths.clip_names():
                remove_empty_corpus(paths)
    report.seconds = time.monotonic() - began
    if shard is None and not (report.done or report.skipped):
        reason = report.failed[0][1]
        raise CorpusError(
            f"none of the {len(report.failed)} videos in {src} can be used; the first: {reason}"
        )
    return report


def _named_videos(src: Path, files: Sequence[str | Path]) -> list[Path]:
    videos = sorted({src / file for file in files})
    for video in videos:
        if not video.is_relative_to(src):
            raise CorpusError(f"{video} is not in {src}: give the folder that holds all the videos")
    if not videos:
        raise CorpusError(f"`files` lists no video of {src}: list at least one, or omit it to use all")
    return videos


def _all_labels(
    src: Path,
    videos: Sequence[Path],
    metadata: str | Path | None,
    splits: Mapping[str, str] | str | None,
    defaults: Mapping[Path, Labels],
) -> tuple[dict[Path, Labels], list[tuple[Path, str]]]:
    """Labels of every video from all sources, and the videos whose sidecar file cannot be read."""
    table = Path(metadata) if metadata is not None else src / "metadata.csv"
    rows = read_table(table, src, videos) if metadata is not None or table.is_file() else {}
    labels, unreadable = {}, []
    for video in videos:
        split = splits if isinstance(splits, str) else (splits or {}).get(video.relative_to(src).as_posix())
        if split not in (None, *SPLITS):
            raise CorpusError(f"{video} has split {split!r}: give one of {', '.join(SPLITS)}")
        try:
            own = Labels(split=split).over(rows.get(video, Labels())).over(read_sidecar(video))
            labels[video] = own.over(defaults.get(video, Labels()))
        except CorpusError as error:
            unreadable.append((video, str(error)))
    return labels, unreadable


def write_or_check_settings(
    paths: CorpusPaths,
    spec: FeatureSpec,
    sample_rate: int,
    weights: Path | None = None,
    shared: bool = False,
    dancer: str | int = "prominent",
) -> None:
    """Write `corpus.json`, or compare with the existing one. Settings of a corpus without clips are overwritten.

    Args:
        shared: other runs use the existing settings now, so that they must not be overwritten.
        dancer: which dancer is followed; not stored if it is the default, as in corpora of earlier versions.

    Raises:
        CorpusError: the corpus was prepared with other settings, or `weights` is missing.
    """
    if weights is not None and not weights.is_file():
        raise CorpusError(f"{weights} does not exist: give the file with the visual encoder's weights")
    settings = {
        "schema": SCHEMA,
        "sample_rate": sample_rate,
        "channels": 1,
        "features": spec.to_dict(),
        "visual_weights_sha256": None if weights is None else sha256_file(weights),
    }
    if dancer != "prominent":
        settings["dancer"] = dancer
    if not (shared and paths.settings.exists()) and not paths.clip_names():
        write_json(paths.settings, settings)
        return
    requested, existing = _flat(settings), _flat(read_json(paths.settings))
    for key in {**requested, **existing}:
        if requested.get(key) != existing.get(key):
            raise CorpusError(
                f"{paths.root} was prepared with {key} = {existing.get(key)!r}, not {requested.get(key)!r}: "
                "use the same settings, choose another folder, or delete this one"
            )


def _flat(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings without nesting, with defaults for keys that are stored only if they differ from it."""
    features = settings.get("features")
    return {
        "dancer": "prominent",
        "streams": [],
        **{key: value for key, value in settings.items() if key != "features"},
        **(features if isinstance(features, Mapping) else {}),
    }


def remove_empty_corpus(paths: CorpusPaths) -> None:
    """Remove the settings, locks and folders of a corpus without clips."""
    paths.settings.unlink(missing_ok=True)
    remove_locks(paths.root)
    for folder in (paths.root / "clips", paths.root / "features", paths.root):
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove_temp_files(root: Path) -> None:
    """Remove temporary files left by killed runs. Requires the lock of the whole corpus."""
    for folder in ("", "clips", "features", "fingerprints", *(f"egs/{split}" for split in SPLITS)):
        for path in (root / folder).glob(".*.tmp*"):
            path.unlink(missing_ok=True)


def finish_corpus(
    dst: str | Path,
    *,
    ratios: Ratios = DEFAULT_RATIOS,
    seed: int = 0,
    labels: Mapping[str, Labels] | None = None,
    report: PrepareReport | None = None,
) -> PrepareReport:
    """Choose the splits of all complete clips and write `splits.json`, the JSON files of the clips and the manifests.

    Silent clips get no split.

    Args:
        dst: the corpus.
        ratios, seed: see `splits.assign_splits`.
        labels: clip → current labels.
        report: report to update; None: a new one.
    """
    from ..video.probe import LOWEST_FPS

    paths = CorpusPaths(Path(dst).absolute())
    report = PrepareReport() if report is None else report
    infos = {name: DanceInfo.load(paths.info(name)) for name in paths.clip_names()}
    current = {name: with_labels(info, (labels or {}).get(name)) for name, info in infos.items()}
    for name, info in infos.items():
        if info.silent:
            report.warnings.append(
                f"{info.video} has a silent sound track: clip {name} is left out of all splits"
            )
        if info.fps < LOWEST_FPS:
            report.warnings.append(
                f"{info.video} has {info.fps:.2g} frames per second: the timing of moves cannot be read from fewer "
                f"than {LOWEST_FPS:g}; give a video with a higher frame rate"
            )
    clips = [
        SplitClip(
            name,
            info.seconds,
            info.song if info.song_source == "label" else None,
            info.split if info.split_source == "label" else None,
        )
        for name, info in current.items()
        if not info.silent
    ]
    same_sound, compared = _compare_sounds(paths, clips)
    previous = _previous_splits(paths.splits, seed, ratios) if paths.splits.exists() else {}
    assigned = assign_splits(
        clips, group_clips(clips, same_sound, compared), ratios=ratios, seed=seed, previous=previous
    )
    final = {
        name: replace(info, split=None, split_source=None) for name, info in current.items() if info.silent
    }
    for clip in clips:
        to = assigned[clip.name]
        source = "label" if to.split == clip.split else "chosen"
        final[clip.name] = replace(
            current[clip.name], split=to.split, split_source=source, song=to.song, song_source=to.song_source
        )
    report.leak_check = check_corpus(paths.root, list(final.values()))
    # Written first: a run that is killed after this makes the same choice again.
    write_json(
        paths.splits,
        {
            "schema": SCHEMA,
            "seed": seed,
            "ratios": list(ratios),
            "leak_check": report.leak_check,
            "clips": {
                name: {
                    "split": info.split,
                    "source": info.split_source,
                    "song": info.song,
                    "song_source": info.song_source,
                }
                for name, info in sorted(final.items())
            },
        },
    )
    for name, info in final.items():
        if info != infos[name]:
            info.save(paths.info(name))
    report.splits = {split: len(names) for split, names in write_manifests(paths.root).items()}
    return report


def _previous_splits(file: Path, seed: int, ratios: Ratios) -> dict[str, str]:
    """Clip → split chosen by an earlier call with the same seed and ratios.

    Raises:
        CorpusError: the file is damaged.
    """
    before = read_json(file)
    if (before.get("seed"), before.get("ratios")) != (seed, list(ratios)):
        return {}
    try:
        return {
            name: str(entry["split"])
            for name, entry in before["clips"].items()
            if entry["source"] == "chosen"
        }
    except (LookupError, TypeError, AttributeError) as error:
        raise CorpusError(f"{file} is damaged: delete it and prepare the corpus again") from error


def _compare_sounds(
    paths: CorpusPaths, clips: Sequence[SplitClip]
) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of clips with the same sound, and the clips compared; nothing if all have labels."""
    if all(clip.song for clip in clips):
        return [], []
    prints = {clip.name: _fingerprint(paths, clip.name) for clip in clips}
    return matching_pairs(prints), [name for name, landmarks in prints.items() if len(landmarks)]


def _fingerprint(paths: CorpusPaths, name: str) -> np.ndarray:
    """(n, 2) fingerprint of a clip's sound, from its file or computed if the file is missing or damaged."""
    file = paths.fingerprint(name)
    if file.exists():
        with contextlib.suppress(Exception):  # NumPy raises many types for damaged files
            stored = np.load(file, allow_pickle=False)
            if stored.dtype == np.int32 and stored.ndim == 2 and stored.shape[1] == 2:
                return stored
    wav, sample_rate = soundfile.read(os.fsencode(paths.wav(name)), dtype="float32")
    computed = fingerprint(wav, sample_rate)
    with atomic_path(file) as temporary:
        np.save(temporary, computed)
    return computed
