"""Validation shared by the inference classes: parameters, clips, batches of equal length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import FeatureFileError, UserError, VideoError
from ..sequence import LENGTH_TOLERANCE

if TYPE_CHECKING:
    from ..data.features.feature_file import Features, FeatureSpec

Params = TypeVar("Params")


def replace_params(params: Params, changes: Mapping[str, Any]) -> Params:
    """Return a dataclass of parameters with some of them replaced.

    Raises:
        UserError: an unknown name.
    """
    try:
        return replace(params, **changes)  # type: ignore[type-var]
    except TypeError as error:
        raise UserError(f"unknown generation parameter: {error}") from error


def check_ranges(params: Any, rules: Iterable[tuple[str, bool, str]]) -> None:
    """Raise UserError for the first invalid parameter of (name, valid, remedy)."""
    for name, valid, remedy in rules:
        if not valid:
            raise UserError(f"{name} is {getattr(params, name)}: give {remedy}")


def check_length(name: str, seconds: float, window: float) -> None:
    """Raise VideoError for a clip shorter than the model's window (s)."""
    if seconds < window - LENGTH_TOLERANCE:
        raise VideoError(
            f"{name} is {seconds:.2f} s long and the model needs at least {window:g} s: give a longer video"
        )


def check_features(name: str, features: Features, spec: FeatureSpec) -> None:
    """Raise FeatureFileError for features extracted with other settings than the model's."""
    wrong = spec.mismatches(features.header)
    if wrong:
        raise FeatureFileError(
            f"the features of {name} differ from those the model was trained on ({'; '.join(wrong)}): "
            "extract them with the settings of its configuration"
        )


def seeds_and_names(
    clips: int, seeds: Sequence[int] | None, names: Sequence[str] | None
) -> tuple[list[int], list[str]]:
    """One seed (0, 1, 2 … by default) and one name for error messages per clip.

    Raises:
        UserError: not as many seeds as clips.
    """
    seeds = list(range(clips)) if seeds is None else list(seeds)
    if len(seeds) != clips:
        raise UserError(f"{len(seeds)} seeds for {clips} clips: give one per clip")
    return seeds, [f"clip {index}" for index in range(clips)] if names is None else list(names)


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[tuple[int, list[int]]]:
    """Group clips of equal length in batches: (length, indices of the clips).

    >>> batches_by_length([88, 56, 88, 88], batch_size=2)
    [(88, [0, 2]), (88, [3]), (56, [1])]
    """
    groups: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        groups.setdefault(length, []).append(index)
    return [
        (length, members[at : at + batch_size])
        for length, members in groups.items()
        for at in range(0, len(members), batch_size)
    ]
