"""Ways from pose to pose: halts on the beat, flowing or popping, with anticipation; feet that step."""

from __future__ import annotations

import numpy as np

ANTICIPATION = 0.35  # first share of a way in which a body goes back a little before a large move


def run_through(
    times: np.ndarray,
    values: np.ndarray,
    at: np.ndarray,
    *,
    sharpness: float,
    flow: float = 0.0,
    windup: float = 0.0,
) -> np.ndarray:
    """Values (T, P) at the times `at` of a body that arrives in each key at its time.

    Cubic Hermite pieces whose speed in a key is `flow` of the Catmull-Rom tangent (0: the body halts, and speed has a
    V-shaped minimum there), mixed with the minimum-jerk curve 10u³ − 15u⁴ + 6u⁵ (Flash & Hogan 1985), which dwells
    longer in the key. `windup` adds a small way back at the start of a large way, as people do before they jump.

    Args:
        times: (K,) increasing seconds.
        values: (K, P).
        at: (T,) seconds within `times`.
        sharpness: 0 (flowing) … 1 (popping).
        flow: 0 … 1.
        windup: share of the way that it goes back.
    """
    i = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    span = (times[i + 1] - times[i])[:, None]
    u = np.clip((at - times[i])[:, None] / span, 0.0, 1.0)
    slope = np.zeros_like(values)
    slope[1:-1] = flow * (values[2:] - values[:-2]) / (times[2:] - times[:-2])[:, None]
    way = values[i + 1] - values[i]
    hermite = (
        values[i]
        + way * u**2 * (3 - 2 * u)
        + span * slope[i] * u * (1 - u) ** 2
        - span * slope[i + 1] * u**2 * (1 - u)
    )
    popping = values[i] + way * u**3 * (10 - 15 * u + 6 * u**2)
    back = windup * way * np.sin(np.pi * np.clip(u / ANTICIPATION, 0, 1)) ** 2
    return np.asarray((1 - sharpness) * hermite + sharpness * popping - back)


def steps(
    times: np.ndarray, places: np.ndarray, lifts: np.ndarray, at: np.ndarray, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """A foot's place (T, 2) on the floor and its lift (T,): planted between steps, in an arc during them.

    It leaves the floor at a tenth of the way's time and lands on the key's time.

    Args:
        times: (K,) increasing seconds.
        places: (K, 2) where it is at each of them, body heights.
        lifts: (K,) how far off the floor it is then.
        at: (T,) seconds.
        height: of a step's arc, at most.
    """
    i = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    u = np.clip((at - times[i]) / (times[i + 1] - times[i]), 0.0, 1.0)
    u = np.clip((u - 0.1) / 0.9, 0.0, 1.0)
    s = u**2 * (3 - 2 * u)
    way = places[i + 1] - places[i]
    length = np.hypot(way[:, 0], way[:, 1])
    arc = np.minimum(0.35 * length, height) * np.sin(np.pi * s) ** 2
    return places[i] + s[:, None] * way, lifts[i] + s * (lifts[i + 1] - lifts[i]) + arc


def drift(rng: np.random.Generator, at: np.ndarray, amount: float, fastest: float = 0.9) -> np.ndarray:
    """A slow wander (T,) of standard deviation `amount`: four sines of 0.1 to `fastest` Hz."""
    rates, phases = rng.uniform(0.1, fastest, 4), rng.uniform(0, 2 * np.pi, 4)
    wander = np.sin(2 * np.pi * rates * at[:, None] + phases).sum(axis=1)
    return np.asarray(amount * wander / np.sqrt(2.0))


def streams(seed: np.random.SeedSequence, count: int) -> list[np.random.SeedSequence]:
    """Independent seeds out of one, the same ones at every call (`seed.spawn` would give others the next time)."""
    return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key).spawn(count)
