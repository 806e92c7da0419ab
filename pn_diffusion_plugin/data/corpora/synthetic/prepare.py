"""Preparing a synthetic corpus: its videos are prepared by `prepare_folder`, like a user's.

Extracting features takes seconds per clip. Two kinds of clips are made without videos: train and valid of `mini`, whose
features ship with the package, and with `keypoints=True` the training clips of `generated`, at half the cost. Test
clips are always rendered, and their joints are BlazePose's: no result depends on true joints.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ....errors import CorpusError
from ....utils.progress import progress_bar
from ...features.feature_file import FeatureSpec
from ...features.visual import VisualEncoder, build_visual_encoder
from ...manifest import SPLITS, CorpusPaths
from ...score.files import scores_source, write_scores
from ..clips import start_worker
from ..locking import Run, Shard, lock_corpus, lock_settings, worker_lock
from ..prepare import PrepareReport, finish_corpus, prepare_folder, write_or_check_settings
from .files import drawn_features, has_features, has_video, write_clip_features, write_clip_video
from .generated import GeneratedPlan, GeneratedSpec
from .mini import MiniSpec
from .mini.features import PACKED_SPLITS, packed_path, unpack_features
from .plan import SAMPLE_RATE, ClipPlan, SyntheticSpec


def prepare_mini(
    dst: str | Path,
    spec: MiniSpec | None = None,
    *,
    rebuild: bool = False,
    splits: Sequence[str] = SPLITS,
    jobs: int = 2,
    progress: bool = True,
) -> PrepareReport:
    """Make the embedded corpus in `dst`, or continue an interrupted call.

    Args:
        dst: folder of the corpus; the videos go to `dst/videos`.
        spec: size of the corpus; the bundled features fit the default only, others are always extracted.
        rebuild: render and extract train and valid too, instead of using the bundled features.
        splits: splits to make.
        jobs: worker processes; 0: this process.
        progress: show a progress bar on stderr.

    Returns:
        The report of `prepare_folder`, including clips with bundled features.
    """
    spec = spec or MiniSpec()
    fits = not rebuild and replace(spec, test=MiniSpec.test) == MiniSpec() and packed_path().is_file()
    return _prepare(Path(dst), spec, PACKED_SPLITS if fits else (), _unpack, splits, jobs, None, progress)


def prepare_generated(
    dst: str | Path,
    spec: GeneratedSpec | None = None,
    *,
    keypoints: bool = False,
    splits: Sequence[str] = SPLITS,
    jobs: int = 2,
    shard: Shard | None = None,
    progress: bool = True,
) -> PrepareReport:
    """Make the generated corpus in `dst`, or continue an interrupted call.

    On several machines with a shared folder: a call for each shard makes clips only; a last call without `shard`, and
    otherwise the same, makes missing clips and writes the manifests.

    Args:
        dst: folder of the corpus; the videos go to `dst/videos`.
        spec: size of the corpus.
        keypoints: make training clips without videos.
        splits: splits to make.
        jobs: worker processes; 0: this process.
        shard: only this part of the clips.
        progress: show a progress bar on stderr.

    Returns:
        The report of `prepare_folder`, including clips without videos.

    Raises:
        CorpusError: as `prepare_folder`; or the frame rate does not fit the visual encoder's.
    """
    spec, features = spec or GeneratedSpec(), FeatureSpec()
    if keypoints and (spec.fps != features.pose_fps or spec.fps % features.visual_fps):
        raise CorpusError(
            f"{spec.fps} frames per second do not fit the features' {features.pose_fps:g}: "
            "use that rate, or render videos"
        )
    return _prepare(Path(dst), spec, ("train",) if keypoints else (), _extract, splits, jobs, shard, progress)


Work = Callable[[Run, Any], None]  # makes the clip of a plan


def _prepare(
    dst: Path,
    spec: SyntheticSpec,
    without_video: Sequence[str],
    work: Work,
    splits: Sequence[str],
    jobs: int,
    shard: Shard | None,
    progress: bool,
) -> PrepareReport:
    """Make the clips of the splits `without_video` with `work`, all others from videos."""
    began, root = time.monotonic(), dst.absolute()
    plans = [spec.plan(split, index) for split in splits for index in range(spec.clips(split))]
    if shard is not None:
        plans = [plan for plan in plans if shard.holds(Path(f"{plan.id}.mp4"))]
    rendered = [plan for plan in plans if plan.split not in without_video]
    made, kept = _make(
        root, [plan for plan in plans if plan.split in without_video], work, jobs, shard, progress
    )
    report = PrepareReport()
    _write_scores(root, plans, jobs, progress)
    if rendered:
        videos = write_videos(rendered, root / "videos", jobs, progress)
        report = prepare_folder(
            root / "videos", root, files=videos, jobs=jobs, shard=shard, progress=progress
        )
    elif shard is None:
        report = finish_corpus(root)
    report.done, report.skipped = sorted([*report.done, *made]), sorted([*report.skipped, *kept])
    report.seconds = time.monotonic() - began
    return report


def write_videos(plans: Sequence[ClipPlan], folder: Path, jobs: int = 2, progress: bool = True) -> list[Path]:
    """Write the videos of some clips, and return all of them; existing videos are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [plan for plan in plans if not has_video(plan, folder)]
    _in_processes(partial(write_clip_video, folder=folder), missing, jobs, "dances", progress)
    return [folder / f"{plan.id}.mp4" for plan in plans]


