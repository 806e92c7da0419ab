"""Where a generated dancer's arms may be; each arm as (raise, azimuth, fore_raise, fore_azimuth) in radians."""

from __future__ import annotations

Arm = tuple[float, float, float, float]

DOWN: Arm = (0.25, 0.2, 0.35, 0.8)
OUT: Arm = (1.5, 0.1, 1.5, 0.1)
UP: Arm = (2.75, 0.2, 2.9, 0.2)
HIGH: Arm = (2.3, 0.1, 2.5, 0.1)
FIST: Arm = (0.6, 0.3, 2.3, 1.0)
HIP: Arm = (0.75, -0.3, 0.65, 2.3)
ACROSS: Arm = (0.9, 1.3, 1.3, 2.4)
FRONT: Arm = (1.3, 1.3, 1.5, 1.4)
GOAL: Arm = (1.55, 0.1, 3.0, 0.2)  # upper arms out, forearms up
DROP: Arm = (1.55, 0.1, 0.15, 0.2)  # upper arms out, forearms down


def arms(left: tuple[float, ...], right: tuple[float, ...]) -> dict[str, float]:
    """Both arms as parameters of a pose (see `body`)."""
    names = ("raise", "azimuth", "fore_raise", "fore_azimuth")
    return {f"left_{n}": v for n, v in zip(names, left, strict=True)} | {
        f"right_{n}": v for n, v in zip(names, right, strict=True)
    }
