"""HDR to SDR: a look-up table from BT.2020 colours in HLG or PQ to BT.709.

Light above the display's is compressed by the curve of ITU-R BT.2390 ("EETF"), on the largest of the three components
so that hues stay. HDR's reference white of 203 cd/m² (BT.2408) is the display's peak, 1000 cd/m² the source's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from av.video.reformatter import ColorTrc
from numpy.typing import NDArray

Array = NDArray[np.float64]

SOURCE_PEAK, DISPLAY_PEAK = 1000.0, 203.0  # cd/m²
_TABLE_SIZE = 33  # entries an axis
_M1, _M2, _C1, _C2, _C3 = (
    2610 / 16384,
    2523 / 32,
    3424 / 4096,
    2413 / 128,
    2392 / 128,
)  # of PQ (SMPTE ST 2084)
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # of HLG (ITU-R BT.2100)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593])  # BT.2020
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)  # BT.2087


def pq_to_light(signal: Array) -> Array:
    """PQ signal in [0, 1] → cd/m²."""
    power = signal ** (1 / _M2)
    return 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def light_to_pq(light: Array) -> Array:
    """cd/m² → PQ signal in [0, 1]."""
    power = (light / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_to_light(signal: Array) -> Array:
    """HLG signals (..., 3) in [0, 1] → cd/m² of a display with a peak of 1000 cd/m² (system gamma 1.2)."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
    return SOURCE_PEAK * (scene @ _LUMINANCE)[..., None] ** 0.2 * scene


TRANSFERS = {ColorTrc.SMPTE2084: pq_to_light, ColorTrc.ARIB_STD_B67: hlg_to_light}


def compress(light: Array) -> Array:
    """cd/m² of the source → of the display: unchanged up to a knee, then a Hermite spline in PQ (BT.2390, 5.1)."""
    top = light_to_pq(np.array(SOURCE_PEAK))
    signal = np.minimum(light_to_pq(light) / top, 1)
    peak = light_to_pq(np.array(DISPLAY_PEAK)) / top
    knee = 1.5 * peak - 0.5
    t = (signal - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * peak
    )
    return pq_to_light(np.where(signal < knee, signal, spline) * top)


def to_sdr(signal: Array, transfer: ColorTrc) -> Array:
    """R'G'B' (..., 3) of BT.2020 in HLG or PQ → R'G'B' of BT.709 for a display of gamma 2.4 (BT.1886), in [0, 1]."""
    light = TRANSFERS[transfer](signal)
    largest = light.max(axis=-1, keepdims=True)
    light = light * (compress(largest) / np.maximum(largest, 1e-9))
    return np.clip(light @ _TO_709.T / DISPLAY_PEAK, 0, 1) ** (1 / 2.4)


def write_table(path: str | Path, transfer: ColorTrc) -> None:
    """Write `to_sdr` as a table in the cube format, for FFmpeg's filter lut3d."""
    axis = np.linspace(0, 1, _TABLE_SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    table = to_sdr(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer)
    with open(path, "w") as stream:
        stream.write(f"LUT_3D_SIZE {_TABLE_SIZE}\n")
        np.savetxt(stream, table, "%.6f")
