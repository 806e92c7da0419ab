"""Clips of the generated corpus as files: videos with their music, or features without a video."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ....utils.files import write_json
from ...features.feature_file import FeatureHeader, Features, FeatureSpec, load_features
from ...features.visual import VisualEncoder, WindowEncoder, window_indices
from ...manifest import CorpusPaths, DanceInfo
from ...video.write import write_video
from ..clips import write_clip
from .estimate import ESTIMATOR, Errors
from .plan import SAMPLE_RATE, ClipPlan, GeneratedSpec, clip_music, clip_pictures


def write_clip_video(spec: GeneratedSpec, plan: ClipPlan, folder: Path) -> Path:
    """Write `<id>.mp4` (H.264 + lossless ALAC) and `<id>.json` into `folder`; gives the path of the video.

    The json is written last: a clip that has it is whole.
    """
    path = folder / f"{plan.id}.mp4"
    path.with_suffix(".json").unlink(missing_ok=True)  # of an older clip, whose video goes next
    write_video(path, clip_pictures(spec, plan), spec.fps, clip_music(plan), SAMPLE_RATE, audio_codec="alac")
    write_json(path.with_suffix(".json"), plan.about(spec))
    return path


def is_written(spec: GeneratedSpec, plan: ClipPlan, folder: Path) -> bool:
    """Whether the video of exactly this plan is there."""
    try:
        found = json.loads((folder / f"{plan.id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == plan.about(spec) and (folder / f"{plan.id}.mp4").is_file())


def digest(spec: GeneratedSpec, plan: ClipPlan, features: FeatureSpec) -> str:
    """What stands for the video's checksum in a clip that has no video: a hash of all that decides its features."""
    about: dict[str, Any] = {**plan.about(spec), "estimator": ESTIMATOR, "windows": features.to_dict()}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def is_extracted(root: Path, plan: ClipPlan, features: FeatureSpec, wanted: str) -> bool:
    """Whether the clip that `digest` stands for is in the corpus `root`, whole."""
    paths = CorpusPaths(root)
    try:
        info = DanceInfo.load(paths.info(plan.id))
        there = load_features(paths.features(plan.id), features)
    except ValueError:  # the kinds of errors for damaged files
        return False
    return info.video_sha256 == there.header.video_sha256 == wanted and paths.wav(plan.id).is_file()


def write_estimated_clip(
    spec: GeneratedSpec, plan: ClipPlan, root: Path, features: FeatureSpec, encoder: VisualEncoder
) -> None:
    """Put a clip into the corpus `root` without a video: drawn pictures go straight to the visual encoder, and the
    true joints, with the errors BlazePose makes, stand for those it would have found.

    Args:
        spec: of the corpus; its rate is a whole multiple of the features'.
        plan: of the clip.
        root: of the corpus.
        features: what windows, at what rate.
        encoder: of the windows.
    """
    scene = clip_pictures(spec, plan)
    every = round(spec.fps / features.visual_fps)
    shown = range(0, len(scene), every)
    count = max(1, round(spec.seconds * features.visual_fps))
    forward = window_indices(count, features.visual_window, features.visual_hop)
    backward = window_indices(count, features.visual_window, features.visual_hop, backward=True)
    windows = WindowEncoder(encoder, np.concatenate([forward, backward]))
    for index in shown:
        windows.push(scene.frame(index))
    visual = windows.finish()
    height, width = scene.picture_size
    keypoints = Errors.measured().apply(
        scene.keypoints, width / height, np.random.default_rng(plan.noise_seed)
    )
    identity, about, wav = digest(spec, plan, features), plan.about(spec), clip_music(plan)
    header = FeatureHeader(
        seconds=spec.seconds,
        aspect=width / height,
        **vars(features),
        pose_extractor=ESTIMATOR,
        pose_weights_sha256="0" * 64,
        visual_dim=encoder.dim,
        visual_weights_sha256=encoder.weights_sha256,
        video_sha256=identity,
        detected_share=1.0,
    )
    detected = np.ones(len(keypoints), dtype=bool)
    found = Features(header, keypoints, detected, visual[: len(forward)], visual[len(forward) :])
    labels = {
        name: about[name] for name in ("split", "song", "choreography", "dancer", "genre", "bpm", "beats")
    }
    info = DanceInfo(
        name=plan.id,
        seconds=spec.seconds,
        sample_rate=SAMPLE_RATE,
        n_samples=len(wav),
        video=f"videos/{plan.id}.mp4",
        video_sha256=identity,
        video_size=0,
        width=width,
        height=height,
        fps=float(spec.fps),
        detected_share=1.0,
        split_source="label",
        song_source="label",
        **labels,
    )
    write_clip(root, info, wav, found)
