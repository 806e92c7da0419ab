"""Every metric of every system, with its uncertainty, as one report (its form: `report.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from . import statistics
from .folders import read_clips, read_systems
from .memorisation import TrainingClips
from .quality import quality_metrics
from .report import SCHEMA
from .scoring import (
    BUILT_IN,
    REFERENCE,
    SHUFFLED,
    Audio,
    EvaluationClip,
    EventCache,
    Scores,
    row_sounds,
    score_sounds,
)
from .settings import Settings
from .trackers import beat_tracker
from .training_music import leaks, read_training

__all__ = ["EvaluationClip", "aggregate", "evaluate_folders", "evaluate_systems"]

BUILT_IN_LABELS = {
    REFERENCE: "the reference music itself (what the detectors can reach)",
    SHUFFLED: "reference music of another clip",
    "click": "a click every 0.5 s",
    "silence": "silence",
}
DEFAULT_LABELS = {"model": "model", "ceiling": "reference through autoencoder and vocoder", **BUILT_IN_LABELS}

PAIRED = ("beat_f70", "onset_f50", "bas_dance_to_music", "bas_music_to_dance")
"""Scores whose difference to the shuffled row, clip by clip, is reported too."""


def aggregate(scores: Scores, *, seed: int = 0, no_dance: bool = False) -> dict[str, dict[str, Any]]:
    """One row's metrics over clips, each {"mean", "low", "high", "n"} or {"not_run": why}.

    `loris_csd` and `loris_hsd` are standard deviations over clips, `loris_f1` the harmonic mean of the two
    corpus means.
    `no_dance`: no clip came with kinematic beats (says why alignment is missing).
    """
    metrics: dict[str, dict[str, Any]] = {}

    def add(
        name: str, values: NDArray[np.float64], statistic: statistics.Statistic = statistics.mean
    ) -> None:
        interval = statistics.bootstrap(values, statistic, seed=seed)
        if interval is not None:
            metrics[name] = interval.as_dict()
        elif name.startswith("bas_") and no_dance:
            metrics[name] = {"not_run": "needs the clips' videos or feature files"}
        else:
            align = name.startswith("bas_")
            needed = "a clip with kinematic beats" if align else "a reference with beats and onsets"
            metrics[name] = {"not_run": f"needs {needed}; there is none"}

    coverage, hits = scores["loris_bcs"], scores["loris_bhs"]
    for name, values in scores.items():
        add(name, values)
        if name == "loris_bcs":
            add("loris_csd", coverage, statistics.standard_deviation)
        if name == "loris_bhs":
            add("loris_hsd", hits, statistics.standard_deviation)
            add("loris_f1", np.stack([coverage, hits], axis=1), statistics.harmonic_mean_of_means)
    return metrics


def evaluate_systems(
    clips: Sequence[EvaluationClip],
    systems: Mapping[str, Mapping[str, Audio]],
    labels: Mapping[str, str] | None = None,
    *,
    seed: int = 0,
    split: str = "unknown",
    leak_check: str = "unknown: not checked",
    command: str = "",
    seeds: Sequence[int] = (),
    quality: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Settings | None = None,
    training: TrainingClips | None = None,
) -> dict[str, Any]:
    """Score `systems` and the null rows on `clips` and return the report (the content of report.json).

    Args:
        clips: what to score on.
        systems: system name → clip name → sound (N,) at the clip's rate. Call the reference through
            autoencoder and vocoder `ceiling`.
        labels: system name → what the table calls it.
        seed: of the shuffle and of the bootstrap.
        split: which split the clips are, e.g. "mini/test".
        leak_check: "ok", "LEAKING: …" or "unknown: …".
        command: the command that makes this report.
        seeds: seeds the systems were trained or sampled with.
        quality: row name → metric name → {"mean", …} or {"not_run": why}, what was computed elsewhere; added to
            the rows.
        settings: which quality metrics are computed here and which tracker finds the beats; None: none, and
            librosa's.
        training: the training music, for the distance to the nearest training clip.
    Raises:
        UserError: see `score_systems` and `beat_tracker`; also a leak check of another form.
    """
    if leak_check != "ok" and not leak_check.startswith(("LEAKING: ", "unknown: ")):
        raise UserError(f"the leak check is {leak_check!r}: give 'ok', 'LEAKING: …' or 'unknown: …'")
    names = {**DEFAULT_LABELS, **(labels or {})}
    settings = settings or Settings()
    tracker = beat_tracker(settings.beat_tracker, settings.tracker_options())
    sounds = row_sounds(clips, systems, seed=seed)
    scores = score_sounds(clips, sounds, EventCache(tracker))
    computed, memorisation = quality_metrics(clips, sounds, settings, training=training, seed=seed)
    no_dance = all(clip.kinematic_beats is None for clip in clips)
    rows: list[dict[str, Any]] = []
    for system in (*systems, *BUILT_IN):
        row: dict[str, Any] = {"name": system, "label": names.get(system, system)}
        if system in scores:
            row["metrics"] = aggregate(scores[system], seed=seed, no_dance=no_dance)
        else:
            row["metrics"] = {name: {"not_run": "needs at least two clips"} for name in rows[0]["metrics"]}
        row["metrics"] |= computed.get(system, {})
        row["metrics"] |= (quality or {}).get(system, {})
        if system in systems and SHUFFLED in scores:
            pairs = {
                name: statistics.paired_difference(scores[system][name], scores[SHUFFLED][name], seed=seed)
                for name in PAIRED
            }
            row["minus_shuffled"] = {name: pair.as_dict() for name, pair in pairs.items() if pair is not None}
        rows.append(row)
    return {
        "schema": SCHEMA,
        "split": split,
        "clips": len(clips),
        "leak_check": leak_check,
        "command": command,
        "seeds": [int(s) for s in seeds],
        "beat_tracker": settings.beat_tracker,
        **({} if memorisation is None else {"memorisation": memorisation}),
        "rows": rows,
    }


def evaluate_folders(
    reference: str | Path,
    generated: str | Path | Mapping[str, str | Path],
    videos: str | Path | None = None,
    features: str | Path | None = None,
    *,
    ceiling: str | Path | None = None,
    labels: Mapping[str, str] | None = None,
    partial: bool = False,
    seed: int = 0,
    split: str = "unknown",
    leak_check: str | None = None,
    command: str = "",
    seeds: Sequence[int] = (),
    quality: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Settings | None = None,
    training: str | Path | None = None,
) -> dict[str, Any]:
    """Pair sound files by name, score them and return the report.

    Clips with a file that is unreadable, silent (the reference) or too short are scored in no row; the report names
    them with the reason under `left_out`.

    Args:
        reference: folder of reference music. Beside `<name>.wav` there may be `<name>.json` with `beats`
            (seconds) and `song`.
        generated: folder of generated music under the same names, or system name → folder.
        videos: folder with the dances under the same names, from which kinematic beats are read.
        features: folder with feature files `<name>.safetensors`, used rather than `videos` when both are
            given.
        ceiling: folder with the reference through autoencoder and vocoder.
        partial: score only the references for which every system has music; otherwise a missing one is an
            error.
        training: folder of the training music, or a manifest: the references are looked for in it (the leak
            check), and so is the generated music (the memorisation check).
        leak_check: None: what the search in the training music says, "unknown" without any.
        labels, seed, split, command, seeds, quality, settings: see `evaluate_systems`.
    Raises:
        UserError: see `evaluate_systems`; a folder without sound, a file without its partner, no clip left.
    """
    settings = settings or Settings()
    beat_tracker(
        settings.beat_tracker, settings.tracker_options()
    )  # raises before the work starts when it is missing
    folders: dict[str, str | Path] = (
        dict(generated) if isinstance(generated, Mapping) else {"model": generated}
    )
    if ceiling is not None:
        folders["ceiling"] = ceiling
    left_out: dict[str, str] = {}
    clips = read_clips(
        reference, folders, videos=videos, features=features, partial=partial, left_out=left_out
    )
    sounds = read_systems(clips, folders, left_out)
    clips = [clip for clip in clips if clip.name not in left_out]
    if not clips:
        raise UserError(f"no clip can be scored; the first: {next(iter(left_out.values()))}")
    learnt = None if training is None else read_training(training)
    if leak_check is None:
        nothing = "unknown: nothing is known of the training clips"
        leak_check = nothing if learnt is None else leaks(clips, learnt)
    report = evaluate_systems(
        clips,
        {system: {clip.name: of[clip.name] for clip in clips} for system, of in sounds.items()},
        labels,
        seed=seed,
        split=split,
        leak_check=leak_check,
        command=command,
        seeds=seeds,
        quality=quality,
        settings=settings,
        training=None if learnt is None else learnt.clips,
    )
    return {**report, "left_out": left_out} if left_out else report
