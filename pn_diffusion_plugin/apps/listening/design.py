"""Design of a listening test, and the key that maps its tokens back to systems.

Every dance is rated with the music of every system, with its own music (hidden reference) and with music of another
song (hidden anchor): 1 to 5 for how well the music matches the dance, 1 to 5 for the music itself. Two systems are
compared on every dance, too: which matches better, which is better music. A listener sees tokens only, drawn anew
for every test; the key stays with the organiser.

Rating beside hidden reference and anchor follows ITU-R BS.1534 (MUSHRA), one stimulus at a time as in ITU-T P.800.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...utils.files import write_json

SCHEMA = 1
KEY = "key.json"
REFERENCE, ANCHOR = "reference", "shuffled"
QUESTIONS = {"rhythm": "rhythm match", "quality": "music quality"}
SCALE = (1, 5)
CHECK_EVERY = 4
"""Every n-th dance compares reference and anchor, an attention check that any listener should pass."""


@dataclass(frozen=True)
class Design:
    """A listening test.

    Attributes:
        test: its identity.
        title: of the page.
        split: which clips, e.g. "mini/test".
        command: that made it.
        systems: system → what the tables call it; `reference` and `shuffled` are among them.
        stimuli: token → [clip, system].
        comparisons: token → [stimulus, stimulus], of one clip.
        anchors: clip → clip whose music its anchor is.
        seconds: longest stimulus.
    """

    test: str
    title: str
    split: str
    command: str
    systems: dict[str, str]
    stimuli: dict[str, list[str]]
    comparisons: dict[str, list[str]]
    anchors: dict[str, str]
    seconds: float

    @property
    def clips(self) -> list[str]:
        """Names of the clips, sorted."""
        return sorted({clip for clip, _ in self.stimuli.values()})

    def _check(self) -> None:
        """Raise an error, of one kind or another, where the parts do not fit together."""
        for clip, system in self.stimuli.values():
            if clip not in self.anchors or system not in self.systems:
                raise ValueError(f"it lacks the clip or the system of {clip} by {system}")
        for first, second in self.comparisons.values():
            if self.stimuli[first][0] != self.stimuli[second][0]:
                raise ValueError(f"{first} and {second} are of two dances")
        for text in (self.test, self.title, self.split, self.command, *self.systems.values(), *self.anchors):
            if not isinstance(text, str):
                raise TypeError(f"expected text, found a number: {text}")
        if not self.seconds > 0:
            raise ValueError(f"stimuli of {self.seconds} seconds")

    def public(self) -> dict[str, Any]:
        """The page's part of the design: tokens in random order, grouped by dance."""
        dances = {clip: number for number, clip in enumerate(_by_token(self.stimuli))}
        return {
            "id": self.test,
            "title": self.title,
            "seconds": self.seconds,
            "rate": [[token, dances[self.stimuli[token][0]]] for token in sorted(self.stimuli)],
            "compare": [
                [token, sorted(pair), dances[self.stimuli[pair[0]][0]]]
                for token, pair in sorted(self.comparisons.items())
            ],
        }

    def save(self, folder: Path) -> None:
        """Write `key.json`."""
        write_json(folder / KEY, {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, folder: Path) -> Design:
        """Read `key.json` of a test's folder.

        Raises:
            UserError: it is missing or damaged.
        """
        path = folder / KEY
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise KeyError("schema")
            design = cls(**{field.name: content[field.name] for field in fields(cls)})
            design._check()
            return design
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__}: {error}): name the folder that listening-test wrote"
            ) from error


def make_design(
    systems: Mapping[str, str],
    anchors: Mapping[str, str],
    *,
    seconds: float = 10.0,
    title: str = "Does the music fit the dance?",
    split: str = "unknown",
    command: str = "",
) -> Design:
    """Choose what is rated and compared.

    With one system, it is compared with reference and anchor; with more, every two with each other.

    Args:
        systems: system → label, without reference and anchor.
        anchors: clip → clip whose music its anchor is; its keys are the clips of the test.
        seconds: longest stimulus.
        title, split, command: see `Design`.

    Raises:
        UserError: there is no system, or one is called like the reference or the anchor.
    """
    if not systems:
        raise UserError("there is no system with sound to listen to: name an evaluation whose waves are kept")
    for name in systems:
        if name in (REFERENCE, ANCHOR):
            raise UserError(f"a system cannot be called {name} in a listening test: give it another name")
    hidden = {REFERENCE: "the dance's own music", ANCHOR: "music of another song"}
    everything = {**systems, **hidden}
    stimuli = {_token(): [clip, system] for clip in anchors for system in everything}
    token_of = {(clip, system): token for token, (clip, system) in stimuli.items()}
    comparisons: dict[str, list[str]] = {}
    for number, clip in enumerate(anchors):
        pairs: list[tuple[str, str]] = list(combinations(systems, 2))
        if len(systems) == 1:
            (only,) = systems
            pairs = [(only, REFERENCE), (only, ANCHOR)]
        if number % CHECK_EVERY == 0:
            pairs.append((REFERENCE, ANCHOR))
        comparisons |= {_token(): [token_of[clip, first], token_of[clip, second]] for first, second in pairs}
    return Design(
        _token(), title, split, command, everything, stimuli, comparisons, dict(anchors), seconds
    )  # fmt: skip


def _by_token(stimuli: Mapping[str, Sequence[str]]) -> list[str]:
    """Clips in the order of their smallest tokens."""
    return list(dict.fromkeys(stimuli[token][0] for token in sorted(stimuli)))


def _token() -> str:
    return secrets.token_hex(8)