def _make(
    root: Path, plans: Sequence[ClipPlan], work: Work, jobs: int, shard: Shard | None, progress: bool
) -> tuple[list[str], list[str]]:
    """Make clips without videos; names of the new clips, and of those that were there."""
    if not plans:
        return [], []
    with lock_corpus(root, shard) as run:
        with lock_settings(run) as shared:
            write_or_check_settings(CorpusPaths(root), FeatureSpec(), SAMPLE_RATE, None, shared)
        missing = [plan for plan in plans if not _is_made(plan, root)]
        _in_processes(partial(work, run), missing, jobs, "training clips", progress)
    made = {plan.id for plan in missing}
    return sorted(made), sorted({plan.id for plan in plans} - made)


def _is_made(plan: ClipPlan, root: Path) -> bool:
    if isinstance(plan, GeneratedPlan):
        return has_features(plan, root, FeatureSpec())
    return CorpusPaths(root).info(plan.id).is_file()


def _write_scores(root: Path, plans: Sequence[ClipPlan], jobs: int, progress: bool) -> None:
    """Write the scores of clips that have none, e.g. of an earlier version, or other ones."""
    missing = [plan for plan in plans if scores_source(CorpusPaths(root).scores(plan.id)) != _source(plan)]
    _in_processes(partial(_write_score, root), missing, jobs, "scores", progress)


def _write_score(root: Path, plan: ClipPlan) -> None:
    write_scores(CorpusPaths(root).scores(plan.id), plan.scores(), _source(plan))


def _source(plan: ClipPlan) -> str:
    """Hash of what determines the scores of a plan."""
    return hashlib.sha256(json.dumps(plan.description(), sort_keys=True).encode()).hexdigest()


_encoder: VisualEncoder | None = None  # of this worker process


def _extract(run: Run, plan: GeneratedPlan) -> None:
    global _encoder
    features = FeatureSpec()
    if _encoder is None:
        _encoder = build_visual_encoder(features.visual_encoder)
    with worker_lock(run):
        write_clip_features(plan, run.root, drawn_features(plan, features, _encoder))


_packed = cache(unpack_features)


def _unpack(run: Run, plan: ClipPlan) -> None:
    with worker_lock(run):
        write_clip_features(plan, run.root, _packed()[plan.id])


def _in_processes(
    work: Callable[[ClipPlan], object], plans: Sequence[ClipPlan], jobs: int, what: str, progress: bool
) -> None:
    """Run `work` on every plan in parallel; the first error ends all."""
    if not plans:
        return
    with progress_bar(progress) as bar:
        task = bar.add_task(what, total=len(plans))
        if jobs <= 1:
            for plan in plans:
                work(plan)
                bar.update(task, advance=1)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(plans)), mp_context=context, initializer=start_worker) as pool:
            try:
                for future in as_completed([pool.submit(work, plan) for plan in plans]):
                    future.result()
                    bar.update(task, advance=1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
