"""One video into one clip of a corpus, and many of them in worker processes.

All files are written atomically, and a clip's JSON file is written last, so a process may be killed at any time.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ...errors import AudioError, CorpusError, FeatureFileError, failure_text, is_about_the_disk
from ...utils.files import sha256_file
from ...utils.sound import SILENCE, read_sound_file, to_mono, write_sound_file
from ..manifest import CorpusPaths, DanceInfo
from .folder import Labels, utf8_path
from .locking import Run, worker_lock

if TYPE_CHECKING:
    from ..features.feature_file import Features, FeatureSpec

logger = logging.getLogger(__name__)


Extractor = Callable[[Path], "Features"]
#: Creates an extractor in a worker process from the specification and a file of visual weights or None.
ExtractorFactory = Callable[["FeatureSpec", "Path | None"], Extractor]


def build_extractor(
    spec: FeatureSpec, visual_weights: Path | None, dancer: str | int = "prominent"
) -> Extractor:
    """The default extractor: BlazePose and the visual encoder named by `spec`."""
    from ..features.extraction import extract_features
    from ..features.pose import PoseExtractor
    from ..features.visual import build_visual_encoder

    pose, encoder = PoseExtractor(dancer=dancer), build_visual_encoder(spec.visual_encoder, visual_weights)
    return lambda video: extract_features(video, spec, pose, encoder)


@dataclass(frozen=True)
class ClipJob:
    """One video to be made into one clip, in a run opened by `lock_corpus`.

    `sound` is a sound file that starts with the video; None: the video's own sound track.
    """

    video: Path
    name: str
    root: Path
    sample_rate: int
    spec: FeatureSpec
    labels: Labels
    run: Run
    sound: Path | None = None


def name_conflict(job: ClipJob) -> str | None:
    """The error message if the clip's name is taken by another video, or None."""
    path = CorpusPaths(job.root).info(job.name)
    try:
        other = job.root / DanceInfo.load(path).video
        taken = other.exists() and not other.samefile(job.video)
    except (CorpusError, OSError):
        return None
    return f"{job.video} and {other} would both be clip {job.name}: rename one of them" if taken else None


def is_complete(job: ClipJob) -> bool:
    """Whether JSON file, sound and features exist, undamaged, and match the video and the specification."""
    from ..features.feature_file import load_features

    paths = CorpusPaths(job.root)
    try:
        info = DanceInfo.load(paths.info(job.name))
        if info.video_size != job.video.stat().st_size or info.video_sha256 != sha256_file(job.video):
            return False
        sound = soundfile.info(os.fsencode(paths.wav(job.name)))
        features = load_features(paths.features(job.name), job.spec)
    except (CorpusError, FeatureFileError, OSError, soundfile.LibsndfileError):
        return False
    whole = (sound.frames, sound.samplerate) == (info.n_samples, info.sample_rate)
    return whole and info.sample_rate == job.sample_rate and features.header.video_sha256 == info.video_sha256


def prepare_clip(job: ClipJob, extract: Extractor) -> int:
    """Make one clip, replacing an existing one of that name; returns the number of frames processed.

    Raises:
        UserError: the video or its sound cannot be used.
    """
    from ..video.probe import probe
    from ..video.sound import read_audio

    CorpusPaths(job.root).info(job.name).unlink(missing_ok=True)
    size = job.video.stat().st_size
    video = probe(job.video)
    # First what fails fast: many videos have no sound.
    if job.sound is None:
        wav = read_audio(job.video, job.sample_rate)
    else:
        wav = read_sound(job.sound, video.seconds, job.sample_rate)
    if not np.isfinite(wav).all():
        raise AudioError(
            f"the sound of {job.sound or job.video} contains NaN or infinity: encode it again, or replace it"
        )
    features = extract(job.video)
    inside = job.video.is_relative_to(job.root)
    info = DanceInfo(
        name=job.name,
        seconds=video.seconds,
        sample_rate=job.sample_rate,
        n_samples=len(wav),
        video=utf8_path(job.video.relative_to(job.root) if inside else job.video),
        video_sha256=features.header.video_sha256,
        video_size=size,
        width=video.width,
        height=video.height,
        fps=video.fps,
        detected_share=features.header.detected_share,
        silent=bool(np.abs(wav).max(initial=0.0) < SILENCE),
    )
    write_clip(job.root, with_labels(info, job.labels), wav, features)
    return len(features.keypoints)


def read_sound(path: Path, seconds: float, sample_rate: int) -> np.ndarray:
    """The first `seconds` of a sound file at `sample_rate` (Hz), mono: (round(seconds * sample_rate),) float32.

    Raises:
        AudioError: the file is missing, not a sound file, or more than half a second too short.
    """
    import soxr

    from ..video.sound import fit_length

    try:
        wav, rate = read_sound_file(path, seconds + 1)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path} cannot be read as sound ({error}): give a wav, flac or mp3 file") from error
    if len(wav) / rate < seconds - 0.5:
        raise AudioError(
            f"{path} is {len(wav) / rate:.1f} s long, its video {seconds:.1f} s: give music of the whole video"
        )
    wav = to_mono(wav.T)
    return fit_length(
        wav if rate == sample_rate else soxr.resample(wav, rate, sample_rate), round(seconds * sample_rate)
    )


