"""The metrics as torchmetrics, for loops that see a batch at a time and for several workers.

Each gives what the plain function of the same name in this package gives, averaged over clips; a clip for which a
score is not defined (nan) is left out, as in a report. Updates take clips in any number, `compute` joins the clips of
all workers, and `interval()` gives the 95 % bootstrap interval beside the mean.

    BeatFMeasure, OnsetFMeasure, TempoError, BeatAlignment     on event times (seconds)
    LorisScores, D2MScores                                     on event times and lengths
    MusicScores                                                every score of a report, from sounds
    FrechetMusicnn, NearestTraining                            from sounds

Sounds come as in audiocraft's metrics: `update(preds, targets, sizes, sample_rates)` with preds and targets
(B, C, T), sizes (B,) in samples and sample_rates (B,) in Hz.

>>> metric = BeatFMeasure()
>>> metric.update([[0.5, 1.0]], [[0.5, 2.0]])
>>> round(float(metric.compute()), 3)
0.5
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from . import beats, statistics
from .dance import dance_music_alignment
from .embedding import Embedder
from .evaluate import aggregate
from .frechet import frechet_clips
from .memorisation import TrainingClips
from .musicnn import DIM
from .scoring import clip_scores
from .trackers import beat_tracker

Events = Sequence[object]
"""For each clip its event times (events,), seconds."""


class _PerClip(Metric):
    """Keeps a row (K,) of numbers for every clip, in double precision.

    `columns` names the K numbers. `width` is K.
    """

    full_state_update = False
    columns: tuple[str, ...] = ()

    values: Any  # tensors (clips, K), one after a synchronisation

    def __init__(self, width: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._width = len(self.columns) if width is None else width
        self.add_state("values", default=[], dist_reduce_fx="cat")

    def _add(self, rows: object) -> None:
        array = np.asarray(rows, dtype=np.float64).reshape(-1, self._width)
        self.values.append(torch.from_numpy(array).to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Join the clips of all workers; one that has seen none takes part with none."""
        if not self._is_synced and not isinstance(self.values, Tensor) and not self.values:
            self._add(np.zeros((0, self._width)))
        super().sync(*args, **kwargs)

    def per_clip(self) -> NDArray[np.float64]:
        """(clips, K) numbers of this worker's clips (of all workers', inside `compute`)."""
        if not isinstance(self.values, Tensor) and not self.values:
            return np.zeros((0, self._width))
        return np.asarray(dim_zero_cat(self.values).cpu().numpy(), dtype=np.float64)

    def interval(self, column: str | None = None, seed: int = 0) -> statistics.Interval | None:
        """Mean of a column (None: the only one) with its interval; None when no clip defines it."""
        index = 0 if column is None else self.columns.index(column)
        with self.sync_context(should_sync=self._to_sync, should_unsync=True):
            return statistics.bootstrap(self.per_clip()[:, index], seed=seed)

    def _means(self) -> dict[str, Tensor]:
        values = self.per_clip()
        return {name: _mean(values[:, i]) for i, name in enumerate(self.columns)}


def _mean(values: NDArray[np.float64]) -> Tensor:
    defined = values[~np.isnan(values)]
    return torch.tensor(defined.mean() if defined.size else float("nan"), dtype=torch.float64)


