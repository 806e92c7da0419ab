"""One video into one clip of a corpus, and many of them in worker processes.

A clip's json is written last, and all files are whole or not there, so a process may be killed at any moment.
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

from ...errors import AudioError, CorpusError, FeatureFileError, UserError, explain, is_about_the_disk
from ...utils.files import atomic_path, sha256_file
from ...utils.sound import read_sound_file
from ..manifest import CorpusPaths, DanceInfo
from .folder import Labels
from .locking import Run, at_work

if TYPE_CHECKING:
    from ..features.feature_file import Features, FeatureSpec

logger = logging.getLogger(__name__)

Extractor = Callable[[Path], "Features"]
#: Makes an extractor in a worker process, from the specification and a file of visual weights or None.
ExtractorFactory = Callable[["FeatureSpec", "Path | None"], Extractor]


def build_extractor(
    spec: FeatureSpec, visual_weights: Path | None, dancer: str | int = "prominent"
) -> Extractor:
    """The extractor of `extraction.py`: BlazePose, and the visual encoder that `spec` names."""
    from ..features.extraction import extract_features
    from ..features.pose import PoseExtractor
    from ..features.visual import build_visual_encoder

    pose, encoder = PoseExtractor(dancer=dancer), build_visual_encoder(spec.visual_encoder, visual_weights)
    return lambda video: extract_features(video, spec, pose, encoder)


@dataclass(frozen=True)
class ClipJob:
    """One video to be made into one clip, in the run that `run_in` opened.

    `sound` is the file with its music, beginning with the picture; None: the video's own sound.
    """

    video: Path
    name: str
    root: Path
    sample_rate: int
    spec: FeatureSpec
    labels: Labels
    run: Run
    sound: Path | None = None


def _video_path(job: ClipJob) -> str:
    """How the clip's json names its video: relative to the corpus if inside."""
    return str(job.video.relative_to(job.root) if job.video.is_relative_to(job.root) else job.video)


def name_clash(job: ClipJob) -> str | None:
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


def is_finished(job: ClipJob) -> bool:
    """Whether json, sound and features are there, whole, and of this very video and specification."""
    from ..features.feature_file import load_features

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


def prepare_clip(job: ClipJob, extract: Extractor) -> int:
    """Make one clip; gives the number of its pictures that were looked at.

    A clip of that name that was there before goes at once: its video has changed.
    """
    from ..video.probe import probe
    from ..video.sound import read_audio

    CorpusPaths(job.root).info(job.name).unlink(missing_ok=True)
    size = job.video.stat().st_size
    video = probe(job.video)
    # First what fails fast: many a video has no sound.
    if job.sound is None:
        wav = read_audio(job.video, job.sample_rate)
    else:
        wav = read_sound(job.sound, video.seconds, job.sample_rate)
    features = extract(job.video)
    info = DanceInfo(
        name=job.name,
        seconds=video.seconds,
        sample_rate=job.sample_rate,
        n_samples=len(wav),
        video=_video_path(job),
        video_sha256=features.header.video_sha256,
        video_size=size,
        width=video.width,
        height=video.height,
        fps=video.fps,
        detected_share=features.header.detected_share,
    )
    write_clip(job.root, with_labels(info, job.labels), wav, features)
    return len(features.keypoints)


def read_sound(path: Path, seconds: float, sample_rate: int) -> np.ndarray:
    """The first `seconds` of a sound file at `sample_rate` (Hz), mono: (round(seconds * sample_rate),) float32.

    Raises:
        AudioError: the file is missing or no sound, or ends more than half a second too early.
    """
    import soxr

    from ..video.sound import fit_length

    try:
        wav, rate = read_sound_file(path, seconds + 1)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path} cannot be read as sound ({error}): give a wav, flac or mp3 file") from error
    if len(wav) / rate < seconds - 0.5:
        raise AudioError(
            f"{path} lasts {len(wav) / rate:.1f} s, its video {seconds:.1f} s: give the music of the whole video"
        )
    wav = wav.mean(axis=1)
    return fit_length(
        wav if rate == sample_rate else soxr.resample(wav, rate, sample_rate), round(seconds * sample_rate)
    )


