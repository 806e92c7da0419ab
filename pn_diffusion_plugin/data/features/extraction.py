"""Extract the features of a video: one decoding pass feeds BlazePose and the visual encoder.

If torch may use more than one core, the two run in parallel: windows are encoded in a thread, and decoding waits when
it gets too far ahead, so that memory does not grow with the length of the video. Windows are encoded one by one, since
batches are slower on a CPU: the activations of one window fill its caches.
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
from .visual import FRAME_SIZE, VisualEncoder, WindowEncoder, build_visual_encoder, window_indices

MAX_QUEUED = 32  # frames waiting for the encoder (40 MB at POSE_SIDE)


def extract_features(
    video: str | Path,
    spec: FeatureSpec | None = None,
    pose: PoseSource | None = None,
    encoder: VisualEncoder | None = None,
    parallel: bool | None = None,
    progress: Callable[[float, float], None] | None = None,
    backward: bool = True,
) -> Features:
    """Extract keypoints, visual features and further streams of a video.

    Args:
        video: video file; it may be shorter than one visual window (the last frame is repeated).
        spec: what to extract; None: the defaults.
        pose: finds the dancer; None: a new `PoseExtractor`.
        encoder: encodes visual windows; None: the one named by `spec`.
        parallel: run `encoder` in a thread beside `pose`; None: if torch may use more than one core. The result is
            the same.
        backward: compute the visual windows of the video played backward, too: half of the encoder's work.
        progress: called before every keypoint frame with its time and the length of the video (s); may raise to stop.

    Raises:
        VideoError: the file cannot be used (see `probe`), or no person was found.
        UserError: `encoder` is not the one named by `spec`.
    """
    video = Path(video)
    spec = FeatureSpec() if spec is None else spec
    info = probe(video)
    pose = PoseExtractor() if pose is None else pose
    encoder = build_visual_encoder(spec.visual_encoder) if encoder is None else encoder
    if encoder.name != spec.visual_encoder:
        raise UserError(f"the encoder is {encoder.name}, but the specification says {spec.visual_encoder}")

    count = max(1, round(info.seconds * spec.visual_fps))
    forward = window_indices(count, spec.visual_window, spec.visual_hop)
    indices = [forward]
    if backward:
        indices.append(window_indices(count, spec.visual_window, spec.visual_hop, backward=True))
    windows = WindowEncoder(encoder, np.concatenate(indices))
    every = spec.pose_fps / spec.visual_fps
    shared = every >= 1 and abs(every - round(every)) < 1e-9
    frames: Iterable[np.ndarray] = read_frames(video, spec.pose_fps, size=POSE_SIDE)
    if shared:
        parallel = torch.get_num_threads() > 1 if parallel is None else parallel
        frames = _tap(frames, windows, round(every), parallel)
    if progress is not None:
        frames = _report(frames, spec.pose_fps, info.seconds, progress)
    times = frame_times(video, spec.pose_fps)
    keypoints, detected = pose.extract(frames, spec.pose_fps, name=str(video), times=times)
    if not shared:
        for frame in read_frames(video, spec.visual_fps, size=FRAME_SIZE):
            windows.push(frame)
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
    reverse = visual[len(forward) :] if backward else None
    return Features(header, keypoints, detected, visual[: len(forward)], reverse, **further)


def _report(
    frames: Iterable[np.ndarray], fps: float, seconds: float, progress: Callable[[float, float], None]
) -> Iterator[np.ndarray]:
    """Yield the frames and call `progress` before each."""
    for number, frame in enumerate(frames):
        progress(number / fps, seconds)
        yield frame


def _tap(
    frames: Iterable[np.ndarray], windows: WindowEncoder, every: int, parallel: bool
) -> Iterator[np.ndarray]:
    """Yield all frames and push each `every`-th one to `windows`, in a thread if `parallel`.

    Exceptions of the thread are raised here. Ends when `windows` has processed all frames.
    """
    queued: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "windows") as pool:
        try:
            for number, frame in enumerate(frames):
                if number % every == 0 and parallel:
                    queued.append(pool.submit(windows.push, frame))
                    if len(queued) > MAX_QUEUED:
                        queued.popleft().result()
                elif number % every == 0:
                    windows.push(frame)
                yield frame
            for future in queued:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)
