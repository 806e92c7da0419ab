"""Quality of the music, whatever the dance: audiocraft's metrics by its own classes, and three of ours.

    fad, kld, chroma_cosine, rvm, visqol   audiocraft.metrics, built from the keys `metrics.*` as MusicGen's and
                                           EnCodec's solvers build them
    frechet_musicnn                        `frechet.py` in musicnn's embedding: not the VGGish-based FAD
    kad_musicnn                            `kernel_distance.py` in the same embedding
    nearest_training                       `memorisation.py`: mean distance to the nearest training clip

Every value is {"mean", "low", "high", "n"} over clips, or {"not_run": "needs …"}: a metric whose program, package or
weights are missing says so and stops nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .frechet import frechet_clips
from .kernel_distance import kernel_clips
from .memorisation import Nearest, TrainingClips, summary
from .scoring import REFERENCE, SHUFFLED, EvaluationClip, Sounds
from .settings import QUALITY, Settings
from .statistics import NotRun, Rows, interval

logger = logging.getLogger(__name__)

Windows = dict[str, list[NDArray[np.float32]]]


def quality_metrics(
    clips: Sequence[EvaluationClip],
    sounds: Sounds,
    settings: Settings,
    *,
    training: TrainingClips | None = None,
    seed: int = 0,
) -> tuple[Rows, dict[str, Any] | None]:
    """Every metric of `settings` for every row.

    Args:
        clips, sounds: see `scoring.row_sounds`.
        settings: which metrics, and how.
        training: the training music, for `nearest_training`.
        seed: of the bootstrap.
    Returns:
        row name → metric name → value, all of `QUALITY` (disabled ones as not run); and what the memorisation
        check found beside the means (`memorisation.summary`), or None.
    """
    rows: Rows = {row: {} for row in sounds}
    embedded = cache(lambda: _embedded(clips, sounds))  # for two metrics
    found: dict[str, list[Nearest | None]] = {}

    def nearest() -> Rows:
        if training is None:
            raise NotRun("needs the training music")
        for row, wavs in sounds.items():
            found[row] = [
                training.nearest(wav, clip.sample_rate) for clip, wav in zip(clips, wavs, strict=True)
            ]
        return {
            row: {"nearest_training": interval([None if n is None else n.distance for n in near], seed)}
            for row, near in found.items()
        }

    computed: dict[str, Callable[[], Rows]] = {
        "frechet_musicnn": lambda: _distance(frechet_clips, "frechet_musicnn", embedded(), seed),
        "kad_musicnn": lambda: _distance(kernel_clips, "kad_musicnn", embedded(), seed),
        "nearest_training": nearest,
        **{name: _audiocraft(name, clips, sounds, settings, seed) for name in QUALITY[3:]},
    }
    for name in QUALITY:
        try:
            if name not in settings.metrics:
                raise NotRun(f"needs evaluate.metrics.{name}=true")
            values = computed[name]()
        except NotRun as reason:
            values = {row: {name: {"not_run": str(reason)}} for row in sounds}
        for row in sounds:
            rows[row] |= values[row]
    if training is None or not found:
        return rows, None
    made = {row: near for row, near in found.items() if row not in (SHUFFLED, "click", "silence")}
    return rows, summary([clip.name for clip in clips], made, len(training))


def _embedded(clips: Sequence[EvaluationClip], sounds: Sounds) -> Windows:
    """Row name → for each clip its windows (w, D) in musicnn's embedding."""
    from .embedding import Embedder  # torch takes seconds to import

    embed = Embedder()
    return {
        row: [embed(wav, clip.sample_rate) for clip, wav in zip(clips, wavs, strict=True)]
        for row, wavs in sounds.items()
    }


def _distance(measure: Callable[..., dict[str, Any]], name: str, embedded: Windows, seed: int) -> Rows:
    """A distance of every row's music to the reference music."""
    rows: Rows = {}
    for row, windows in embedded.items():
        if row in (REFERENCE, SHUFFLED):
            value: dict[str, Any] = {"not_run": "needs other music than the reference clips themselves"}
        else:
            value = measure(windows, embedded[REFERENCE], seed=seed)
        rows[row] = {name: value}
    return rows


def _audiocraft(
    name: str, clips: Sequence[EvaluationClip], sounds: Sounds, settings: Settings, seed: int
) -> Callable[[], Rows]:
    def compute() -> Rows:
        from .audiocraft_metrics import METRICS

        try:
            return METRICS[name](clips, sounds, dict(settings.options.get(name) or {}), seed)
        except NotRun:
            raise
        except ImportError as error:
            raise NotRun(f"needs a package that is not there ({error})") from error
        except Exception as error:  # third-party code on arbitrary input must not end the report
            logger.warning("%s failed", name, exc_info=True)
            raise NotRun(f"needs mending, it failed with {type(error).__name__}: {error}") from error

    return compute
