"""Extraction: one decoding shows both eyes what each would see alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mean_colour import SPEC, MeanColour
from torch import Tensor

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.extraction import MAX_QUEUED, _tap, extract_features
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.data.features.pose import PoseExtractor
from pn_diffusion_plugin.data.features.visual import (
    WindowEncoder,
    build_visual_encoder,
    window_features,
    window_indices,
)
from pn_diffusion_plugin.data.video.read import read_frames, reverse
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.errors import UserError, VideoError

READ = """
for _ in read_frames(sys.argv[1], 30, size=640):
    pass
"""
EXTRACT = """
from mean_colour import SPEC, MeanColour
from pn_diffusion_plugin.data.features.extraction import extract_features
extract_features(sys.argv[1], SPEC, encoder=MeanColour(), parallel=True)
"""


def peak_memory(program: str, video: Path) -> float:
    """The most memory (MB) that a process of its own took to do this with a video; `ru_maxrss` counts its parent's."""
    before = "import sys\nfrom pn_diffusion_plugin.data.video.read import read_frames\n"
    after = "print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    command = [sys.executable, "-c", before + program + after, str(video)]
    said = subprocess.check_output(command, cwd=Path(__file__).parents[2] / "helpers", text=True)
    return int(said.split("VmHWM:")[1].split()[0]) / 1000


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = MiniSpec(train=1, valid=1, test=1, seconds=1.6)
    return write_clip_video(spec.plan("test", 0), tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def pose() -> PoseExtractor:
    return PoseExtractor()


@pytest.fixture(scope="module")
def features(video: Path, pose: PoseExtractor) -> Features:
    return extract_features(video, SPEC, pose, MeanColour())


def test_extraction_equals_its_parts(video: Path, pose: PoseExtractor, features: Features) -> None:
    keypoints, detected = pose.extract(read_frames(video, 25), 25)
    np.testing.assert_array_equal(features.keypoints, keypoints)
    np.testing.assert_array_equal(features.detected, detected)
    frames = np.stack(list(read_frames(video, 12.5)))
    np.testing.assert_allclose(features.visual, window_features(MeanColour(), frames, 8, 8))
    np.testing.assert_allclose(features.visual_reverse, window_features(MeanColour(), reverse(frames), 8, 8))
    assert features.header.seconds == pytest.approx(1.6)
    assert features.header.detected_share == detected.mean() > 0.9
    assert (features.header.visual_dim, features.visual.shape) == (24, (3, 24))


def test_rates_that_do_not_divide(video: Path, pose: PoseExtractor) -> None:
    found = extract_features(video, replace(SPEC, pose_fps=20.0, visual_fps=15.0), pose, MeanColour())
    assert found.keypoints.shape == (32, 33, 3) and found.visual.shape == (3, 24)
    frames = np.stack(list(read_frames(video, 15.0, size=224)))
    np.testing.assert_allclose(found.visual, window_features(MeanColour(), frames, 8, 8))


def test_a_video_shorter_than_a_window(video: Path, pose: PoseExtractor, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"
    write_video(short, list(read_frames(video, 25))[:5], 25)
    found = extract_features(short, SPEC, pose, MeanColour())
    assert found.keypoints.shape == (5, 33, 3) and found.visual.shape == found.visual_reverse.shape == (1, 24)
    segment = found.segment(0.0, 1.28)
    assert segment.keypoints.shape == (32, 33, 3) and segment.visual.shape == (2, 24)


def test_the_real_encoder_tells_the_directions_apart(video: Path, pose: PoseExtractor) -> None:
    found = extract_features(video, FeatureSpec(), pose, build_visual_encoder("inception_i3d"))
    assert found.visual.shape == found.visual_reverse.shape == (2, 1024)
    difference = np.linalg.norm(found.visual - found.visual_reverse[::-1]) / np.linalg.norm(found.visual)
    assert 0.02 < difference < 1.0


def test_bad_videos_and_encoders_are_rejected(pose: PoseExtractor, video: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="does not exist"):
        extract_features(tmp_path / "none.mp4", SPEC, pose, MeanColour())
    empty = tmp_path / "empty.mp4"
    write_video(empty, np.zeros((5, 64, 64, 3), np.uint8), 25)
    with pytest.raises(VideoError, match=r"no person was found in the 0\.2 s of .*empty\.mp4"):
        extract_features(empty, SPEC, pose, MeanColour())
    with pytest.raises(UserError, match="mean_colour"):
        extract_features(video, FeatureSpec(), pose, MeanColour())
    with pytest.raises(UserError, match="pose_fps must be greater than 0, not 0"):
        FeatureSpec(pose_fps=0)


class Failing(MeanColour):
    """An encoder that breaks at its second window."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, windows: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("out of memory")
        return super().__call__(windows)


def test_side_by_side_gives_the_same_and_leaves_no_thread(
    video: Path, pose: PoseExtractor, features: Features
) -> None:
    before = threading.active_count()
    assert extract_features(video, SPEC, pose, MeanColour(), parallel=True) == features
    assert threading.active_count() == before


def test_errors_of_the_thread_are_raised(video: Path, pose: PoseExtractor) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        extract_features(video, SPEC, pose, Failing(), parallel=True)


def test_decoding_waits_for_a_slow_encoder() -> None:
    """The number of frames in memory does not depend on the length of the video."""
    release, made = threading.Event(), []

    class Slow(MeanColour):
        def __call__(self, windows: Tensor) -> Tensor:
            release.wait(20)
            return super().__call__(windows)

    def frames() -> Iterator[np.ndarray]:
        for _ in range(200):
            made.append(None)
            if len(made) == MAX_QUEUED + 8:  # no room for more until the first window of 8 is done
                release.set()
            yield np.zeros((8, 8, 3), np.uint8)

    windows = WindowEncoder(Slow(), window_indices(200, 8, 8))
    taken = _tap(frames(), windows, 1, parallel=True)
    for number, _ in enumerate(taken):
        if number == MAX_QUEUED:
            assert len(made) == MAX_QUEUED + 1
    assert windows.finish().shape == (25, 24)


def test_of_a_fast_video_the_nearest_frames_are_used(tmp_path: Path) -> None:
    """Of 100 frames per second every fourth is requested and returned at the requested size."""
    path = tmp_path / "fast.mp4"
    write_video(
        path, np.arange(0, 200, 2, np.uint8)[:, None, None, None] + np.zeros((1, 64, 96, 3), np.uint8), 100
    )
    found = np.stack(list(read_frames(path, 25, size=48)))
    assert found.shape == (25, 32, 48, 3)
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), np.arange(0, 200, 8), atol=2)


def test_frames_of_a_4k_video_are_not_stored_at_full_size(video: Path, tmp_path: Path) -> None:
    """60 of them are 750 MB as they are decoded and 1.5 GB in RGB. A decoder of 16 threads, the most, holds 400 MB."""
    large, small = tmp_path / "large.mp4", tmp_path / "small.mp4"
    for path, size in ((large, (3840, 2160)), (small, (854, 480))):
        frames = read_frames(video, 37.5)  # 60
        wide = (np.pad(frame, ((0, 0), (100, 100), (0, 0)), "edge") for frame in frames)
        write_video(path, (cv2.resize(frame, size) for frame in wide), 30)
    for program in (READ, EXTRACT):
        assert peak_memory(program, large) - peak_memory(program, small) < 500
