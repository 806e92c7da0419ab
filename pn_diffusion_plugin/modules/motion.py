"""From keypoints in a picture to numbers a network can use: body frame, velocity, speed, acceleration."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..data.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

MOTION_INPUTS = {"position": 2, "velocity": 2, "speed": 1, "acceleration": 2}
_MIN_TORSO = 0.02  # of the picture's height: a smaller torso is a detection gone wrong


def motion_features(
    keypoints: torch.Tensor, fps: float, inputs: tuple[str, ...], seen: torch.Tensor | None = None
) -> torch.Tensor:
    """Describe every joint at every frame, free of where in the picture and how large the dancer is.

    Lengths are in torso lengths (mid-hip to mid-shoulder, median over time), times in seconds.
    `position` is relative to the mid-hip of the same frame; the derivatives are those of the place in the
    picture, so that a step to the side counts. Derivatives are central differences, one-sided at the ends and
    beside a gap, 0 between two gaps: what stands in a gap (interpolated places) touches no joint that was seen.

    Args:
        keypoints: (B, T, J, 3): x, y in one unit of length (heights of the picture), visibility.
        fps: frames a second (Hz).
        inputs: names out of `MOTION_INPUTS`, in the order wanted.
        seen: (B, T, J) bool, which joints were found in which frames; None: all of them.

    Returns:
        (B, T, J, C), C being the sum of the inputs' sizes; without meaning where nothing was seen.

    Raises:
        ValueError: for an unknown name.
    """
    unknown = [name for name in inputs if name not in MOTION_INPUTS]
    if unknown:
        raise ValueError(f"motion input {unknown[0]!r} is unknown: choose from {', '.join(MOTION_INPUTS)}")
    place = keypoints[..., :2]
    hip = place[..., [LEFT_HIP, RIGHT_HIP], :].mean(dim=-2, keepdim=True)
    shoulder = place[..., [LEFT_SHOULDER, RIGHT_SHOULDER], :].mean(dim=-2, keepdim=True)
    torso = _torso_length((shoulder - hip).norm(dim=-1, keepdim=True), seen)
    parts: dict[str, torch.Tensor] = {"position": (place - hip) / torso}
    if set(inputs) - {"position"}:
        parts["velocity"] = _derivative(place / torso, fps, seen)
    if "speed" in inputs:
        parts["speed"] = parts["velocity"].norm(dim=-1, keepdim=True)
    if "acceleration" in inputs:
        parts["acceleration"] = _derivative(parts["velocity"], fps, seen)
    return torch.cat([parts[name] for name in inputs], dim=-1)


def _torso_length(length: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
    """Median over the frames that show the trunk, all of them where none does: (B, T, 1, 1) → (B, 1, 1, 1)."""
    torso = length.median(dim=1, keepdim=True).values
    if seen is not None:
        trunk = seen[..., [LEFT_HIP, RIGHT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER]].all(dim=-1)[..., None, None]
        known = length.masked_fill(~trunk, torch.nan).nanmedian(dim=1, keepdim=True).values
        torso = torch.where(known.isnan(), torso, known)
    return torso.clamp(min=_MIN_TORSO)


def _derivative(x: torch.Tensor, fps: float, seen: torch.Tensor | None) -> torch.Tensor:
    """Difference along dim 1, times `fps`, between what was seen; (B, T, J, C) → the same shape."""
    if x.shape[1] < 2:
        return torch.zeros_like(x)
    central = torch.gradient(x, spacing=1.0 / fps, dim=1)[0]
    if seen is None:
        return central
    step = x.diff(dim=1) * fps
    known = (seen[:, 1:] & seen[:, :-1])[..., None]
    # What leads to a frame and what leads away from it. At an end there is one of the two, and `central` is that one.
    before, after = F.pad(step, (0, 0, 0, 0, 1, 0)), F.pad(step, (0, 0, 0, 0, 0, 1))
    from_before = F.pad(known, (0, 0, 0, 0, 1, 0), value=True)
    to_after = F.pad(known, (0, 0, 0, 0, 0, 1), value=True)
    one_sided = torch.where(from_before, before, torch.where(to_after, after, torch.zeros_like(x)))
    return torch.where(from_before & to_after, central, one_sided)
