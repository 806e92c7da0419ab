"""Motion features of keypoints: positions in the body frame, velocity, speed, acceleration."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..data.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

MOTION_INPUTS = {"position": 2, "velocity": 2, "speed": 1, "acceleration": 2}
_MIN_TORSO = 0.02  # relative to the frame's height; smaller values are failed detections


def motion_features(
    keypoints: torch.Tensor, fps: float, inputs: tuple[str, ...], seen: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute features of every joint and frame that do not depend on the dancer's position and size in the frame.

    Lengths are in torso lengths (mid-hip to mid-shoulder, median over time), times in seconds. `position` is relative
    to the mid-hip of the same frame; derivatives are those of the position in the frame, so that steps to the side are
    included. Derivatives are central differences, one-sided at the ends and beside a gap, 0 between two gaps, so that
    interpolated keypoints do not affect detected ones.

    Args:
        keypoints: (B, T, J, 3): x, y relative to the frame's height, visibility.
        fps: frames per second (Hz).
        inputs: names in `MOTION_INPUTS`, in output order.
        seen: (B, T, J) bool, True for detected joints; None: all.

    Returns:
        (B, T, J, C), C being the sum of the inputs' sizes; undefined where `seen` is False.

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
    """Median over frames with a detected trunk, over all frames if there are none: (B, T, 1, 1) → (B, 1, 1, 1)."""
    torso = length.median(dim=1, keepdim=True).values
    if seen is not None:
        trunk = seen[..., [LEFT_HIP, RIGHT_HIP, LEFT_SHOULDER, RIGHT_SHOULDER]].all(dim=-1)[..., None, None]
        known = length.masked_fill(~trunk, torch.nan).nanmedian(dim=1, keepdim=True).values
        torso = torch.where(known.isnan(), torso, known)
    return torso.clamp(min=_MIN_TORSO)


def _derivative(x: torch.Tensor, fps: float, seen: torch.Tensor | None) -> torch.Tensor:
    """Derivative along dim 1 between detected joints, (B, T, J, C) → the same shape."""
    if x.shape[1] < 2:
        return torch.zeros_like(x)
    central = torch.gradient(x, spacing=1.0 / fps, dim=1)[0]
    if seen is None:
        return central
    step = x.diff(dim=1) * fps
    known = (seen[:, 1:] & seen[:, :-1])[..., None]
    # Differences to the previous and the next frame. At an end there is one of them, which `central` is.
    before, after = F.pad(step, (0, 0, 0, 0, 1, 0)), F.pad(step, (0, 0, 0, 0, 0, 1))
    from_before = F.pad(known, (0, 0, 0, 0, 1, 0), value=True)
    to_after = F.pad(known, (0, 0, 0, 0, 0, 1), value=True)
    one_sided = torch.where(from_before, before, torch.where(to_after, after, torch.zeros_like(x)))
    return torch.where(from_before & to_after, central, one_sided)
