"""Generate music for a split of a corpus and score it beside null and ceiling rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import torch

from ..data.corpora.origin import check_corpus
from ..data.features.feature_file import Features, load_features
from ..data.manifest import CorpusPaths, DanceInfo, corpus_root, load_manifest
from ..errors import CorpusError
from ..sequence import LENGTH_TOLERANCE, SequenceConfig
from ..utils.files import atomic_path
from ..utils.progress import ProgressCallback
from .beats import resample
from .dance import dance_beats
from .evaluate import PAIRED, evaluate_systems
from .memorisation import TrainingClips
from .report import write_report
from .scoring import EvaluationClip
from .settings import Settings, load_settings
from .trackers import beat_tracker
from .training_music import read_training

logger = logging.getLogger(__name__)


class MusicModel(Protocol):
    """A model that can be evaluated, such as `PNDiffusion` or `DanceMusicGen`."""

    sequence: SequenceConfig

    @property
    def sample_rate(self) -> int: ...

    def generate_from_features(
        self,
        features: Sequence[Features],
        seeds: Sequence[int] | None = None,
        progress: ProgressCallback | None = None,
        names: Sequence[str] | None = None,
    ) -> list[torch.Tensor]: ...

    def reconstruct(self, wav: torch.Tensor) -> torch.Tensor: ...


@dataclass
class CorpusClip:
    """A clip of a prepared corpus with its features and reference music (N,)."""

    info: DanceInfo
    features: Features
    reference: np.ndarray


def read_split(manifest: str | Path, limit: int | None = None) -> list[CorpusClip]:
    """Clips of a manifest, in its order.

    Raises:
        CorpusError: the manifest or a clip's json is missing or damaged.
        FeatureFileError: a feature file is missing or damaged.
    """
    root = corpus_root(manifest)
    paths = CorpusPaths(root)
    clips = []
    for line in load_manifest(manifest)[:limit]:
        info = DanceInfo.load(Path(line["path"]).with_suffix(".json"), root)
        wav, _ = soundfile.read(line["path"], dtype="float32")
        clips.append(CorpusClip(info, load_features(paths.features(info.name)), wav))
    return clips


def leak_check(root: str | Path) -> str:
    """Check that the splits of a corpus share no song: "ok", "LEAKING: …" or "unknown: …"; see `check_corpus`."""
    return check_corpus(Path(root))


def evaluation_clip(clip: CorpusClip) -> EvaluationClip:
    """A clip as the metrics need it."""
    return EvaluationClip(
        name=clip.info.name,
        reference=clip.reference,
        sample_rate=clip.info.sample_rate,
        beats=None if clip.info.beats is None else np.asarray(clip.info.beats, dtype=np.float64),
        kinematic_beats=dance_beats(clip.features),
        song=clip.info.song,
    )


def evaluate_corpus(
    model: MusicModel,
    manifest: str | Path,
    out: Path,
    *,
    seed: int = 0,
    command: str = "",
    limit: int | None = None,
    progress: ProgressCallback | None = None,
    label: str = "PN-Diffusion",
    clips: list[CorpusClip] | None = None,
    others: Mapping[str, MusicModel] | None = None,
    settings: Settings | None = None,
    training: str | Path | Sequence[str | Path] | None = None,
) -> dict[str, Any]:
    """Generate music for every clip of a split, write and score it, write `report.json` and `report.md`.

    Clips shorter than a model's window are left out with a warning.

    Args:
        out: folder for `model/<clip>.wav`, `ceiling/<clip>.wav` and the report.
        seed: clip i is generated with seed + i.
        clips: clips of `read_split`, if they have been read already.
        others: further models by name, each with a row of its own: same clips, same seeds.
        settings: beat tracker and quality metrics; None: the defaults of `config/solver/default.yaml`.
        training: manifests of the training clips, for the distance to the nearest one; None: the corpus's own.

    Returns:
        The report (docs/reference/formats.md).

    Raises:
        CorpusError: see `read_split`; or every clip is too short.
    """
    settings = load_settings() if settings is None else settings
    beat_tracker(
        settings.beat_tracker, settings.tracker_options()
    )  # fails before the generation if it is not installed
    clips = read_split(manifest, limit) if clips is None else clips
    clips = [_at_rate(clip, model.sample_rate) for clip in clips]
    clips = long_enough(clips, max(one.sequence.seconds for one in (model, *(others or {}).values())))
    seeds = [seed + index for index in range(len(clips))]
    features, names = [clip.features for clip in clips], [clip.info.name for clip in clips]
    systems = {
        name: _named(clips, one.generate_from_features(features, seeds, progress, names))
        for name, one in {"model": model, **(others or {})}.items()
    }
    ceiling = (model.reconstruct(torch.from_numpy(clip.reference)) for clip in clips)
    systems["ceiling"] = _named(clips, ceiling)
    for name, waves in systems.items():
        for clip_name, wav in waves.items():
            with atomic_path(out / name / f"{clip_name}.wav") as temporary:
                soundfile.write(temporary, wav, model.sample_rate)
    root = corpus_root(manifest)
    report = evaluate_systems(
        [evaluation_clip(clip) for clip in clips],
        systems,
        {"model": label},
        seed=seed,
        split=f"{root.name}/{Path(manifest).name}",
        leak_check=leak_check(root),
        command=command,
        seeds=seeds,
        settings=settings,
        training=_training(root, training, settings),
    )
    write_report(report, out / "report.json")
    return report


def _training(
    root: Path, manifests: str | Path | Sequence[str | Path] | None, settings: Settings
) -> TrainingClips | None:
    """The training clips, if the metric is enabled and there are any."""
    source = CorpusPaths(root).manifest("train") if manifests is None else manifests
    if "nearest_training" not in settings.metrics:
        return None
    try:
        limit = (settings.options.get("nearest_training") or {}).get("clips")
        return read_training(source, limit).clips
    except CorpusError as error:  # a corpus of test clips alone
        logger.warning("no distance to training clips: %s", error)
        return None


def _at_rate(clip: CorpusClip, sample_rate: int) -> CorpusClip:
    """Resample a clip's music to the model's rate (Hz)."""
    if clip.info.sample_rate == sample_rate:
        return clip
    reference = resample(clip.reference, clip.info.sample_rate, sample_rate)
    info = replace(clip.info, sample_rate=sample_rate, n_samples=len(reference))
    return replace(clip, info=info, reference=reference)


def long_enough(clips: list[CorpusClip], seconds: float) -> list[CorpusClip]:
    """Clips that last at least `seconds`, the length of a model's window.

    Raises:
        CorpusError: there are clips, and all are shorter.
    """
    kept = [clip for clip in clips if clip.features.header.seconds >= seconds - LENGTH_TOLERANCE]
    short = [clip.info.name for clip in clips if clip.features.header.seconds < seconds - LENGTH_TOLERANCE]
    if short and not kept:
        raise CorpusError(
            f"all {len(short)} clips to evaluate ({short[0]}, …) are shorter than the model's window of "
            f"{seconds:g} s: give longer ones, or train with a smaller segment_seconds"
        )
    if short:
        logger.warning(
            "%d of %d clips are shorter than the model's window of %g s and left out, e.g. %s",
            len(short), len(clips), seconds, short[0],
        )  # fmt: skip
    return kept


def _named(clips: Iterable[CorpusClip], waves: Iterable[torch.Tensor]) -> dict[str, np.ndarray]:
    """Waves by name of the clip, cut to the length of the reference."""
    return {
        clip.info.name: wav.reshape(-1).numpy()[: len(clip.reference)]
        for clip, wav in zip(clips, waves, strict=True)
    }


def flat_metrics(report: dict[str, Any]) -> dict[str, float]:
    """Means of a report for a solver's log: those of the model, and the paired ones of other rows as `row/metric`."""
    flat = {}
    for row in report["rows"]:
        model = row["name"] == "model"
        for name, value in row["metrics"].items():
            if "mean" in value and (model or name in PAIRED):
                flat[name if model else f"{row['name']}/{name}"] = float(value["mean"])
    return flat