class BeatFMeasure(_PerClip):
    """F-measure of beats within ±`window` s (`beats.beat_f_measure`)."""

    columns = ("beat_f70",)
    higher_is_better = True

    def __init__(self, window: float = beats.BEAT_WINDOW, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window = window

    def update(self, preds: Events, targets: Events) -> None:
        """Beats of generated and of reference music, a list of times for each clip."""
        self._add([beats.beat_f_measure(t, p, self.window) for p, t in zip(preds, targets, strict=True)])

    def compute(self) -> Tensor:
        """Mean over clips."""
        return self._means()[self.columns[0]]


class OnsetFMeasure(BeatFMeasure):
    """F-measure of onsets within ±`window` s (`beats.onset_f_measure`)."""

    columns = ("onset_f50",)

    def __init__(self, window: float = beats.ONSET_WINDOW, **kwargs: Any) -> None:
        super().__init__(window, **kwargs)

    def update(self, preds: Events, targets: Events) -> None:
        """Onsets of generated and of reference music, a list of times for each clip."""
        self._add([beats.onset_f_measure(t, p, self.window) for p, t in zip(preds, targets, strict=True)])


class TempoError(_PerClip):
    """Relative tempo error and share of octave errors (`beats.tempo_error`)."""

    columns = ("tempo_error", "tempo_octave")
    higher_is_better = False

    def update(self, preds: Events, targets: Events) -> None:
        """Beats of generated and of reference music, a list of times for each clip."""
        self._add([beats.tempo_error(t, p) for p, t in zip(preds, targets, strict=True)])

    def compute(self) -> dict[str, Tensor]:
        """Means over clips."""
        return self._means()


class BeatAlignment(_PerClip):
    """Beat Alignment Score of dance and music, both ways (`dance.dance_music_alignment`)."""

    columns = ("bas_dance_to_music", "bas_music_to_dance")
    higher_is_better = True

    def update(self, preds: Events, dance: Events) -> None:
        """Beats of generated music and kinematic beats, a list of times for each clip."""
        self._add([dance_music_alignment(d, p) for p, d in zip(preds, dance, strict=True)])

    def compute(self) -> dict[str, Tensor]:
        """Means over clips."""
        return self._means()


class LorisScores(_PerClip):
    """Beat coverage and hits of the `loris` family, their spread over clips and F1 (`beats.loris_scores`)."""

    columns = ("loris_bcs", "loris_bhs")
    higher_is_better = True

    def update(self, preds: Events, targets: Events, seconds: Sequence[float]) -> None:
        """Onsets of generated and of reference music, and the clips' lengths (s)."""
        rows = [
            beats.loris_scores(beats.event_bins(t, s), beats.event_bins(p, s))
            for p, t, s in zip(preds, targets, seconds, strict=True)
        ]
        self._add(rows)

    def compute(self) -> dict[str, Tensor]:
        """bcs, csd, bhs, hsd and f1, the last of the means over clips."""
        values = self.per_clip()
        if not len(values):
            names = ("loris_bcs", "loris_csd", "loris_bhs", "loris_hsd", "loris_f1")
            return {name: torch.tensor(float("nan"), dtype=torch.float64) for name in names}
        spread = [float(statistics.standard_deviation(values[:, i : i + 1])) for i in range(2)]
        bcs, bhs = values.mean(axis=0)
        found = {"loris_bcs": bcs, "loris_csd": spread[0], "loris_bhs": bhs, "loris_hsd": spread[1]}
        found["loris_f1"] = beats.harmonic_mean(bcs, bhs)
        return {name: torch.tensor(float(value), dtype=torch.float64) for name, value in found.items()}


class D2MScores(_PerClip):
    """Beat coverage and hits of the `d2m` family (`beats.d2m_scores`)."""

    columns = ("d2m_bcs", "d2m_bhs")

    def update(self, preds: Events, targets: Events, seconds: Sequence[float]) -> None:
        """Onsets of generated and of reference music, and the clips' lengths (s)."""
        rows = [
            beats.d2m_scores(beats.event_bins(t, s), beats.event_bins(p, s))
            for p, t, s in zip(preds, targets, seconds, strict=True)
        ]
        self._add(rows)

    def compute(self) -> dict[str, Tensor]:
        """Means over clips."""
        return self._means()


def _sounds(batch: Tensor, sizes: Tensor) -> Iterator[NDArray[np.float32]]:
    """Mono sounds (N,) of a padded batch (B, C, T)."""
    for wav, size in zip(batch, sizes, strict=True):
        yield beats.as_mono(wav[..., : int(size)].detach().cpu().numpy())


class MusicScores(_PerClip):
    """Every score of a report, from sounds: detectors, then `scoring.clip_scores`.

    Args:
        tracker: name of the beat tracker, see `trackers.py`.
        tracker_options: its options.
    """

    columns = (
        "beat_f70",
        "onset_f50",
        "tempo_error",
        "tempo_octave",
        "bas_dance_to_music",
        "bas_music_to_dance",
        "loris_bcs",
        "loris_bhs",
        "d2m_bcs",
        "d2m_bhs",
    )

    def __init__(
        self, tracker: str = "librosa", tracker_options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._tracker = beat_tracker(tracker, tracker_options)

    def update(
        self,
        preds: Tensor,
        targets: Tensor,
        sizes: Tensor,
        sample_rates: Tensor,
        reference_beats: Sequence[object | None] | None = None,
        kinematic_beats: Sequence[object | None] | None = None,
    ) -> None:
        """A batch; annotated beats of the references and beats of the dances (s) where they are known."""
        clips = len(preds)
        annotated, dances = reference_beats or [None] * clips, kinematic_beats or [None] * clips
        rows = []
        pairs = zip(
            _sounds(preds, sizes), _sounds(targets, sizes), sample_rates, annotated, dances, strict=True
        )
        for made, reference, rate, truth, dance in pairs:
            heard = beats.music_events(reference, int(rate), self._tracker)
            generated = beats.music_events(made, int(rate), self._tracker)
            wanted = heard.beats if truth is None else beats.as_times(truth, heard.seconds)
            scores = clip_scores(heard, wanted, generated, dance)
            rows.append([scores[name] for name in self.columns])
        self._add(rows)

    def compute(self) -> dict[str, Tensor]:
        """Means over clips as a report has them (also loris_csd, loris_hsd and loris_f1); nan where undefined."""
        values = self.per_clip()
        found = aggregate({name: values[:, i] for i, name in enumerate(self.columns)})
        return {
            name: torch.tensor(float(value.get("mean", float("nan"))), dtype=torch.float64)
            for name, value in found.items()
        }


class FrechetMusicnn(_PerClip):
    """Fréchet distance in musicnn's embedding, corrected for the number of clips (`frechet.frechet_clips`)."""

    higher_is_better = False

    def __init__(self, **kwargs: Any) -> None:
        # a row is a window: clip (number), worker, generated?, its 200 numbers
        super().__init__(width=3 + DIM, **kwargs)
        self._embed = Embedder()
        self._clips = 0

    def update(self, preds: Tensor, targets: Tensor, sizes: Tensor, sample_rates: Tensor) -> None:
        """A batch of sounds."""
        worker = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        for made, reference, rate in zip(
            _sounds(preds, sizes), _sounds(targets, sizes), sample_rates, strict=True
        ):
            for generated, wav in ((1, made), (0, reference)):
                windows = self._embed(wav, int(rate))
                key = np.tile([self._clips, worker, generated], (len(windows), 1))
                self._add(np.concatenate([key, windows], axis=1))
            self._clips += 1

    def reset(self) -> None:
        """Forget all clips."""
        super().reset()
        self._clips = 0

    def report(self, seed: int = 0) -> dict[str, Any]:
        """The value with its interval, as a report has it."""
        with self.sync_context(should_sync=self._to_sync, should_unsync=True):
            return self._report(seed)

    def _report(self, seed: int = 0) -> dict[str, Any]:
        rows = self.per_clip()
        sets: list[list[NDArray[np.float64]]] = []
        for generated in (1, 0):
            part = rows[rows[:, 2] == generated]
            clips = np.unique(part[:, :2], axis=0)
            sets.append([part[(part[:, :2] == clip).all(axis=1), 3:] for clip in clips])
        return frechet_clips(*sets, seed=seed)

    def compute(self) -> Tensor:
        """The corrected distance; nan for too few clips."""
        return torch.tensor(self._report().get("mean", float("nan")), dtype=torch.float64)


class NearestTraining(_PerClip):
    """Mean distance to the nearest training clip (`memorisation.py`); silence is left out.

    Args:
        training: the training music.
    """

    columns = ("nearest_training",)
    higher_is_better = True

    def __init__(self, training: TrainingClips, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._training = training

    def update(self, preds: Tensor, sizes: Tensor, sample_rates: Tensor) -> None:
        """A batch of generated sounds."""
        found = [
            self._training.nearest(wav, int(rate))
            for wav, rate in zip(_sounds(preds, sizes), sample_rates, strict=True)
        ]
        self._add([float("nan") if near is None else near.distance for near in found])

    def compute(self) -> Tensor:
        """Mean over clips."""
        return self._means()["nearest_training"]
