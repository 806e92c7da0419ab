"""audiocraft's conditioning attributes with dances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audiocraft.modules.conditioners import ConditioningAttributes

from .condition import DanceCondition


@dataclass
class DanceAttributes(ConditioningAttributes):
    """`ConditioningAttributes` with a field `dance`: name → `DanceCondition`.

    Names: `dance` (the positive condition) and `dance_reverse` (the negative).
    """

    dance: dict[str, DanceCondition] = field(default_factory=dict)

    @property
    def dance_attributes(self) -> Any:
        """Names of the dances."""
        return self.dance.keys()

    @property
    def attributes(self) -> dict[str, Any]:
        """Names of the attributes by kind."""
        return {**super().attributes, "dance": self.dance_attributes}

    def to_flat_dict(self) -> dict[str, Any]:
        """Flatten to a dictionary with keys `kind.name`; the inverse of `from_flat_dict`."""
        return {**super().to_flat_dict(), **{f"dance.{name}": value for name, value in self.dance.items()}}
