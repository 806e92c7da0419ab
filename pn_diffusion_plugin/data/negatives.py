"""Which dance stands against the positive one: `negative.cue`.

reversed    the same seconds played backward (the paper)
shifted     the same dance, about half a beat early or late: right moves at wrong times
mismatched  another song's dance
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .augment import Change
from .condition import DanceCondition, dance_conditions
from .features.feature_file import Features

NEGATIVE_CUES = ("reversed", "shifted", "mismatched")
NEGATIVE_MUSIC = ("same", "reversed")

#: Half a beat at 180 and at 60 beats a minute (s).
SHIFTS = (1 / 6, 1 / 2)
#: What a dance is shifted by where nothing may be random: half a beat at 104 beats a minute (s).
TYPICAL_SHIFT = float(np.sqrt(SHIFTS[0] * SHIFTS[1]))


def check_negative(negative: Mapping[str, Any]) -> None:
    """Refuse a section `negative` of the configuration that means nothing.

    Raises:
        UserError: an unknown name, or reversed music without its reversed dance.
    """
    cue, music = negative.get("cue", "reversed"), negative.get("music", "same")
    if cue not in NEGATIVE_CUES:
        raise UserError(f"negative.cue={cue!r}: give one of {', '.join(NEGATIVE_CUES)}")
    if music not in NEGATIVE_MUSIC:
        raise UserError(f"negative.music={music!r}: give one of {', '.join(NEGATIVE_MUSIC)}")
    if music == "reversed" and (cue != "reversed" or negative["latent"] != "mirrored"):
        raise UserError(
            f"negative.music=reversed with negative.cue={cue} and negative.latent={negative['latent']}: reversed "
            "music is the pair of the reversed dance and needs a latent of its own: give cue=reversed, latent=mirrored"
        )


def random_shift(rng: np.random.Generator) -> float:
    """Half a beat of some tempo, early (positive) or late (s)."""
    return float(rng.uniform(*SHIFTS) * rng.choice([-1, 1]))


def shifted_dance(
    features: Features,
    start: float,
    seconds: float,
    shift: float = TYPICAL_SHIFT,
    path: str | Path | None = None,
    change: Change | None = None,
) -> DanceCondition:
    """The dance `shift` seconds early: what begins at `start + shift`.

    Where the clip has nothing there (before its beginning, or less than half a segment before its end) the shift
    goes the other way; what then still lies outside the clip is padding.
    """
    duration = features.header.seconds
    latest = max(duration - seconds / 2, 0.0)
    begin = next((b for b in (start + shift, start - shift) if 0 <= b <= latest), min(start, latest))
    return dance_conditions(features, begin, seconds, path, change)[0]
