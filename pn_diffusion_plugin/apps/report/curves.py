"""Curves over a setting in which evaluated experiments differ: α (the paper's Fig. 3), and the sampler's effort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...metrics.report import QUALITY, STRICT
from .blocks import Block, Figure, Text
from .figures import Point, curve_figure
from .rows import by_split
from .sources import Source, differing, flat

SCORES = ("beat_f70", "onset_f50", "bas_dance_to_music", "frechet_musicnn", "fad")
LEVELS = ("ceiling", "shuffled")

Setting = Callable[[Mapping[str, Any]], float | None]


def alpha(config: Mapping[str, Any]) -> float | None:
    """α of an experiment: weight of the positive stream; None where it has none."""
    return _number(flat(config).get("negative.alpha"))


def network_evaluations(config: Mapping[str, Any]) -> float | None:
    """Evaluations of the network for one clip: steps × streams of the guidance; None where unknown.

    One stream is the positive condition; classifier-free guidance (g ≠ 1) and negative guidance (w ≠ 0) need one more
    each.

    >>> network_evaluations({"sampling": {"steps": 30, "guidance": 2.0, "negative_guidance": 0.5}})
    90.0
    """
    values = flat(config)
    steps = _number(values.get("sampling.steps"))
    if steps is None:
        return None
    guided = _number(values.get("sampling.guidance"))
    keys = ("sampling.negative_guidance", "sampling.negative_cfg")
    negative = any(_number(values.get(key)) not in (None, 0.0) for key in keys)
    return steps * (1 + (guided not in (None, 1.0)) + negative)


def curve_blocks(
    sources: Sequence[Source],
    setting: Setting,
    keys: Sequence[str],
    axis: str,
    scores: Sequence[str] = SCORES,
) -> list[Block]:
    """Pictures of scores over a setting, one for every split on which the setting takes at least two values.

    Evaluations that differ in anything else (but the seed) are on curves of their own, named by what differs; one that
    is alone on its curve is left out.

    Args:
        sources: all evaluations.
        setting: the value of the setting in a configuration.
        keys: keys of the configuration that define the setting.
        axis: what the x axis says.
        scores: metrics to draw, where the `model` rows have them.
    """
    blocks: list[Block] = []
    for split, group in by_split(sources).items():
        known = [(x, s) for s in group if (x := setting(s.config)) is not None and _row(s, "model")]
        known, others = _on_curves(known, keys)
        curves: dict[str, list[Point]] = {}
        levels: dict[str, dict[str, float]] = {}
        for name in scores:
            title = STRICT.get(name) or QUALITY.get(name, name)
            points = [
                Point(x, value["mean"], value["low"], value["high"], _series(source, others))
                for x, source in known
                if "mean" in (value := _row(source, "model").get(name, {}))
            ]
            if len({point.x for point in points}) < 2:
                continue
            curves[title] = points
            levels[title] = {
                level: value["mean"]
                for level in LEVELS
                if "mean" in (value := _row(known[0][1], level).get(name, {}))
            }
        if curves:
            values = [x for x, _ in known]
            wide = min(values) > 0 and max(values) / min(values) >= 8
            listed = ", ".join(others)
            blocks += [
                Figure(
                    f"curve-{keys[0].replace('.', '-')}",
                    curve_figure(curves, axis, levels, log=wide and "evaluations" in axis),
                    f"Scores on {split} over {axis}, each evaluation with its 95 % interval over clips",
                ),
                Text(f"The evaluations differ in {listed} as well: each combination has its own curve.")
                if listed
                else Text("The evaluations differ in this setting alone (and, it may be, the seed)."),
            ]
    return blocks


def _on_curves(
    known: Sequence[tuple[float, Source]], keys: Sequence[str]
) -> tuple[list[tuple[float, Source]], list[str]]:
    """Those that share all other settings with one of another value, and the other settings they differ in."""
    kept = list(known)
    while True:
        others = [key for key in differing([source.config for _, source in kept]) if key not in keys]
        values: dict[str, set[float]] = {}
        for x, source in kept:
            values.setdefault(_series(source, others), set()).add(x)
        lonely = {series for series, found in values.items() if len(found) < 2}
        if not lonely:
            return kept, others
        kept = [(x, source) for x, source in kept if _series(source, others) not in lonely]


def _row(source: Source, name: str) -> Mapping[str, Any]:
    """Metrics of a row; empty where there is none."""
    return next((row["metrics"] for row in source.rows if row["name"] == name), {})


def _series(source: Source, keys: Sequence[str]) -> str:
    values = flat(source.config)
    return ", ".join(f"{key.rpartition('.')[2]}={values.get(key, '–')}" for key in keys)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
