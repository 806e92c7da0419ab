"""Interpolation between key poses, with stops on the beat and anticipation; steps of the feet."""

from __future__ import annotations

import numpy as np

ANTICIPATION = 0.35  # first share of a move, in which the body goes back a little


def segments(times: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (T,) of the key before each time, and how far it is to the next one (T,), in [0, 1]."""
    i = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    return i, np.clip((at - times[i]) / (times[i + 1] - times[i]), 0.0, 1.0)


def ease(u: np.ndarray, sharpness: float) -> np.ndarray:
    """Share of a move that is done at `u` in [0, 1]: 3u² − 2u³ (sharpness 0) to the minimum-jerk curve
    10u³ − 15u⁴ + 6u⁵ (Flash & Hogan 1985), which stays longer in the key (1).

    Both are symmetric about their middle: neither moves the minimum of speed off the key's time.
    """
    return (1.0 - sharpness) * (u**2 * (3.0 - 2.0 * u)) + sharpness * (u**3 * (10.0 - 15.0 * u + 6.0 * u**2))


def run_through(
    times: np.ndarray,
    values: np.ndarray,
    at: np.ndarray,
    *,
    sharpness: float,
    flow: float = 0.0,
    windup: float = 0.0,
) -> np.ndarray:
    """Interpolate keys: values (T, P) at the times `at`.

    Cubic Hermite segments whose speed in a key is `flow` of the Catmull-Rom tangent (0: the body stops, and its speed
    has a V-shaped minimum there), eased by `sharpness`. `windup` adds a small move back at the start of a move, as
    people do before they jump.

    Args:
        times: (K,) increasing seconds.
        values: (K, P).
        at: (T,) seconds within `times`.
        sharpness: 0 (flowing) … 1 (popping).
        flow: 0 … 1.
        windup: size of the move back, as a share of the move.
    """
    i, u = segments(times, at)
    span, u = (times[i + 1] - times[i])[:, None], u[:, None]
    slope = np.zeros_like(values)
    slope[1:-1] = flow * (values[2:] - values[:-2]) / (times[2:] - times[:-2])[:, None]
    move = values[i + 1] - values[i]
    tangents = span * (slope[i] * u * (1 - u) ** 2 - slope[i + 1] * u**2 * (1 - u))
    back = windup * move * np.sin(np.pi * np.clip(u / ANTICIPATION, 0, 1)) ** 2
    return np.asarray(values[i] + ease(u, sharpness) * move + (1 - sharpness) * tangents - back)


def steps(
    times: np.ndarray, places: np.ndarray, lifts: np.ndarray, at: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a foot's positions: (T, 2) on the floor and lift (T,); planted between steps, in an arc during them.

    It leaves the floor after a tenth of the time between two keys and lands on the time of the second.

    Args:
        times: (K,) increasing seconds.
        places: (K, 2) its position at each time, body heights.
        lifts: (K,) its height above the floor.
        at: (T,) seconds.
        height: largest height of a step's arc.
    """
    i, u = segments(times, at)
    s = ease(np.clip((u - 0.1) / 0.9, 0.0, 1.0), 0.0)
    way = places[i + 1] - places[i]
    length = np.hypot(way[:, 0], way[:, 1])
    arc = np.minimum(0.35 * length, height) * np.sin(np.pi * s) ** 2
    return places[i] + s[:, None] * way, lifts[i] + s * (lifts[i + 1] - lifts[i]) + arc


def drift(rng: np.random.Generator, at: np.ndarray, amount: float, fastest: float = 0.9) -> np.ndarray:
    """Slow random drift (T,) of standard deviation `amount`: four sines of 0.1 to `fastest` Hz."""
    rates, phases = rng.uniform(0.1, fastest, 4), rng.uniform(0, 2 * np.pi, 4)
    wander = np.sin(2 * np.pi * rates * at[:, None] + phases).sum(axis=1)
    return np.asarray(amount * wander / np.sqrt(2.0))