def write_clip(root: Path, info: DanceInfo, wav: np.ndarray, features: Features) -> None:
    """Write a clip into the corpus `root`; `finish_corpus` then assigns its split.

    Args:
        root: the corpus.
        info: of the clip; `info.n_samples` and `info.sample_rate` are those of `wav`.
        wav: (N,) float sound in [-1, 1].
        features: of its dance.
    """
    from ..features.feature_file import save_features

    paths = CorpusPaths(root)
    paths.info(info.name).unlink(missing_ok=True)
    write_sound_file(paths.wav(info.name), to_16_bit(wav), info.sample_rate, subtype="PCM_16")
    save_features(paths.features(info.name), features)
    paths.fingerprint(info.name).unlink(missing_ok=True)
    info.save(paths.info(info.name))


def to_16_bit(wav: np.ndarray) -> np.ndarray:
    """(N,) float → int16 with 1.0 = 32768, as readers assume (libsndfile would write 32767)."""
    return np.clip(np.round(np.asarray(wav, np.float64) * 32768), -32768, 32767).astype(np.int16)


def with_labels(info: DanceInfo, labels: Labels | None) -> DanceInfo:
    """Replace the labels of a clip; None keeps them."""
    if labels is None:
        return info
    song_source = "label" if labels.song else None
    split_source = "label" if labels.split else None
    return replace(info, **vars(labels), song_source=song_source, split_source=split_source)


_extract: Extractor | None = None  # of this worker process


def start_worker() -> None:
    """Initialise a worker process: one thread, Ctrl-C ignored, exit with the parent."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """A killed parent cannot stop its workers, which would wait forever: they watch it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class Outcome:
    """Result of a job.

    Attributes:
        reason: why it failed, or None.
        fatal: whether all other jobs would fail too.
        frames: number of video frames processed.
    """

    reason: str | None = None
    fatal: bool = False
    frames: int = 0


def _run_job(job: ClipJob, make_extractor: Callable[[], Extractor]) -> Outcome:
    global _extract
    try:
        if _extract is None:
            _extract = make_extractor()
    except Exception as error:
        return Outcome(failure_text("the extractor", error), fatal=True)
    try:
        with worker_lock(job.run):
            return Outcome(frames=prepare_clip(job, _extract))
    except Exception as error:
        logger.debug("%s failed", job.video, exc_info=error)
        return Outcome(failure_text(job.video, error), fatal=is_about_the_disk(error))


def prepare_clips(
    todo: Sequence[ClipJob], make_extractor: Callable[[], Extractor], jobs: int, progress: bool
) -> Iterator[tuple[ClipJob, Outcome]]:
    """Prepare clips and yield each with its outcome.

    Raises:
        CorpusError: the extractor cannot be created, or the disk is full.
    """
    from ...utils.progress import progress_bar

    if not todo:
        return
    failures = 0
    outcomes = _in_processes(todo, make_extractor, jobs) if jobs > 0 else _in_place(todo, make_extractor)
    with progress_bar(progress) as bar:
        task = bar.add_task("videos", total=len(todo))
        for job, outcome in outcomes:
            if outcome.fatal:
                raise CorpusError(str(outcome.reason))
            failures += outcome.reason is not None
            bar.update(task, advance=1, description=f"videos ({failures} failed)" if failures else "videos")
            yield job, outcome


_Outcomes = Iterator[tuple[ClipJob, Outcome]]


def _in_place(todo: Sequence[ClipJob], make_extractor: Callable[[], Extractor]) -> _Outcomes:
    global _extract
    _extract = None
    try:
        for job in todo:
            yield job, _run_job(job, make_extractor)
    finally:
        _extract = None


def _in_processes(todo: Sequence[ClipJob], make_extractor: Callable[[], Extractor], jobs: int) -> _Outcomes:
    """Run all jobs in a pool. A worker that crashes breaks the pool: the jobs that were running then (the first
    unfinished ones) are tried again, each alone, and the rest go into a new pool."""
    queue = list(todo)
    while queue:
        unfinished = set()
        for job, outcome in _pool(queue, make_extractor, min(jobs, len(queue))):
            if outcome is None:
                unfinished.add(job.name)
            else:
                yield job, outcome
        queue = [job for job in queue if job.name in unfinished]
        suspects, queue = queue[:jobs], queue[jobs:]
        for suspect in suspects:
            for job, outcome in _pool([suspect], make_extractor, 1):
                yield job, outcome or Outcome(f"{job.video} {_CRASHED}")


_CRASHED = "crashed its worker process (out of memory, or a bug in a decoder): shorten or convert it"


def _pool(
    todo: Sequence[ClipJob], make_extractor: Callable[[], Extractor], jobs: int
) -> Iterator[tuple[ClipJob, Outcome | None]]:
    """Jobs with their outcomes as they complete; None: the pool broke before."""
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=start_worker)
    try:
        jobs_of = {pool.submit(_run_job, job, make_extractor): job for job in todo}
        for future in as_completed(jobs_of):
            try:
                yield jobs_of[future], future.result()
            except BrokenProcessPool:
                yield jobs_of[future], None
    except BaseException:  # interrupted: files are atomic, so do not wait for long videos
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
