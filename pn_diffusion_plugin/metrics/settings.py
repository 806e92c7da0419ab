"""What an evaluation computes: the keys `evaluate.metrics` and `metrics` of the configuration, as plain values.

The keys are those of audiocraft's solvers and some of our own; they are documented, with their defaults, in
`config/solver/default.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._compat import plain
from ..errors import UserError
from ..paths import config_dir

QUALITY = (
    "frechet_musicnn",
    "kad_musicnn",
    "nearest_training",
    "fad",
    "kld",
    "chroma_cosine",
    "rvm",
    "visqol",
)
"""The metrics that `evaluate.metrics` switches on and off; the beat scores are always computed."""


@dataclass(frozen=True)
class Settings:
    """How to evaluate.

    Attributes:
        beat_tracker: by which beats are found, see `trackers.py`.
        metrics: which of `QUALITY` are computed.
        options: the section `metrics` of the configuration.
    """

    beat_tracker: str = "librosa"
    metrics: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, cfg: Any) -> Settings:
        """From a configuration; one without these keys (of an older version) gives librosa and no quality metric."""
        asked = dict(plain((cfg.get("evaluate") or {}).get("metrics") or {}))
        options = dict(plain(cfg.get("metrics") or {}))
        tracker = str(options.get("beat_tracker") or "librosa")
        return cls(tracker, tuple(name for name in QUALITY if asked.get(name)), options)

    def tracker_options(self) -> dict[str, Any]:
        """Options of the beat tracker."""
        return dict(self.options.get(self.beat_tracker) or {})


def load_settings(
    metrics: Sequence[str] | None = None, beat_tracker: str | None = None, overrides: Sequence[str] = ()
) -> Settings:
    """The defaults of `config/solver/default.yaml`, with some of them replaced.

    Args:
        metrics: which of `QUALITY`, instead of the default.
        beat_tracker: instead of the default.
        overrides: `metrics.KEY=VALUE`, as on Dora's command line.
    Raises:
        UserError: a metric or key that there is not.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for name in metrics or ():
        if name not in QUALITY:
            raise UserError(f"there is no metric {name!r}: give some of {', '.join(QUALITY)}")
    cfg: Any = OmegaConf.load(config_dir() / "solver" / "default.yaml")
    OmegaConf.set_struct(cfg, True)
    for item in overrides:
        if not item.startswith("metrics.") or "=" not in item:
            raise UserError(f"{item!r} sets nothing of the metrics: write metrics.KEY=VALUE")
        key, value = item.split("=", 1)
        try:
            OmegaConf.update(cfg, key, OmegaConf.from_dotlist([f"value={value}"])["value"])
        except OmegaConfBaseException as error:
            raise UserError(f"there is no key {key}: see metrics in config/solver/default.yaml") from error
    needed = OmegaConf.create({key: cfg[key] for key in ("sample_rate", "evaluate", "metrics")})
    settings = Settings.from_config(needed)
    return Settings(
        beat_tracker or settings.beat_tracker,
        settings.metrics if metrics is None else tuple(name for name in QUALITY if name in metrics),
        settings.options,
    )
