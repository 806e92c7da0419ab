"""Several dancers: all are followed, one is chosen and kept; shots, gaps and other rates of frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.blazepose import BlazePose, Region
from pn_diffusion_plugin.data.features.dancers import Track, parse_dancer, rank
from pn_diffusion_plugin.data.features.pose import PoseExtractor, resample_times
from pn_diffusion_plugin.errors import UserError, VideoError

SPEC = MiniSpec(train=1, valid=1, test=2, seconds=1.2)


def drawn(index: int) -> np.ndarray:
    """(T, H, W, 3) frames of a dancer."""
    return np.stack(list(SPEC.plan("test", index).scene()))


@pytest.fixture(scope="module")
def solo() -> np.ndarray:
    return drawn(0)[:24]


@pytest.fixture(scope="module")
def pair(solo: np.ndarray) -> np.ndarray:
    """Two dancers side by side, the right one smaller."""
    other = [cv2.resize(frame, (160, 160), interpolation=cv2.INTER_AREA) for frame in drawn(1)[:16]]
    small = np.repeat(solo[:16, :1, :1], 256, axis=1).repeat(256, axis=2)
    small[:, 96:, 48:208] = other
    return np.concatenate([solo[:16], small], axis=2)


def middles(keypoints: np.ndarray) -> np.ndarray:
    """(T,) x of the hips, in shares of the frame."""
    return keypoints[:, [23, 24], 0].mean(axis=1)


def test_the_choice_tells_who_is_followed_all_the_time(pair: np.ndarray) -> None:
    found = {}
    for dancer in ("prominent", 2):
        keypoints, detected = PoseExtractor(dancer=dancer).extract(pair, 25)
        assert detected.mean() > 0.8
        found[dancer] = middles(keypoints)[detected]
    assert (found["prominent"] < 0.5).all() and (found[2] > 0.5).all()


def test_a_dancer_number_that_does_not_exist_is_rejected(solo: np.ndarray) -> None:
    with pytest.raises(
        VideoError, match=r"at most 1 people were found .*dancer 3 does not exist, give 1 to 1"
    ):
        PoseExtractor(dancer=3).extract(solo[:13], 25, name="solo.mp4")


def test_a_cut_begins_anew_and_no_velocity_reaches_across(solo: np.ndarray) -> None:
    aside = np.roll(255 - solo, 90, axis=2)
    keypoints, detected = PoseExtractor().extract(np.concatenate([solo[:12], aside[:12]]), 25)
    assert not detected[12] and detected[:12].all() and detected[13:].all()
    alone, _ = PoseExtractor().extract(solo[:12], 25)
    np.testing.assert_array_equal(keypoints[:12], alone)


def test_a_moving_camera_does_not_move_the_dancer(solo: np.ndarray) -> None:
    tiles = np.random.default_rng(0).integers(60, 200, (40, 80, 3))
    room = np.kron(tiles, np.ones((8, 8, 1))).astype(np.uint8)  # (320, 640, 3)
    body = solo[0]
    height, width = body.shape[:2]
    stage = room[:height].copy()
    stage[:, 200 : 200 + width // 2] = body[:, width // 4 : width // 4 + width // 2]
    pan = np.stack([stage[:, 60 + 4 * n : 60 + 4 * n + 384] for n in range(16)])
    seen, _ = PoseExtractor(steady=False).extract(pan, 25)
    steadied, _ = PoseExtractor().extract(pan, 25)
    assert abs(middles(seen)[-1] - middles(seen)[0]) > 0.1
    assert np.abs(middles(steadied) - middles(steadied)[0]).max() < 0.02


def person(x: float, side: float, frames: int) -> Track:
    track = Track()
    for number in range(frames):
        track.add(number, np.zeros((33, 3), np.float32), Region(x, 0.5, side, None))
    return track


def test_prominence_is_size_and_middle_and_presence() -> None:
    near, far, brief = person(0.2, 0.8, 100), person(0.5, 0.5, 100), person(0.9, 1.0, 20)
    order = rank([far, brief, near], 100, 1.0)
    assert order["prominent"][0] is near and order["largest"][0] is near
    assert order["left"] == [near, far] and order["right"] == [far, near]  # who only passes by has no number
    assert rank([person(0.95, 0.55, 100), far], 100, 1.0)["prominent"][0] is far
    assert rank([], 100, 1.0)["left"] == []


def test_choices_are_read_and_nonsense_refused() -> None:
    assert parse_dancer(" Left ") == "left" and parse_dancer("2") == 2 and parse_dancer(1) == 1
    for wrong in ("best", "0", "-1", "1.5", ""):
        with pytest.raises(UserError, match="give prominent, left, right, largest, or a number"):
            parse_dancer(wrong)


def test_all_people_in_a_frame_are_detected(pair: np.ndarray) -> None:
    with BlazePose() as networks:
        regions = networks.people(np.ascontiguousarray(pair[0]), crops=True)
        (close,) = networks.people(np.ascontiguousarray(pair[0, :, 256:]))
    left, right = ([area for area in regions if (area.x > 1) == right] for right in (False, True))
    assert left and right  # of a frame two heights wide
    assert left[0].side > right[0].side
    assert min(abs(area.x - 1 - close.x) + abs(area.side - close.side) for area in right) < 0.02


@pytest.mark.parametrize("source", [24.0, 30.0, 29.97, 50.0])
def test_steady_movements_stay_steady_at_any_frame_rate(source: float) -> None:
    wanted = np.arange(50) / 25
    times = np.round(wanted * source) / source  # the nearest frame
    keypoints = np.zeros((50, 33, 3), np.float32)
    keypoints[..., 0] = 0.3 * times[:, None]
    moved, detected = resample_times(keypoints, np.ones(50, bool), times, 25)
    inside = times[-1] - 1e-6 > wanted
    np.testing.assert_allclose(moved[inside, 0, 0], 0.3 * wanted[inside], atol=1e-5)
    assert detected.all()
    if source == 24:
        assert np.abs(np.diff(keypoints[:, 0, 0])).min() == 0  # as they came, one stood still


def test_frames_at_the_requested_times_are_unchanged_and_stills_stay_stills() -> None:
    keypoints = np.random.default_rng(0).random((10, 33, 3)).astype(np.float32)
    detected = np.arange(10) != 4
    times = np.arange(10) / 25
    assert resample_times(keypoints, detected, times, 25)[0] is keypoints
    held = np.array([0, 0, 0, 0, 0, 0, 0, 0, 8, 9]) / 25  # a frame that stood for 0.3 s
    found, _ = resample_times(keypoints[np.array([0] * 8 + [8, 9])], np.ones(10, bool), held, 25)
    np.testing.assert_array_equal(found[:8], np.broadcast_to(keypoints[0], (8, 33, 3)))


def test_undetected_frames_stay_masked_at_another_rate() -> None:
    times = np.round(np.arange(20) / 25 * 30) / 30
    detected = np.ones(20, bool)
    detected[8] = False
    _, found = resample_times(np.zeros((20, 33, 3), np.float32), detected, times, 25)
    assert not found[8] and found[:7].all() and found[10:].all()
