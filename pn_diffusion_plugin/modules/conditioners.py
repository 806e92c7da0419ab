"""The dance as an audiocraft condition.

`DanceConditioningProvider` is an ordinary audiocraft `ConditioningProvider`: tokenize, then forward gives
`{name: (embedding (B, T, D), mask (B, T))}`, so the same provider can feed audiocraft's language models. What the
classes do stands in `dance_streams.py`; their weights have the same names there and here.
"""

from __future__ import annotations

from audiocraft.modules.conditioners import BaseConditioner, ConditioningProvider

from .dance_streams import DanceEmbedder, DanceStreams


class DanceConditioner(DanceEmbedder, BaseConditioner):  # type: ignore[misc]  # output_proj may be none
    """`DanceEmbedder` as an audiocraft conditioner."""


class DanceConditioningProvider(DanceStreams, ConditioningProvider):  # type: ignore[misc]  # tokenize takes more
    """`DanceStreams` as an audiocraft provider."""
