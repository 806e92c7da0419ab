"""Files with the scores of a clip: the one that sounds, and others that would fit the same dance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...errors import CorpusError
from ...utils.files import atomic_path
from .notes import Note, Score

_DIGITS = 5  # of times (s) and velocities: 10 µs


def write_scores(path: str | Path, scores: Sequence[Score], source: str = "") -> None:
    """Write scores of one length as JSON, atomically, with what determines them."""
    songs = [
        {
            "style": score.style,
            "tonic": score.tonic,
            "scale": score.scale,
            "seconds": score.seconds,
            "beats": [round(beat, _DIGITS) for beat in score.beats],
            "notes": [
                [
                    round(n.onset, _DIGITS),
                    round(n.duration, _DIGITS),
                    n.pitch,
                    round(n.velocity, _DIGITS),
                    n.voice,
                ]
                for n in score.notes
            ],
        }
        for score in scores
    ]
    with atomic_path(path) as temporary:
        temporary.write_text(
            json.dumps({"source": source, "songs": songs}, separators=(",", ":")), encoding="utf-8"
        )


def scores_source(path: str | Path) -> str | None:
    """What determines the scores of a file; None: it is missing or damaged."""
    try:
        return str(json.loads(Path(path).read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_scores(path: str | Path) -> list[Score]:
    """The scores of a file.

    Raises:
        CorpusError: it is missing or damaged.
    """
    try:
        songs = json.loads(Path(path).read_text(encoding="utf-8"))["songs"]
        return [
            Score(
                tuple(Note(*note) for note in song["notes"]),
                song["seconds"],
                song["tonic"],
                song["scale"],
                song["style"],
                tuple(song["beats"]),
            )
            for song in songs
        ]
    except FileNotFoundError as error:
        raise CorpusError(
            f"{path} is missing: the score representation needs clips with their notes. Prepare the corpus again with "
            "pn-diffusion prepare mini or generated, or use music.representation=mel"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path} cannot be read ({type(error).__name__}): prepare the corpus again"
        ) from error
