"""Feature files: the same seconds of both directions, exact reversal, and files that are refused with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headers import make_header
from mean_colour import SPEC, MeanColour
from safetensors.numpy import save_file

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.extraction import extract_features
from pn_diffusion_plugin.data.features.feature_file import (
    Features,
    FeatureSpec,
    load_features,
    save_features,
)
from pn_diffusion_plugin.data.features.pose import PoseExtractor
from pn_diffusion_plugin.data.features.visual import window_features, window_indices
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.errors import FeatureFileError


def mean_colours(frames: np.ndarray) -> np.ndarray:
    """What `MeanColour` says of one window (8, H, W, 3) of square frames: (1, 24)."""
    return window_features(MeanColour(), frames, 8, 8)


def made_up(seconds: float = 8.0, spec: FeatureSpec = SPEC, dim: int = 4) -> Features:
    """Features of no video: joint j moves at its own speed, visual windows are numbered."""
    count = round(seconds * spec.pose_fps)
    frames = round(seconds * spec.visual_fps)
    windows = len(window_indices(frames, spec.visual_window, spec.visual_hop))
    time = np.arange(count) / spec.pose_fps
    keypoints = time[:, None, None] * np.arange(1.0, 100.0).reshape(33, 3) / 800
    header = make_header(seconds, spec, visual_dim=dim, detected_share=0.5)
    numbers = np.repeat(np.arange(windows, dtype=np.float32)[:, None], dim, 1)
    return Features(header, keypoints.astype(np.float32), np.arange(count) % 2 == 0, numbers, 100 + numbers)


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


# Segments and reversal


def test_twice_reversed_is_forward(features: Features) -> None:
    assert features.reversed() != features
    assert features.reversed().reversed() == features
    np.testing.assert_array_equal(features.reversed().keypoints, features.keypoints[::-1])
    np.testing.assert_array_equal(features.reversed().visual, features.visual_reverse)


def test_a_segment_on_the_frames_is_a_slice(features: Features) -> None:
    part = features.segment(0.4, 0.8)
    np.testing.assert_array_equal(part.keypoints, features.keypoints[10:30])
    np.testing.assert_array_equal(part.detected, features.detected[10:30])


def test_a_segment_between_frames_is_interpolated() -> None:
    clip = made_up()
    for start in (0.013, 1.0 / 3, 2.71828):
        part = clip.segment(start, 5.2)
        assert part.keypoints.shape == (130, 33, 3)
        expected = (start + np.arange(130) / 25)[:, None, None] * np.arange(1.0, 100.0).reshape(33, 3) / 800
        np.testing.assert_allclose(part.keypoints, expected, atol=1e-5)


def test_beyond_the_ends_the_frames_are_held() -> None:
    clip = made_up(2.0)
    part = clip.segment(1.8, 1.0)
    np.testing.assert_array_equal(part.keypoints[5:], np.repeat(clip.keypoints[-1:], 20, 0))
    with pytest.raises(ValueError, match="longer than 0 seconds"):
        clip.segment(0.0, 0.0)


def test_windows_nearest_to_the_segment() -> None:
    clip = made_up(8.0)  # windows of .64 s: 13 of them
    assert clip.visual.shape == (13, 4)
    for start, first in ((0.0, 0), (0.31, 0), (0.33, 1), (0.64, 1), (1.28, 2)):
        part = clip.segment(start, 5.12)
        np.testing.assert_array_equal(part.visual[:, 0], first + np.arange(8))
    assert clip.segment(0.0, 0.1).visual.shape == (1, 4)
    np.testing.assert_array_equal(clip.segment(7.9, 1.28).visual[:, 0], [11, 12])
    np.testing.assert_array_equal(clip.segment(0.0, 9.6).visual[:, 0], [*range(13), 12, 12])


@pytest.mark.parametrize("start", [0.0, 0.64, 1.28, 2.88])
def test_the_reverse_shows_the_same_seconds_in_reversed_order(start: float) -> None:
    clip = made_up(8.0)
    part = clip.segment(start, 5.12)
    mirrored = clip.reversed().segment(8.0 - start - 5.12, 5.12)
    np.testing.assert_array_equal(mirrored.visual, part.visual_reverse)
    np.testing.assert_array_equal(mirrored.visual_reverse, part.visual)
    np.testing.assert_allclose(mirrored.keypoints, part.keypoints[::-1], atol=1e-6)


def test_the_reverse_windows_hold_the_frames_of_the_segment(video: Path, features: Features) -> None:
    part = features.segment(0.96, 0.64)  # frames 12 to 19 of 20, and the first eight of the reversed video
    frames = np.stack(list(read_frames(video, 12.5)))
    np.testing.assert_allclose(part.visual_reverse, mean_colours(frames[12:][::-1]))


# Files


def test_a_saved_file_is_loaded_unchanged(features: Features, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "clip.safetensors"
    save_features(path, features)
    assert load_features(path) == load_features(path, SPEC) == features
    assert [p.name for p in path.parent.iterdir()] == ["clip.safetensors"]
    again = tmp_path / "again.safetensors"
    save_features(again, load_features(path))
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"pose_fps": 30.0}, "pose_fps is 25.0, not 30.0"),
        ({"visual_hop": 4}, "visual_hop is 8, not 4"),
        ({"visual_encoder": "i3d_r50"}, "visual_encoder is mean_colour, not i3d_r50"),
        (
            {"visual_fps": 25.0, "visual_window": 16},
            "visual_fps is 12.5, not 25.0; visual_window is 8, not 16",
        ),
    ],
)
def test_other_settings_are_refused_by_name(
    tmp_path: Path, change: dict[str, object], difference: str
) -> None:
    path = tmp_path / "clip.safetensors"
    save_features(path, made_up())
    with pytest.raises(
        FeatureFileError, match=rf"clip\.safetensors was made with other settings \({difference}\)"
    ):
        load_features(path, replace(SPEC, **change))  # type: ignore[arg-type]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    with pytest.raises(FeatureFileError, match=r"clip\.safetensors does not exist"):
        load_features(path)
    save_features(path, made_up())
    whole = path.read_bytes()
    for data in (b"", b"nonsense" * 10, whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(data)
        with pytest.raises(FeatureFileError, match=r"clip\.safetensors is not a complete feature file"):
            load_features(path)
    save_file({"x": np.zeros(3, np.float32)}, str(path))
    with pytest.raises(FeatureFileError, match="not a complete feature file"):
        load_features(path)


def test_other_schemas_and_lying_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    clip = made_up()
    save_features(path, replace_header(clip, schema=99))
    with pytest.raises(FeatureFileError, match="has schema 99, this version reads 1"):
        load_features(path)
    save_features(path, replace_header(clip, seconds=9.0))
    with pytest.raises(
        FeatureFileError, match=r"keypoints has shape \(200, 33, 3\), its header says \(225, 33, 3\)"
    ):
        load_features(path)
    clip.visual[0, 0] = np.nan
    save_features(path, clip)
    with pytest.raises(FeatureFileError, match="visual contains NaN or infinity"):
        load_features(path)
    save_file({"keypoints": clip.keypoints}, str(path), metadata={"header": json.dumps({"schema": 1})})
    with pytest.raises(FeatureFileError, match="damaged"):
        load_features(path)


def test_a_changed_bit_is_found(tmp_path: Path) -> None:
    """In the middle of every array, where shapes stay and numbers stay finite."""
    path = tmp_path / "clip.safetensors"
    save_features(path, made_up())
    whole = path.read_bytes()
    begin = 8 + int.from_bytes(whole[:8], "little")
    places = json.loads(whole[8:begin])
    for name in ("keypoints", "detected", "visual", "visual_reverse"):
        damaged = bytearray(whole)
        damaged[begin + sum(places[name]["data_offsets"]) // 2] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FeatureFileError, match="the checksum does not match"):
            load_features(path)
    path.write_bytes(whole.replace(b'\\"aspect\\": 1.0', b'\\"aspect\\": 1.5'))
    with pytest.raises(FeatureFileError, match="the checksum does not match"):
        load_features(path)


def write_old(path: Path, features: Features, **header: object) -> None:
    """A file of an earlier version, which has no checksum."""
    values = {name: value for name, value in vars(features.header).items() if name != "streams"}
    save_file(features.streams, str(path), metadata={"header": json.dumps({**values, **header})})


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    write_old(path, made_up())
    assert load_features(path, SPEC) == made_up()


@pytest.mark.parametrize(
    "header",
    [
        {"seconds": "8"},
        {"seconds": 10**400},
        {"seconds": float("inf")},
        {"seconds": 1e300, "pose_fps": 2e-299, "visual_fps": 1e-299},
        {"visual_fps": 1e9},
        {"visual_hop": 0},
        {"visual_hop": 10**400},
        {"visual_window": 10**18},
        {"pose_fps": True},
        {"joints": None},
        {"visual_encoder": ["x"] * 1000},
    ],
)
def test_headers_that_make_no_sense_are_refused_in_a_short_sentence(
    tmp_path: Path, header: dict[str, object]
) -> None:
    path = tmp_path / "clip.safetensors"
    write_old(path, made_up(), **header)
    with pytest.raises(FeatureFileError, match=r"is damaged \(.*\): delete it and prepare again") as caught:
        load_features(path)
    assert len(str(caught.value)) < len(str(path)) + 300


def replace_header(features: Features, **change: object) -> Features:
    return Features(replace(features.header, **change), **features.streams)  # type: ignore[arg-type]


def test_arrays_stay_in_their_file(tmp_path: Path) -> None:
    """What is read takes no memory of this process: it is the file, mapped."""
    features = made_up()
    save_features(tmp_path / "clip.safetensors", features)
    read = load_features(tmp_path / "clip.safetensors")
    assert str(tmp_path / "clip.safetensors") in Path("/proc/self/maps").read_text()
    assert read == features
