"""From a folder of dance videos to a corpus that can be trained on: features, sound, splits, manifests.

The work on a video is done in worker processes and leaves whole files only; a clip is finished when its
json, written last, is there and fits the video and the settings. So a run that was killed at any moment is
continued by running it again, with the same result. Splits and manifests are made at the end, from what the
jsons say.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ..errors import CorpusError, FeatureFileError, UserError
from ..utils.files import atomic_path, sha256_file, write_json
from .corpora.folder import Labels, clip_name, find_videos, read_sidecar, read_table
from .fingerprint import fingerprint, matching_pairs
from .manifest import SCHEMA, SPLITS, CorpusPaths, DanceInfo, read_json, write_manifests
from .splits import DEFAULT_RATIOS, Ratios, SplitClip, assign_splits, check_splits, group_clips

if TYPE_CHECKING:
    from .features import Features, FeatureSpec

logger = logging.getLogger(__name__)

Extractor = Callable[[Path], "Features"]
#: Makes an extractor in a worker process, from the specification and a file of visual weights or None.
ExtractorFactory = Callable[["FeatureSpec", "Path | None"], Extractor]


def build_extractor(spec: FeatureSpec, visual_weights: Path | None) -> Extractor:
    """The extractor of `features.py`: BlazePose, and the visual encoder that `spec` names."""
    from .features import extract_features
    from .pose import PoseExtractor
    from .visual import build_visual_encoder

    pose, encoder = PoseExtractor(), build_visual_encoder(spec.visual_encoder, visual_weights)
    return lambda video: extract_features(video, spec, pose, encoder)


@dataclass
class PrepareReport:
    """What `prepare_folder` did.

    Attributes:
        done: names of the clips made now.
        skipped: names of the clips that were finished before.
        failed: (video, reason) of the videos that cannot be used.
        splits: number of clips of each split of the whole corpus.
        leak_check: "ok", "LEAKING: …" or "unknown: …", as `splits.check_splits` says.
        seconds: how long it took.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    leak_check: str = "unknown: no clip has a split"
    seconds: float = 0.0


@dataclass(frozen=True)
class _Job:
    """One video to be made into one clip."""

    video: Path
    name: str
    root: Path
    sample_rate: int
    spec: FeatureSpec
    labels: Labels


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
    visual_weights: str | Path | None = None,
    extractor: ExtractorFactory = build_extractor,
) -> PrepareReport:
    """Make the corpus `dst` of the videos in `src`, or add them to it.

    Every video becomes one clip. Clips of earlier calls stay; to take one out, delete its `clips/<id>.json`.

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
        visual_weights: file with the visual encoder's weights, where it needs one.
        extractor: makes the features otherwise; must be picklable for `jobs` > 0.

    Raises:
        CorpusError: no videos, a wrong table, a `dst` prepared with other settings or in use, or not one
            usable video.
    """
    from .features import FeatureSpec

    began = time.monotonic()
    src, paths = Path(src).absolute(), CorpusPaths(Path(dst).absolute())
    spec = FeatureSpec() if spec is None else spec
    weights = None if visual_weights is None else Path(visual_weights).absolute()
    videos = find_videos(src, paths.root) if files is None else sorted(src / file for file in files)
    labels, unreadable = _labels(src, videos, metadata, splits)

    report = PrepareReport(failed=unreadable)
    with _locked(paths.root):
        _check_settings(paths, spec, sample_rate, weights)
        _sweep(paths.root)
        jobs_to_do = []
        for video, found in labels.items():
            job = _Job(video, clip_name(video.relative_to(src)), paths.root, sample_rate, spec, found)
            reason = _foreign(job)
            if reason:
                report.failed.append((video, reason))
            elif _is_finished(job):
                report.skipped.append(job.name)
            else:
                jobs_to_do.append(job)
        for job, reason in _work(jobs_to_do, partial(extractor, spec, weights), jobs, progress):
            if reason is None:
                report.done.append(job.name)
            else:
                report.failed.append((job.video, reason))
        report.done.sort()
        report.failed.sort()
        known = {clip_name(video.relative_to(src)): found for video, found in labels.items()}
        finish_corpus(paths.root, ratios=split_ratios, seed=seed, labels=known, report=report)
    report.seconds = time.monotonic() - began
    if not (report.done or report.skipped):
        video, reason = report.failed[0]
        raise CorpusError(f"none of the {len(report.failed)} videos in {src} can be used; the first: {reason}")
    return report


