"""Audiocraft's conditioning attributes with one kind more: the dance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audiocraft.modules.conditioners import ConditioningAttributes

from .condition import DanceCondition


@dataclass
class DanceAttributes(ConditioningAttributes):
    """`ConditioningAttributes` with a field `dance`: name of a stream → `DanceCondition`.

    Names: `dance` (the video played forward) and `dance_reverse` (backward).
    """

    dance: dict[str, DanceCondition] = field(default_factory=dict)

    @property
    def dance_attributes(self) -> Any:
        """Names of the dance streams."""
        return self.dance.keys()

    @property
    def attributes(self) -> dict[str, Any]:
        """Names of the attributes of each kind."""
        return {**super().attributes, "dance": self.dance_attributes}

    def to_flat_dict(self) -> dict[str, Any]:
        """All attributes as one dictionary with keys `kind.name`; `from_flat_dict` is its inverse."""
        return {**super().to_flat_dict(), **{f"dance.{name}": value for name, value in self.dance.items()}}
