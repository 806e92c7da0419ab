"""From a video to its features: one decoding feeds BlazePose and the visual encoder.

Where torch may use more than one core the two work side by side: the windows of pictures are encoded in a thread
of their own, and decoding waits when it gets too far ahead, so that memory does not grow with the length. Windows are
encoded one by one. Two or more at a time are slower on a CPU, whose caches hold the layers of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ...errors import UserError
from ...utils.files import sha256_file
from ..video.probe import probe
from ..video.read import frame_times, read_frames
from .feature_file import FeatureHeader, Features, FeatureSpec
from .pose import POSE_SIDE, PoseExtractor, PoseSource
from .streams import build_stream
from .visual import PICTURE_SIZE, VisualEncoder, WindowEncoder, build_visual_encoder, window_indices

AHEAD = 32  # pictures that may wait for the encoder (40 MB at POSE_SIDE)


def extract_features(
    video: str | Path,
    spec: FeatureSpec | None = None,
    pose: PoseSource | None = None,
    encoder: VisualEncoder | None = None,
    beside: bool | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Features:
    """Watch a video once, with both eyes.

    Args:
        video: video file; shorter than one visual window is allowed (its last picture is repeated).
        spec: what to extract; None: the defaults.
        pose: finds the dancer; None: a new `PoseExtractor`.
        encoder: sees the dance; None: the one `spec` names.
        beside: whether `encoder` works in a thread beside `pose`; None: where torch may use more than one core.
            Changes nothing in the result.
        progress: called with the seconds read and the seconds of the video, at every pose frame; may raise to stop.

    Raises:
        VideoError: the file cannot be used (see `probe`), or nobody is in it.
        UserError: `encoder` is not the one `spec` names.
    """
    video = Path(video)
    spec = FeatureSpec() if spec is None else spec
    info = probe(video)
    pose = PoseExtractor() if pose is None else pose
    encoder = build_visual_encoder(spec.visual_encoder) if encoder is None else encoder
    if encoder.name != spec.visual_encoder:
        raise UserError(f"the encoder given is {encoder.name}, the features want {spec.visual_encoder}")

    count = max(1, round(info.seconds * spec.visual_fps))
    forward = window_indices(count, spec.visual_window, spec.visual_hop)
    backward = window_indices(count, spec.visual_window, spec.visual_hop, backward=True)
    windows = WindowEncoder(encoder, np.concatenate([forward, backward]))
    every = spec.pose_fps / spec.visual_fps
    shared = every >= 1 and abs(every - round(every)) < 1e-9
    frames: Iterable[np.ndarray] = read_frames(video, spec.pose_fps, size=POSE_SIDE)
    if shared:
        beside = torch.get_num_threads() > 1 if beside is None else beside
        frames = (_tap_beside if beside else _tap)(frames, windows, round(every))
    if progress is not None:
        frames = _report(frames, spec.pose_fps, info.seconds, progress)
    times = frame_times(video, spec.pose_fps)
    keypoints, detected = pose.extract(frames, spec.pose_fps, name=str(video), times=times)
    if not shared:
        for picture in read_frames(video, spec.visual_fps, size=PICTURE_SIZE):
            windows.push(picture)
    visual = windows.finish()
    header = FeatureHeader(
        seconds=info.seconds,
        aspect=info.width / info.height,
        **asdict(spec),
        pose_extractor=pose.name,
        pose_weights_sha256=pose.weights_sha256,
        visual_dim=encoder.dim,
        visual_weights_sha256=encoder.weights_sha256,
        video_sha256=sha256_file(video),
        detected_share=float(detected.mean()),
    )
    further = {name: build_stream(name)(video, spec.pose_fps, len(keypoints)) for name in spec.streams}
    return Features(header, keypoints, detected, visual[: len(forward)], visual[len(forward) :], **further)


def _report(
    frames: Iterable[np.ndarray], fps: float, seconds: float, progress: Callable[[float, float], None]
) -> Iterator[np.ndarray]:
    """Yield the frames and call `progress` before each."""
    for number, frame in enumerate(frames):
        progress(number / fps, seconds)
        yield frame


def _tap(frames: Iterable[np.ndarray], windows: WindowEncoder, every: int) -> Iterator[np.ndarray]:
    """Pass the pictures on, and each `every`-th one to `windows` too."""
    for number, picture in enumerate(frames):
        if number % every == 0:
            windows.push(picture)
        yield picture


def _tap_beside(frames: Iterable[np.ndarray], windows: WindowEncoder, every: int) -> Iterator[np.ndarray]:
    """What `_tap` does, but `windows` takes its pictures in a thread beside whoever takes the others.

    Ends when `windows` has taken all; what it raises comes out here.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "windows") as pool:
        try:
            for number, picture in enumerate(frames):
                if number % every == 0:
                    waiting.append(pool.submit(windows.push, picture))
                    if len(waiting) > AHEAD:
                        waiting.popleft().result()
                yield picture
            for taken in waiting:
                taken.result()
        finally:
            pool.shutdown(cancel_futures=True)
