"""Clips as files: videos with their music, or features without a video."""

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
from .generated import GeneratedPlan
from .keypoint_errors import ESTIMATOR, KeypointErrors
from .plan import SAMPLE_RATE, ClipPlan


def write_clip_video(plan: ClipPlan, folder: str | Path) -> Path:
    """Write `<id>.mp4` (H.264 and lossless ALAC) and `<id>.json` into `folder`, and return the path of the video.

    The JSON file is written last: a clip that has one is complete.
    """
    path = Path(folder) / f"{plan.id}.mp4"
    path.with_suffix(".json").unlink(missing_ok=True)  # of an older clip, whose video is replaced next
    write_video(path, plan.scene(), plan.spec.fps, plan.audio(), SAMPLE_RATE, audio_codec="alac")
    write_json(path.with_suffix(".json"), plan.description())
    return path


def has_video(plan: ClipPlan, folder: Path) -> bool:
    """Whether `folder` has the video of exactly this plan."""
    try:
        found = json.loads((folder / f"{plan.id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == plan.description() and (folder / f"{plan.id}.mp4").is_file())


def write_clip_features(plan: ClipPlan, root: Path, features: Features) -> None:
    """Put a clip into the corpus `root` without a video: its music, and features of its dance."""
    wav, spec, header = plan.audio(), plan.spec, features.header
    height = spec.size if header.aspect <= 1 else round(spec.size / header.aspect)
    info = DanceInfo(
        name=plan.id,
        seconds=header.seconds,
        sample_rate=SAMPLE_RATE,
        n_samples=len(wav),
        video=f"videos/{plan.id}.mp4",
        video_sha256=header.video_sha256,
        video_size=0,
        width=round(height * header.aspect),
        height=height,
        fps=float(spec.fps),
        detected_share=header.detected_share,
        split_source="label",
        song_source="label",
        **plan.labels,
    )
    write_clip(root, info, wav, features)


def digest(plan: GeneratedPlan, features: FeatureSpec) -> str:
    """Hash of everything that determines the features of a clip without a video, instead of the video's checksum."""
    about: dict[str, Any] = {**plan.description(), "estimator": ESTIMATOR, "windows": features.to_dict()}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def has_features(plan: GeneratedPlan, root: Path, features: FeatureSpec) -> bool:
    """Whether the corpus `root` has exactly this clip, made without a video, complete."""
    paths, wanted = CorpusPaths(root), digest(plan, features)
    try:
        info = DanceInfo.load(paths.info(plan.id))
        there = load_features(paths.features(plan.id), features)
    except ValueError:  # includes the errors for damaged files
        return False
    return info.video_sha256 == there.header.video_sha256 == wanted and paths.wav(plan.id).is_file()


def drawn_features(plan: GeneratedPlan, features: FeatureSpec, encoder: VisualEncoder) -> Features:
    """Compute features of a clip without a video and without BlazePose.

    The visual encoder takes the frames as drawn; the keypoints are the true joints with the errors that BlazePose
    makes (`keypoint_errors.py`).

    Args:
        plan: of the clip; its frame rate is a multiple of the features'.
        features: windows and rates.
        encoder: of the windows.
    """
    scene, spec = plan.scene(), plan.spec
    count = max(1, round(spec.seconds * features.visual_fps))
    forward = window_indices(count, features.visual_window, features.visual_hop)
    backward = window_indices(count, features.visual_window, features.visual_hop, backward=True)
    windows = WindowEncoder(encoder, np.concatenate([forward, backward]))
    for index in range(0, len(scene), round(spec.fps / features.visual_fps)):
        windows.push(scene.frame(index))
    visual = windows.finish()
    height, width = scene.frame_size
    rng = np.random.default_rng(plan.noise_seed)
    keypoints = KeypointErrors.measured().apply(scene.keypoints, width / height, rng)
    header = FeatureHeader(
        seconds=spec.seconds,
        aspect=width / height,
        **vars(features),
        pose_extractor=ESTIMATOR,
        pose_weights_sha256="0" * 64,
        visual_dim=encoder.dim,
        visual_weights_sha256=encoder.weights_sha256,
        video_sha256=digest(plan, features),
        detected_share=1.0,
    )
    detected = np.ones(len(keypoints), dtype=bool)
    return Features(header, keypoints, detected, visual[: len(forward)], visual[len(forward) :])
