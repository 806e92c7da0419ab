"""From a folder of dance videos to a corpus that can be trained on: features, sound, splits, manifests.

The work on a video is done in worker processes and leaves whole files only; a clip is finished when its
json, written last, is there and fits the video and the settings. So a run that was killed at any moment is
continued by running it again, with the same result. Splits and manifests are made at the end, from what the
jsons say.
"""

from __future__ import annotations

import contextlib
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
    is_finished,
    name_clash,
    prepare_clips,
    with_labels,
)
from .fingerprint import fingerprint, matching_pairs
from .folder import Labels, clip_name, find_videos, read_sidecar, read_table
from .locking import Shard, remove_locks, run_in, settings_of
from .origin import check_corpus
from .splits import DEFAULT_RATIOS, Ratios, SplitClip, assign_splits, group_clips

if TYPE_CHECKING:
    from ..features.feature_file import FeatureSpec


@dataclass
class PrepareReport:
    """What `prepare_folder` did.

    Attributes:
        done: names of the clips made now.
        skipped: names of the clips that were finished before.
        failed: (video, reason) of the videos that cannot be used.
        splits: number of clips of each split of the whole corpus.
        leak_check: "ok", "LEAKING: …" or "unknown: …", as `origin.check_corpus` says.
        seconds: how long it took.
        pictures: pictures looked at for the clips made now (those of `FeatureSpec.pose_fps`).
        extraction_seconds: how long that took, by all processes together side by side.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    leak_check: str = "unknown: no clip has a split"
    seconds: float = 0.0
    pictures: int = 0
    extraction_seconds: float = 0.0

    @property
    def pictures_per_second(self) -> float:
        """Speed of the extraction; 0 where there was none."""
        return self.pictures / self.extraction_seconds if self.pictures else 0.0


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
    """Make the corpus `dst` of the videos in `src`, or add them to it.

    Every video becomes one clip. Clips of earlier calls stay; to take one out, delete its `clips/<id>.json`.

    On several machines that see the same folders: a call for each shard makes clips only; a last call without
    `shard`, and otherwise the same, makes what they may have left and chooses the splits.

    Args:
        src: folder with videos, at any depth.
        dst: folder of the corpus; made if missing.
        spec: what features; the default specification if None.
        metadata: table of labels (see `corpora.folder`); `metadata.csv` in `src` is found by itself.
        jobs: worker processes; 0 works in this process.
        split_ratios: shares of train, valid, test for the clips that nobody assigns.
        seed: of the splits.
        progress: show a progress bar on stderr.
        sample_rate: of the clips' sound (Hz).
        splits: the split of every video, or {path within `src`: split}; goes before all labels.
        files: only these videos, paths within `src` or absolute.
        labels: what the caller knows of videos; tables and what stands beside a video go before it.
        sounds: video → file with its music, beginning with the picture, instead of the video's own sound.
        visual_weights: file with the visual encoder's weights, where it needs one.
        dancer: who is followed where there are several people (see `dancers`).
        extractor: makes the features otherwise (whoever is followed); must be picklable for `jobs` > 0.
        shard: only this part of the videos, and no splits.

    Raises:
        UserError: there is no such choice of a dancer.
        CorpusError: no videos, a wrong table, a `dst` prepared with other settings or in use, or not one
            usable video (of the whole, that is: a shard may have none).
    """
    from ..features.feature_file import FeatureSpec

    began = time.monotonic()
    src, paths = Path(src).absolute(), CorpusPaths(Path(dst).absolute())
    spec = FeatureSpec() if spec is None else spec
    weights = None if visual_weights is None else Path(visual_weights).absolute()
    dancer = parse_dancer(dancer)
    extractor = partial(build_extractor, dancer=dancer) if extractor is None else extractor
    videos = find_videos(src, paths.root) if files is None else _named(src, files)
    everything, unreadable = _all_labels(src, videos, metadata, splits, labels or {})
    if shard is not None:
        everything = {v: found for v, found in everything.items() if shard.holds(v.relative_to(src))}
        unreadable = [(v, reason) for v, reason in unreadable if shard.holds(v.relative_to(src))]

    report = PrepareReport(failed=unreadable)
    with run_in(paths.root, shard) as run:
        try:
            with settings_of(run) as shared:
                settle(paths, spec, sample_rate, weights, shared, dancer)
            if shard is None:
                _sweep(paths.root)
            else:
                _sweep(paths.root, {clip_name(video.relative_to(src)) for video in everything})
            jobs_to_do = []
            for video, found in everything.items():
                job = ClipJob(
                    video,
                    clip_name(video.relative_to(src)),
                    paths.root,
                    sample_rate,
                    spec,
                    found,
                    run,
                    (sounds or {}).get(video),
                )
                reason = name_clash(job)
                if reason:
                    report.failed.append((video, reason))
                elif is_finished(job):
                    report.skipped.append(job.name)
                else:
                    jobs_to_do.append(job)
            start = time.monotonic()
            for job, outcome in prepare_clips(jobs_to_do, partial(extractor, spec, weights), jobs, progress):
                if outcome.reason is None:
                    report.done.append(job.name)
                    report.pictures += outcome.pictures
                else:
                    report.failed.append((job.video, outcome.reason))
            report.extraction_seconds = time.monotonic() - start
            report.done.sort()
            report.failed.sort()
            known = {clip_name(video.relative_to(src)): found for video, found in everything.items()}
            if shard is None and paths.clip_names():
                finish_corpus(paths.root, ratios=split_ratios, seed=seed, labels=known, report=report)
        finally:
            if shard is None and not paths.clip_names():
                _withdraw(paths)
    report.seconds = time.monotonic() - began
    if shard is None and not (report.done or report.skipped):
        reason = report.failed[0][1]
        raise CorpusError(
            f"none of the {len(report.failed)} videos in {src} can be used; the first: {reason}"
        )
    return report


def _named(src: Path, files: Sequence[str | Path]) -> list[Path]:
    """The videos that the caller names."""
    videos = sorted({src / file for file in files})
    for video in videos:
        if not video.is_relative_to(src):
            raise CorpusError(f"{video} is not in {src}: name the folder that holds all the videos")
    if not videos:
        raise CorpusError(f"no video of {src} is named: give at least one, or leave `files` out for all")
    return videos


def _all_labels(
    src: Path,
    videos: Sequence[Path],
    metadata: str | Path | None,
    splits: Mapping[str, str] | str | None,
    known: Mapping[Path, Labels],
) -> tuple[dict[Path, Labels], list[tuple[Path, str]]]:
    """Labels of every video, from all sources; and the videos whose own json cannot be read."""
    table = Path(metadata) if metadata is not None else src / "metadata.csv"
    rows = read_table(table, src, videos) if metadata is not None or table.is_file() else {}
    labels, unreadable = {}, []
    for video in videos:
        split = splits if isinstance(splits, str) else (splits or {}).get(video.relative_to(src).as_posix())
        if split not in (None, *SPLITS):
            raise CorpusError(f"{video} is to go to split {split!r}: give one of {', '.join(SPLITS)}")
        try:
            told = Labels(split=split).over(rows.get(video, Labels())).over(read_sidecar(video))
            labels[video] = told.over(known.get(video, Labels()))
        except CorpusError as error:
            unreadable.append((video, str(error)))
    return labels, unreadable


def settle(
    paths: CorpusPaths,
    spec: FeatureSpec,
    sample_rate: int,
    weights: Path | None = None,
    shared: bool = False,
    dancer: str | int = "prominent",
) -> None:
    """Write `corpus.json`, or compare with the one that is there.

    Args:
        shared: other runs are at work by the one that is there.
        dancer: who is followed; corpora of earlier versions do not tell, and nor do those of the default.

    Raises:
        CorpusError: the corpus was prepared with other settings, or `weights` is missing.
    """
    if weights is not None and not weights.is_file():
        raise CorpusError(f"{weights} does not exist: name the file with the visual encoder's weights")
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
        # What a run that came to nothing asked for binds nobody.
        write_json(paths.settings, settings)
        return
    there = read_json(paths.settings)
    flat, flat_there = (
        {"dancer": "prominent", "streams": [], **_flat(values)} for values in (settings, there)
    )
    for key in {**flat, **flat_there}:
        if flat.get(key) != flat_there.get(key):
            raise CorpusError(
                f"{paths.root} was prepared with {key} = {flat_there.get(key)!r}, "
                f"and {flat.get(key)!r} is asked for: name another folder or delete this one"
            )


def _flat(settings: Mapping[str, object]) -> dict[str, object]:
    nested = settings.get("features")
    inner = nested if isinstance(nested, Mapping) else {}
    return {**{key: value for key, value in settings.items() if key != "features"}, **inner}


def _withdraw(paths: CorpusPaths) -> None:
    """Leave nothing of a corpus that got no clip."""
    paths.settings.unlink(missing_ok=True)
    remove_locks(paths.root)
    for folder in (paths.root / "clips", paths.root / "features", paths.root):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sweep(root: Path, clips: set[str] | None = None) -> None:
    """Take away what killed runs left half-written: all, or that of these clips; nobody else writes here, as the
    lock is ours."""
    places = [root, root / "fingerprints", *(root / "egs" / s for s in SPLITS)] if clips is None else []
    for folder in (root / "clips", root / "features", *places):
        for path in folder.glob(".*.tmp*"):
            # .NAME.PROCESS.tmp.SUFFIX, as `atomic_path` has it
            if clips is None or path.name[1:].partition(".tmp")[0].rpartition(".")[0] in clips:
                path.unlink(missing_ok=True)


def finish_corpus(
    dst: str | Path,
    *,
    ratios: Ratios = DEFAULT_RATIOS,
    seed: int = 0,
    labels: Mapping[str, Labels] | None = None,
    report: PrepareReport | None = None,
) -> PrepareReport:
    """Choose the splits of all finished clips and write them: `splits.json`, the clips' jsons, the manifests.

    Args:
        dst: the corpus.
        ratios, seed: see `splits.assign_splits`.
        labels: clip → labels, for clips whose labels may have changed.
        report: where to write what came out; a new one if None.
    """
    paths = CorpusPaths(Path(dst).absolute())
    report = PrepareReport() if report is None else report
    infos = {name: DanceInfo.load(paths.info(name)) for name in paths.clip_names()}
    asked = {name: with_labels(info, (labels or {}).get(name)) for name, info in infos.items()}
    clips = [
        SplitClip(
            name,
            info.seconds,
            info.song if info.song_source == "label" else None,
            info.split if info.split_source == "label" else None,
        )
        for name, info in asked.items()
    ]
    same_sound, compared = _compare_sounds(paths, clips)
    previous = _chosen_before(paths.splits, seed, ratios) if paths.splits.exists() else {}
    chosen = assign_splits(
        clips, group_clips(clips, same_sound, compared), ratios=ratios, seed=seed, previous=previous
    )
    final = {}
    for clip in clips:
        to = chosen[clip.name]
        source = "label" if to.split == clip.split else "chosen"
        final[clip.name] = replace(
            asked[clip.name], split=to.split, split_source=source, song=to.song, song_source=to.song_source
        )
    report.leak_check = check_corpus(paths.root, list(final.values()))
    # One file first, whole: whoever is killed after this finds the same choice again.
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
                for name, info in final.items()
            },
        },
    )
    for name, info in final.items():
        if info != infos[name]:
            info.save(paths.info(name))
    report.splits = {split: len(names) for split, names in write_manifests(paths.root).items()}
    return report


def _chosen_before(file: Path, seed: int, ratios: Ratios) -> dict[str, str]:
    """Clip → split where the same seed and ratios have chosen before.

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
    """Pairs of clips that sound the same, and the clips compared; nothing where all have a label."""
    if all(clip.song for clip in clips):
        return [], []
    prints = {}
    for clip in clips:
        prints[clip.name] = _fingerprint(paths, clip.name)
    return matching_pairs(prints), [name for name, landmarks in prints.items() if len(landmarks)]


def _fingerprint(paths: CorpusPaths, name: str) -> np.ndarray:
    """(n, 2) fingerprint of a clip's sound: the stored one, or a new one where there is none that can be used."""
    file = paths.fingerprint(name)
    if file.exists():
        with contextlib.suppress(Exception):  # NumPy raises a dozen kinds over damaged files
            stored = np.load(file, allow_pickle=False)
            if stored.dtype == np.int32 and stored.ndim == 2 and stored.shape[1] == 2:
                return stored
    wav, sample_rate = soundfile.read(paths.wav(name), dtype="float32")
    made = fingerprint(wav, sample_rate)
    with atomic_path(file) as temporary:
        np.save(temporary, made)
    return made
