"""From keypoints in a picture to numbers a network can use: body frame, velocity, speed, acceleration."""

from __future__ import annotations

import torch

from .skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

MOTION_INPUTS = {"position": 2, "velocity": 2, "speed": 1, "acceleration": 2}
_MIN_TORSO = 0.02  # of the picture's height: a smaller torso is a detection gone wrong


def motion_features(keypoints: torch.Tensor, fps: float, inputs: tuple[str, ...]) -> torch.Tensor:
    """Describe every joint at every frame, free of where in the picture and how large the dancer is.

    Lengths are in torso lengths (mid-hip to mid-shoulder, median over time), times in seconds.
    `position` is relative to the mid-hip of the same frame; the derivatives are those of the place in the
    picture, so that a step to the side counts. Derivatives are central differences (one-sided at the ends).

    Args:
        keypoints: (B, T, J, 3): x, y in one unit of length (heights of the picture), visibility.
        fps: frames a second (Hz).
        inputs: names out of `MOTION_INPUTS`, in the order wanted.

    Returns:
        (B, T, J, C), C being the sum of the inputs' sizes.

    Raises:
        ValueError: for an unknown name.
    """
    unknown = [name for name in inputs if name not in MOTION_INPUTS]
    if unknown:
        raise ValueError(f"motion input {unknown[0]!r} is unknown: choose from {', '.join(MOTION_INPUTS)}")
    place = keypoints[..., :2]
    hip = place[..., [LEFT_HIP, RIGHT_HIP], :].mean(dim=-2, keepdim=True)
    shoulder = place[..., [LEFT_SHOULDER, RIGHT_SHOULDER], :].mean(dim=-2, keepdim=True)
    torso = (
        (shoulder - hip).norm(dim=-1, keepdim=True).median(dim=1, keepdim=True).values.clamp(min=_MIN_TORSO)
    )
    parts: dict[str, torch.Tensor] = {"position": (place - hip) / torso}
    if set(inputs) - {"position"}:
        parts["velocity"] = _derivative(place / torso, fps)
    if "speed" in inputs:
        parts["speed"] = parts["velocity"].norm(dim=-1, keepdim=True)
    if "acceleration" in inputs:
        parts["acceleration"] = _derivative(parts["velocity"], fps)
    return torch.cat([parts[name] for name in inputs], dim=-1)


def _derivative(x: torch.Tensor, fps: float) -> torch.Tensor:
    """Central difference along dim 1, times `fps`; (B, T, …) → the same shape."""
    if x.shape[1] < 2:
        return torch.zeros_like(x)
    return torch.gradient(x, spacing=1.0 / fps, dim=1)[0]
