"""The embedded corpus, prepared: its videos go through the very same `prepare_folder` as a user's.

Extracting features is the slow part (seconds a clip), so those of the train and valid splits ship with the package
(`bundle.py`) and are unpacked; their music is synthesised anew, to the bit. `rebuild=True` renders and extracts
them instead. Test clips are always rendered and extracted on the spot.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ....utils.progress import progress_bar
from ...features.feature_file import FeatureSpec
from ...manifest import CorpusPaths, DanceInfo
from ..clips import write_clip as write_prepared_clip
from ..prepare import PrepareReport, finish_corpus, prepare_folder, write_or_check_settings
from . import MiniSpec, build_videos, clip_plan, synthesise_clip_audio
from .bundle import BUNDLED_SPLITS, bundle_path, read_bundle

logger = logging.getLogger(__name__)


def prepare_mini(
    dst: str | Path,
    spec: MiniSpec | None = None,
    *,
    rebuild: bool = False,
    splits: Sequence[str] = ("train", "valid", "test"),
    jobs: int = 2,
    progress: bool = True,
) -> PrepareReport:
    """Make the embedded corpus in `dst`, or finish what an interrupted call left.

    Args:
        dst: the corpus; the videos go to `dst/videos`.
        spec: what it holds; the bundled features fit the default only (others are always extracted).
        rebuild: extract train and valid too.
        splits: which splits.
        jobs: worker processes.

    Returns:
        What `prepare_folder` returns, unpacked clips included.
    """
    began = time.monotonic()
    dst, spec = Path(dst).absolute(), spec or MiniSpec()
    same_training = replace(spec, test=MiniSpec.test) == MiniSpec()
    bundled = (
        []
        if rebuild or not same_training or not bundle_path().is_file()
        else [split for split in splits if split in BUNDLED_SPLITS]
    )
    unpacked = unpack(dst, spec, bundled, progress) if bundled else []
    rendered = [split for split in splits if split not in bundled]
    if rendered:
        with progress_bar(progress) as bar:
            task = bar.add_task("dances", total=None)
            videos = build_videos(
                spec,
                dst / "videos",
                rendered,
                jobs,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        report = prepare_folder(dst / "videos", dst, files=videos, jobs=jobs, progress=progress)
        report.done = sorted([*report.done, *unpacked])
    else:
        report = finish_corpus(dst)
        report.done = unpacked
    report.seconds = time.monotonic() - began
    return report


def unpack(dst: Path, spec: MiniSpec, splits: Sequence[str], progress: bool = True) -> list[str]:
    """Write clips out of the bundle, with their music synthesised; those that are there are kept.

    Returns:
        Names of the clips written.
    """
    paths = CorpusPaths(dst)
    write_or_check_settings(paths, FeatureSpec(), 22050, None)
    written = []
    wanted = [(split, index) for split in splits for index in range(spec.clips(split))]
    missing = [clip for clip in wanted if not paths.info(clip_plan(spec, *clip).id).is_file()]
    if not missing:
        return []
    bundle = read_bundle()
    with progress_bar(progress) as bar:
        task = bar.add_task("training clips", total=len(missing))
        for split, index in missing:
            wav, sample_rate, about = synthesise_clip_audio(spec, split, index)
            name = about["id"]
            features = bundle[name]
            write_prepared_clip(
                dst,
                DanceInfo(
                    name=name,
                    seconds=features.header.seconds,
                    sample_rate=sample_rate,
                    n_samples=len(wav),
                    video=f"videos/{name}.mp4",
                    video_sha256=features.header.video_sha256,
                    video_size=0,
                    width=spec.size,
                    height=spec.size,
                    fps=float(spec.fps),
                    detected_share=features.header.detected_share,
                    split=split,
                    split_source="label",
                    song=about["song"],
                    song_source="label",
                    choreography=about["choreography"],
                    dancer=about["dancer"],
                    genre=about["genre"],
                    bpm=about["bpm"],
                    beats=about["beats"],
                ),
                wav,
                features,
            )
            written.append(name)
            bar.update(task, advance=1)
    finish_corpus(dst)
    return written
