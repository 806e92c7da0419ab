"""The generated corpus, written and prepared: its videos go through the very same `prepare_folder` as a user's.

With `keypoints=True` the training clips get no videos (`files.write_estimated_clip`), at half the cost. Clips of the
valid and test splits are always rendered, and their joints found by BlazePose: nothing is scored on true joints.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from ....errors import CorpusError
from ....utils.progress import progress_bar
from ...features.feature_file import FeatureSpec
from ...features.visual import VisualEncoder, build_visual_encoder
from ...manifest import SPLITS, CorpusPaths
from ..clips import start_worker
from ..locking import Run, Shard, lock_corpus, lock_settings, worker_lock
from ..prepare import PrepareReport, finish_corpus, prepare_folder, write_or_check_settings
from .files import digest, is_extracted, is_written, write_clip_video, write_estimated_clip
from .plan import SAMPLE_RATE, GeneratedSpec, clip_plan

Clip = tuple[str, int]  # split and index


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
    """Make the generated corpus in `dst`, or finish what an interrupted call left.

    On several machines that see the same folder: a call for each shard makes clips only; a last call without `shard`,
    and otherwise the same, makes what they may have left and writes the manifests.

    Args:
        dst: the corpus; the videos go to `dst/videos`.
        spec: what it holds.
        keypoints: make training clips without videos.
        splits: which splits.
        jobs: worker processes; 0 works in this process.
        shard: only this part of the clips.
        progress: show a progress bar on stderr.

    Returns:
        What `prepare_folder` returns, clips without videos included.

    Raises:
        CorpusError: as `prepare_folder`; or the picture rate does not fit the visual encoder's.
    """
    began = time.monotonic()
    root, spec = Path(dst).absolute(), spec or GeneratedSpec()
    clips = [(split, index) for split in splits for index in range(spec.clips(split))]
    if shard is not None:
        clips = [clip for clip in clips if shard.holds(Path(f"{clip_plan(spec, *clip).id}.mp4"))]
    estimated = [clip for clip in clips if keypoints and clip[0] == "train"]
    rendered = [clip for clip in clips if not (keypoints and clip[0] == "train")]
    made, kept = _estimate(root, spec, estimated, jobs, shard, progress) if estimated else ([], [])
    report = PrepareReport()
    if rendered:
        videos = write_videos(spec, root / "videos", rendered, jobs, progress)
        report = prepare_folder(
            root / "videos", root, files=videos, jobs=jobs, shard=shard, progress=progress
        )
    elif shard is None:
        report = finish_corpus(root)
    report.done, report.skipped = sorted([*report.done, *made]), sorted([*report.skipped, *kept])
    report.seconds = time.monotonic() - began
    return report


def write_videos(
    spec: GeneratedSpec, folder: str | Path, clips: Sequence[Clip], jobs: int = 2, progress: bool = True
) -> list[Path]:
    """Write the videos of some clips; those that are there already are kept.

    Returns:
        The videos, in the order of the clips.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plans = [clip_plan(spec, *clip) for clip in clips]
    missing = [c for c, plan in zip(clips, plans, strict=True) if not is_written(spec, plan, folder)]
    _in_processes(partial(_render, spec, folder), missing, jobs, "dances", progress)
    return [folder / f"{plan.id}.mp4" for plan in plans]


def _render(spec: GeneratedSpec, folder: Path, clip: Clip) -> None:
    write_clip_video(spec, clip_plan(spec, *clip), folder)


def _estimate(
    root: Path, spec: GeneratedSpec, clips: Sequence[Clip], jobs: int, shard: Shard | None, progress: bool
) -> tuple[list[str], list[str]]:
    """Make clips without videos; names of those made now, and of those that were there."""
    features = FeatureSpec()
    if spec.fps != features.pose_fps or spec.fps % features.visual_fps:
        raise CorpusError(
            f"{spec.fps} pictures a second are not the features' {features.pose_fps:g}: use those, or make videos"
        )
    with lock_corpus(root, shard) as run:
        with lock_settings(run) as shared:
            write_or_check_settings(CorpusPaths(root), features, SAMPLE_RATE, None, shared)
        plans = {clip: clip_plan(spec, *clip) for clip in clips}
        missing = [
            clip
            for clip, plan in plans.items()
            if not is_extracted(root, plan, features, digest(spec, plan, features))
        ]
        _in_processes(partial(_extract, run, spec, features), missing, jobs, "training clips", progress)
    left_out = {plans[clip].id for clip in missing}
    return sorted(left_out), sorted({plan.id for plan in plans.values()} - left_out)


_encoder: VisualEncoder | None = None  # of this worker process


def _extract(run: Run, spec: GeneratedSpec, features: FeatureSpec, clip: Clip) -> None:
    global _encoder
    if _encoder is None or _encoder.name != features.visual_encoder:
        _encoder = build_visual_encoder(features.visual_encoder)
    with worker_lock(run):
        write_estimated_clip(spec, clip_plan(spec, *clip), run.root, features, _encoder)


def _in_processes(
    work: Callable[[Clip], None], clips: Sequence[Clip], jobs: int, what: str, progress: bool
) -> None:
    """`work` on every clip, side by side; the first error ends all."""
    if not clips:
        return
    with progress_bar(progress) as bar:
        task: Any = bar.add_task(what, total=len(clips))
        if jobs <= 1:
            for clip in clips:
                work(clip)
                bar.update(task, advance=1)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(jobs, len(clips)), mp_context=context, initializer=start_worker) as pool:
            try:
                for future in as_completed([pool.submit(work, clip) for clip in clips]):
                    future.result()
                    bar.update(task, advance=1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