def write_clip(root: Path, info: DanceInfo, wav: np.ndarray, features: Features) -> None:
    """Put a clip into the corpus `root`; `finish_corpus` then gives it its split.

    Args:
        root: the corpus.
        info: of the clip; `info.n_samples` and `info.sample_rate` are those of `wav`.
        wav: (N,) float sound in [-1, 1].
        features: of its dance.
    """
    from ..features.feature_file import save_features

    paths = CorpusPaths(root)
    paths.info(info.name).unlink(missing_ok=True)
    with atomic_path(paths.wav(info.name)) as temporary:
        soundfile.write(temporary, to_16_bit(wav), info.sample_rate, subtype="PCM_16")
    save_features(paths.features(info.name), features)
    paths.fingerprint(info.name).unlink(missing_ok=True)
    info.save(paths.info(info.name))


def to_16_bit(wav: np.ndarray) -> np.ndarray:
    """(N,) float sound to int16, 1.0 being 32768 as readers have it (libsndfile would write 32767)."""
    return np.clip(np.round(np.asarray(wav, np.float64) * 32768), -32768, 32767).astype(np.int16)


def with_labels(info: DanceInfo, labels: Labels | None) -> DanceInfo:
    """The clip with these labels instead of its old ones; None: as it is, without what was not labelled."""
    if labels is None:
        return info
    song_source = "label" if labels.song else None
    split_source = "label" if labels.split else None
    return replace(info, **vars(labels), song_source=song_source, split_source=split_source)


_extract: Extractor | None = None  # of this worker process


def start_worker() -> None:
    """Initialise a worker process: one thread, deaf to Ctrl-C, gone with its parent."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent deals with it.
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A killed parent cannot stop its workers, and they would wait for work for ever: they watch it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        reason: why it failed, or None.
        fatal: whether all others would fail too.
        pictures: of the video that were looked at.
    """

    reason: str | None = None
    fatal: bool = False
    pictures: int = 0


def _run_job(job: ClipJob, make_extractor: Callable[[], Extractor]) -> Outcome:
    global _extract
    try:
        if _extract is None:
            _extract = make_extractor()
    except Exception as error:
        return Outcome(_reason(error), fatal=True)
    try:
        with at_work(job.run):
            return Outcome(pictures=prepare_clip(job, _extract))
    except Exception as error:
        return Outcome(_reason(error, job.video), fatal=is_about_the_disk(error))


def _reason(error: Exception, video: Path | None = None) -> str:
    if isinstance(error, UserError) or is_about_the_disk(error):
        return str(explain(error))
    logger.debug("unexpected error", exc_info=error)
    return f"{video or 'the extractor'} failed with {type(error).__name__}: {error}"


def prepare_clips(
    todo: Sequence[ClipJob], make_extractor: Callable[[], Extractor], jobs: int, progress: bool
) -> Iterator[tuple[ClipJob, Outcome]]:
    """Prepare clips; yields each with what came of it.

    Raises:
        CorpusError: the extractor cannot be made.
    """
    from ...utils.progress import progress_bar

    if not todo:
        return
    failures = 0
    run = _in_processes(todo, make_extractor, jobs) if jobs > 0 else _in_place(todo, make_extractor)
    with progress_bar(progress) as bar:
        task = bar.add_task("videos", total=len(todo))
        for job, outcome in run:
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
    """All jobs in a pool. A worker that dies takes the pool along: those that were at work then (the first
    unfinished ones) are tried once more, each alone, and the rest go into a new pool."""
    queue = list(todo)
    while queue:
        broken = set()
        for job, outcome in _pool(queue, make_extractor, min(jobs, len(queue))):
            if outcome is None:
                broken.add(job.name)
            else:
                yield job, outcome
        queue = [job for job in queue if job.name in broken]
        suspects, queue = queue[:jobs], queue[jobs:]
        for suspect in suspects:
            for job, outcome in _pool([suspect], make_extractor, 1):
                yield job, outcome or Outcome(f"{job.video} {_DIED}")


_DIED = "killed its worker process (out of memory, or a crash in a decoder): shorten or convert it"


def _pool(
    todo: Sequence[ClipJob], make_extractor: Callable[[], Extractor], jobs: int
) -> Iterator[tuple[ClipJob, Outcome | None]]:
    """Jobs with their outcomes as they come; None: the pool broke before."""
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
    except BaseException:  # Interrupted: whole files only are left, so nobody need wait for a long video.
        for worker in set(multiprocessing.active_children()) - others:
            worker.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
