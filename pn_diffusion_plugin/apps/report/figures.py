"""Figures for comparison: intervals of all rows, curves over a setting, waveforms and mel spectrograms of systems."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...metrics.figures import MOTION, MUSIC, mel_decibels

SYSTEM, BOUND, NULL = "tab:blue", "0.35", "tab:red"


@dataclass(frozen=True)
class RowAudio:
    """Music of one system for one clip.

    Attributes:
        label: of the system.
        wav: (N,) at `sample_rate` Hz.
        beats: of the music, seconds.
    """

    label: str
    wav: NDArray[np.float32]
    sample_rate: int
    beats: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Point:
    """One evaluation on a curve: the setting's value, a score with its interval, and which curve it is on."""

    x: float
    mean: float
    low: float
    high: float
    series: str = ""


def interval_figure(rows: Sequence[tuple[str, str, Mapping[str, Any]]], columns: Mapping[str, str]) -> bytes:
    """PNG of the scores of all rows with their intervals, one panel a score.

    Args:
        rows: (label, kind, metrics) of each row, the kind as in `blocks.Table`.
        columns: score name → heading of its panel.
    """
    figure = _figure(2.2 + 2.6 * len(columns), 0.9 + 0.3 * len(rows))
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    colours = {"system": SYSTEM, "bound": BOUND, "null": NULL}
    for axes, (name, title) in zip(panels, columns.items(), strict=True):
        for height, (_, kind, metrics) in enumerate(reversed(rows)):
            value = metrics.get(name)
            if value is None or "mean" not in value:
                continue
            axes.plot([value["low"], value["high"]], [height, height], color=colours[kind], linewidth=2)
            axes.plot([value["mean"]], [height], "o", color=colours[kind], markersize=5)
        axes.set_title(title, fontsize=9)
        axes.set_xlim(-0.02, 1.02)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(rows)), [_plain(label) for label, _, _ in reversed(rows)], fontsize=8)
    panels[0].set_ylim(-0.6, len(rows) - 0.4)
    return _png(figure)


def curve_figure(
    curves: Mapping[str, Sequence[Point]],
    xlabel: str,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    log: bool = False,
) -> bytes:
    """PNG of scores over a setting, one panel a score.

    The line goes through the mean of the evaluations at a value (the seeds); each evaluation is drawn there with its
    own interval.

    Args:
        curves: heading of the panel → its points, of all series.
        levels: heading → label → score, drawn as level lines (null and ceiling rows).
        log: logarithmic x axis.
    """
    figure = _figure(max(6.5, 4.6 * len(curves)), 3.8)
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (title, points) in zip(panels, curves.items(), strict=True):
        for number, series in enumerate(dict.fromkeys(point.series for point in points)):
            own = sorted((p for p in points if p.series == series), key=lambda p: p.x)
            values = sorted({p.x for p in own})
            means = [float(np.mean([p.mean for p in own if p.x == x])) for x in values]
            colour = f"C{number % 10}"
            axes.plot(values, means, "-", color=colour, label=_plain(series) or None)
            errors = [[p.mean - p.low for p in own], [p.high - p.mean for p in own]]
            axes.errorbar(
                [p.x for p in own], [p.mean for p in own], np.maximum(errors, 0.0),
                fmt="o", color=colour, capsize=3, markersize=4, linewidth=1,
            )  # fmt: skip
        for style, (label, level) in zip(
            (":", "--", "-."), (levels or {}).get(title, {}).items(), strict=False
        ):
            axes.axhline(level, linestyle=style, color="0.5", label=_plain(label))
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(_plain(xlabel))
        if log:
            axes.set_xscale("log")
        ticks = sorted({p.x for p in points})
        if len(ticks) <= 10:
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7)
    return _png(figure)


def waveform_figure(systems: Sequence[RowAudio], title: str, motion_beats: object | None = None) -> bytes:
    """PNG of the waveforms of one clip's music by several systems, one under the other (the paper's Fig. 4)."""
    figure = _figure(9, 0.7 + 0.95 * len(systems))
    panels = figure.subplots(len(systems), 1, sharex=True, squeeze=False)[:, 0]
    seconds = max(one.wav.size / one.sample_rate for one in systems)
    peak = max((float(np.abs(one.wav).max(initial=0.0)) for one in systems), default=0.0) or 1.0
    for axes, one in zip(panels, systems, strict=True):
        axes.plot(np.arange(one.wav.size) / one.sample_rate, one.wav, linewidth=0.4, color="0.25")
        axes.vlines(_times(motion_beats), -peak, peak, color=MOTION, linewidth=0.8, linestyle=":")
        axes.vlines(one.beats, -peak, peak, color=MUSIC, linewidth=0.8, alpha=0.6)
        axes.set_ylim(-1.05 * peak, 1.05 * peak)
        axes.set_yticks([])
        axes.set_ylabel(_plain(one.label), rotation=0, ha="right", va="center", fontsize=8)
    panels[-1].set_xlim(0, seconds)
    panels[-1].set_xlabel("seconds")
    figure.suptitle(_plain(title), fontsize=10)
    return _png(figure)


def mel_figure(systems: Sequence[RowAudio], title: str, motion_beats: object | None = None) -> bytes:
    """PNG of the mel spectrograms of one clip's music by several systems (the paper's Fig. 5).

    Dotted white lines are the beats of the dance, the ticks below each image those of its music.
    """
    figure = _figure(9, 0.7 + 1.5 * len(systems))
    panels = figure.subplots(len(systems), 1, sharex=True, squeeze=False)[:, 0]
    motion = _times(motion_beats)
    for axes, one in zip(panels, systems, strict=True):
        image = mel_decibels(one.wav, one.sample_rate)
        rows, seconds = len(image), one.wav.size / one.sample_rate
        axes.imshow(image, origin="lower", aspect="auto", extent=(0, seconds, 0, rows), cmap="magma")
        axes.vlines(motion, 0, rows, color="white", linewidth=0.9, linestyle=":")
        axes.vlines(motion, rows, 1.12 * rows, color=MOTION, linewidth=2)
        axes.vlines(one.beats, -0.12 * rows, 0, color=MUSIC, linewidth=2)
        axes.set_ylim(-0.14 * rows, 1.14 * rows)
        axes.set_yticks([])
        axes.set_ylabel(_plain(one.label), rotation=0, ha="right", va="center", fontsize=8)
    panels[-1].set_xlim(0, max(one.wav.size / one.sample_rate for one in systems))
    panels[-1].set_xlabel("seconds")
    figure.suptitle(_plain(title), fontsize=10)
    return _png(figure)


def _times(events: object | None) -> NDArray[np.float64]:
    return np.zeros(0) if events is None else np.asarray(events, dtype=np.float64).reshape(-1)


def _plain(label: str) -> str:
    """A label of at most 36 characters that matplotlib shows literally."""
    short = label if len(label) <= 36 else f"{label[:35]}…"
    return short.replace("$", r"\$")


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")  # no pyplot: no global state, no display
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    with io.BytesIO() as stream:
        figure.savefig(stream, dpi=100, format="png", metadata={"Software": None})
        return stream.getvalue()