def _labels(
    src: Path, videos: Sequence[Path], metadata: str | Path | None, splits: Mapping[str, str] | str | None
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
            labels[video] = Labels(split=split).over(rows.get(video, Labels())).over(read_sidecar(video))
        except CorpusError as error:
            unreadable.append((video, str(error)))
    return labels, unreadable


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep a second run out of the corpus. The system lets go of the lock when this process dies."""
    import fcntl

    root.mkdir(parents=True, exist_ok=True)
    with open(root / ".lock", "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CorpusError(f"{root} is being prepared by another process: wait for it or stop it") from None
        yield


def _check_settings(paths: CorpusPaths, spec: FeatureSpec, sample_rate: int, weights: Path | None) -> None:
    """Write `corpus.json`, or compare with the one that is there."""
    if weights is not None and not weights.is_file():
        raise CorpusError(f"{weights} does not exist: name the file with the visual encoder's weights")
    settings = {
        "schema": SCHEMA, "sample_rate": sample_rate, "channels": 1, "features": asdict(spec),
        "visual_weights_sha256": None if weights is None else sha256_file(weights),
    }
    if not paths.settings.exists():
        if any(paths.root.glob("clips/*.json")):
            raise CorpusError(f"{paths.root} holds clips but no corpus.json: empty it or name another folder")
        write_json(paths.settings, settings)
        return
    there = read_json(paths.settings)
    flat, flat_there = _flat(settings), _flat(there)
    for key in {**flat, **flat_there}:
        if flat.get(key) != flat_there.get(key):
            raise CorpusError(
                f"{paths.root} was prepared with {key} = {flat_there.get(key)!r}, and {flat.get(key)!r} is asked for: "
                "name another folder or delete this one"
            )


def _flat(settings: Mapping[str, object]) -> dict[str, object]:
    nested = settings.get("features")
    inner = nested if isinstance(nested, Mapping) else {}
    return {**{key: value for key, value in settings.items() if key != "features"}, **inner}


def _sweep(root: Path) -> None:
    """Take away what killed runs left half-written; nobody else writes here, as the lock is ours."""
    for folder in (root, root / "clips", root / "features", root / "fingerprints", *(root / "egs" / s for s in SPLITS)):
        for path in folder.glob(".*.tmp*"):
            path.unlink(missing_ok=True)


def _video_path(job: _Job) -> str:
    """How the clip's json names its video: relative to the corpus if inside."""
    return str(job.video.relative_to(job.root) if job.video.is_relative_to(job.root) else job.video)


def _foreign(job: _Job) -> str | None:
    """Why a clip of this name cannot be made: another video has it."""
    path = CorpusPaths(job.root).info(job.name)
    if path.exists():
        try:
            other = job.root / DanceInfo.load(path).video
        except CorpusError:
            return None
        if other.exists() and not other.samefile(job.video):
            return f"{job.video} and {other} would both be clip {job.name}: rename one of them"
    return None


def _is_finished(job: _Job) -> bool:
    """Whether json, sound and features are there, whole, and of this very video and specification."""
    from .features import load_features

    paths = CorpusPaths(job.root)
    try:
        info = DanceInfo.load(paths.info(job.name))
        if info.video_size != job.video.stat().st_size or info.video_sha256 != sha256_file(job.video):
            return False
        sound = soundfile.info(paths.wav(job.name))
        features = load_features(paths.features(job.name), job.spec)
    except (CorpusError, FeatureFileError, OSError, soundfile.LibsndfileError):
        return False
    whole = (sound.frames, sound.samplerate) == (info.n_samples, info.sample_rate)
    return whole and info.sample_rate == job.sample_rate and features.header.video_sha256 == info.video_sha256


def _prepare_clip(job: _Job, extract: Extractor) -> None:
    """Make one clip: sound and features first, the json that says so last."""
    from .features import save_features
    from .video import probe, read_audio

    paths = CorpusPaths(job.root)
    paths.info(job.name).unlink(missing_ok=True)
    size = job.video.stat().st_size
    video = probe(job.video)
    wav = read_audio(job.video, job.sample_rate)  # First what fails fast: many a video has no sound.
    features = extract(job.video)
    with atomic_path(paths.wav(job.name)) as temporary:
        soundfile.write(temporary, to_16_bit(wav), job.sample_rate, subtype="PCM_16")
    save_features(paths.features(job.name), features)
    paths.fingerprint(job.name).unlink(missing_ok=True)
    info = DanceInfo(
        name=job.name, seconds=video.seconds, sample_rate=job.sample_rate, n_samples=len(wav),
        video=_video_path(job), video_sha256=features.header.video_sha256, video_size=size, width=video.width, height=video.height,
        fps=video.fps, detected_share=features.header.detected_share,
    )
    _with_labels(info, job.labels).save(paths.info(job.name))


def to_16_bit(wav: np.ndarray) -> np.ndarray:
    """(N,) float sound to int16, 1.0 being 32768 as readers have it (libsndfile would write 32767)."""
    return np.clip(np.round(np.asarray(wav, np.float64) * 32768), -32768, 32767).astype(np.int16)


# Worker processes ---------------------------------------------------------------------------------------------------

_extract: Extractor | None = None  # of this worker process


def _start_worker() -> None:
    import torch

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:  # A killed parent cannot stop its workers: they watch it.
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _run_job(job: _Job, make_extractor: Callable[[], Extractor]) -> tuple[str | None, bool]:
    """(why it failed or None, whether all others would fail too)."""
    global _extract
    try:
        if _extract is None:
            _extract = make_extractor()
    except Exception as error:
        return _reason(error), True
    try:
        _prepare_clip(job, _extract)
    except Exception as error:
        return _reason(error, job.video), False
    return None, False


def _reason(error: Exception, video: Path | None = None) -> str:
    if isinstance(error, UserError):
        return str(error)
    logger.debug("unexpected error", exc_info=error)
    return f"{video or 'the extractor'} failed with {type(error).__name__}: {error}"


def _work(
    todo: Sequence[_Job], make_extractor: Callable[[], Extractor], jobs: int, progress: bool
) -> Iterator[tuple[_Job, str | None]]:
    """Prepare clips; yields each with the reason for its failure or None."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
               TextColumn("{task.fields[failures]}"))
    if not todo:
        return
    failures = 0
    run = _in_processes(todo, make_extractor, jobs) if jobs > 0 else _in_place(todo, make_extractor)
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("videos", total=len(todo), failures="")
        for job, reason, fatal in run:
            if fatal:
                raise CorpusError(reason)
            failures += reason is not None
            bar.update(task, advance=1, failures=f"{failures} failed" if failures else "")
            yield job, reason


_Outcomes = Iterator[tuple[_Job, "str | None", bool]]


def _in_place(todo: Sequence[_Job], make_extractor: Callable[[], Extractor]) -> _Outcomes:
    global _extract
    _extract = None
    try:
        for job in todo:
            yield job, *_run_job(job, make_extractor)
    finally:
        _extract = None


def _in_processes(todo: Sequence[_Job], make_extractor: Callable[[], Extractor], jobs: int) -> _Outcomes:
    """All jobs in a pool; if a worker dies (memory, a crash in a decoder), those it took along once more,
    one by one."""
    broken: list[_Job] = []
    for job, outcome in _pool(todo, make_extractor, min(jobs, len(todo))):
        if outcome is None:
            broken.append(job)
        else:
            yield job, *outcome
    for alone in broken:
        for job, outcome in _pool([alone], make_extractor, 1):
            died = f"{job.video} killed its worker process (out of memory, or a crash in a decoder): convert or shorten it"
            yield job, *(outcome or (died, False))


def _pool(
    todo: Sequence[_Job], make_extractor: Callable[[], Extractor], jobs: int
) -> Iterator[tuple[_Job, tuple[str | None, bool] | None]]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
    try:
        pending: dict[Future[tuple[str | None, bool]], _Job] = {
            pool.submit(_run_job, job, make_extractor): job for job in todo
        }
        while pending:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                job = pending.pop(future)
                try:
                    yield job, future.result()
                except BrokenProcessPool:
                    yield job, None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


# Splits and manifests -----------------------------------------------------------------------------------------------


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
    asked = {name: _with_labels(info, (labels or {}).get(name)) for name, info in infos.items()}
    clips = [
        SplitClip(name, info.seconds, info.song if info.song_source == "label" else None,
                  info.split if info.split_source == "label" else None)
        for name, info in asked.items()
    ]
    same_sound, compared = _compare_sounds(paths, clips)
    previous = {}
    if paths.splits.exists():
        before = read_json(paths.splits)
        if (before.get("seed"), before.get("ratios")) == (seed, list(ratios)):
            previous = {name: entry["split"] for name, entry in before["clips"].items() if entry["source"] == "chosen"}
    chosen = assign_splits(clips, group_clips(clips, same_sound, compared), ratios=ratios, seed=seed, previous=previous)
    final = {}
    for clip in clips:
        to = chosen[clip.name]
        source = "label" if to.split == clip.split else "chosen"
        final[clip.name] = replace(asked[clip.name], split=to.split, split_source=source, song=to.song,
                                   song_source=to.song_source)
    report.leak_check = check_splits(final.values())
    # One file first, whole: whoever is killed after this finds the same choice again.
    write_json(paths.splits, {
        "schema": SCHEMA, "seed": seed, "ratios": list(ratios), "leak_check": report.leak_check,
        "clips": {name: {"split": info.split, "source": info.split_source, "song": info.song,
                         "song_source": info.song_source} for name, info in final.items()},
    })
    for name, info in final.items():
        if info != infos[name]:
            info.save(paths.info(name))
    report.splits = {split: len(names) for split, names in write_manifests(paths.root).items()}
    return report


def _with_labels(info: DanceInfo, labels: Labels | None) -> DanceInfo:
    """The clip with these labels instead of its old ones; None: as it is, without what was not labelled."""
    if labels is None:
        return info
    song_source = "label" if labels.song else None
    split_source = "label" if labels.split else None
    return replace(info, **vars(labels), song_source=song_source, split_source=split_source)


def _compare_sounds(paths: CorpusPaths, clips: Sequence[SplitClip]) -> tuple[list[tuple[str, str]], list[str]]:
    """Pairs of clips that sound the same, and the clips compared; nothing where all have a label."""
    if all(clip.song for clip in clips):
        return [], []
    prints = {}
    for clip in clips:
        file = paths.fingerprint(clip.name)
        if not file.exists():
            wav, sample_rate = soundfile.read(paths.wav(clip.name), dtype="float32")
            with atomic_path(file) as temporary:
                np.save(temporary, fingerprint(wav, sample_rate))
        prints[clip.name] = np.load(file, allow_pickle=False)
    return matching_pairs(prints), [name for name, landmarks in prints.items() if len(landmarks)]
