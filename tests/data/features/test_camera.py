"""Cuts are told from fast dances and flashes, and a moving camera from a moving dancer."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.data.features.camera import (
    IDENTITY,
    CameraMotion,
    CutDetector,
    background_step,
    compose,
    invert,
    steady,
)

SIZE = 160


def wall(seed: int, size: int = SIZE) -> np.ndarray:
    """(size, size, 3) uint8 with plenty of corners."""
    tiles = np.random.default_rng(seed).integers(40, 215, (size // 8, size // 8, 3))
    return np.kron(tiles, np.ones((8, 8, 1))).astype(np.uint8)


def with_dancer(frame: np.ndarray, x: int) -> np.ndarray:
    shown = frame.copy()
    shown[40:140, x : x + 30] = (200, 30, 60)
    return shown


def cuts_of(frames: list[np.ndarray]) -> list[int]:
    detector = CutDetector()
    return [number for number, frame in enumerate(frames) if detector.push(frame)]


def test_a_cut_is_found_and_a_fast_dancer_is_none() -> None:
    one = [with_dancer(wall(0), 10 + 12 * (n % 9)) for n in range(20)]
    other = [with_dancer(np.full((SIZE, SIZE, 3), 30, np.uint8), 10 + 12 * (n % 9)) for n in range(20)]
    assert cuts_of(one) == []
    assert cuts_of(one + other + one) == [20, 40]


def test_a_pan_and_a_strobe_light_are_no_cuts() -> None:
    large = wall(1, 640)
    assert cuts_of([large[:SIZE, 6 * n : 6 * n + SIZE] for n in range(40)]) == []
    strobe = [np.where(n % 2, wall(0), wall(0) // 4).astype(np.uint8) for n in range(40)]
    assert len(cuts_of(strobe)) <= 3  # the first flashes, until there is something to compare with


def test_the_background_gives_the_camera_movement() -> None:
    large = wall(2, 400)[..., 0]
    before, after = large[100:260, 100:260], large[97:257, 104:264]
    step = background_step(before, after)
    np.testing.assert_allclose(step[:, :2], np.eye(2), atol=0.01)
    np.testing.assert_allclose(step[:, 2] * SIZE, (-4, 3), atol=0.3)


def test_without_a_background_the_camera_stands() -> None:
    flat = np.full((SIZE, SIZE), 90, np.uint8)
    assert background_step(flat, flat) is IDENTITY
    noisy = [np.random.default_rng(n).integers(88, 93, (SIZE, SIZE)).astype(np.uint8) for n in range(2)]
    assert background_step(*noisy) is IDENTITY  # a wall's compression noise has no corners
    still = wall(3)[..., 0]
    assert background_step(still, still) is IDENTITY
    assert background_step(still, wall(4)[..., 0]) is IDENTITY  # nothing agrees


def test_the_dancer_is_not_taken_for_the_background() -> None:
    body = wall(6, 96)[..., 0]
    before, after = (np.full((SIZE, SIZE), 90, np.uint8) for _ in range(2))
    before[30:126, 20:116], after[30:126, 26:122] = body, body
    box = (20 / SIZE, 30 / SIZE, 122 / SIZE, 126 / SIZE)
    assert background_step(before, after, [box]) is IDENTITY
    np.testing.assert_allclose(background_step(before, after)[:, 2] * SIZE, (6, 0), atol=0.3)


def test_steps_join_and_undo() -> None:
    turn = np.array([[0.9, -0.1, 0.3], [0.1, 0.9, -0.2]])
    np.testing.assert_allclose(compose(invert(turn), turn), IDENTITY, atol=1e-12)
    shift = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    place = np.array([0.2, 0.4])
    both = compose(shift, turn)
    np.testing.assert_allclose(
        both[:, :2] @ place + both[:, 2], turn[:, :2] @ place + turn[:, 2] + (0.5, 0), atol=1e-12
    )


@pytest.mark.parametrize("aspect", [1.0, 0.5625])
def test_camera_movement_is_removed_from_the_joints(aspect: float) -> None:
    """A dancer who stands, filmed by a camera that pans: the joints stand. A cut begins anew."""
    count, pan = 20, np.array([0.02, -0.01])  # heights a frame
    places = np.tile(np.array([[0.4, 0.5], [0.6, 0.3]]), (count, 1, 1))
    moved = places + np.arange(count)[:, None, None] * pan / (aspect, 1)
    cuts = np.zeros(count, bool)
    cuts[12] = True
    steps = [IDENTITY] + [np.concatenate([np.eye(2), pan[:, None]], axis=1)] * (count - 1)
    found = steady(moved, steps, cuts, aspect)
    np.testing.assert_allclose(found[:12], places[:12], atol=1e-6)
    np.testing.assert_allclose(found[12:], np.broadcast_to(moved[12], found[12:].shape), atol=1e-6)


def test_a_camera_that_stands_changes_nothing() -> None:
    places = np.random.default_rng(0).random((30, 33, 2)).astype(np.float32)
    trembling = [np.array([[1, 0, 1e-4 * (-1) ** n], [0, 1, 0]]) for n in range(30)]
    np.testing.assert_array_equal(steady(places, trembling, np.zeros(30, bool), 1.0), places)


def test_a_pan_is_tracked_over_frames() -> None:
    large = wall(7, 480)
    camera = CameraMotion()
    for n in range(8):
        camera.push(large[100 : 100 + SIZE, 100 + 3 * n : 100 + 3 * n + SIZE], [])
    assert camera.steps[0] is IDENTITY
    np.testing.assert_allclose([s[0, 2] * SIZE for s in camera.steps[1:]], -3, atol=0.3)
