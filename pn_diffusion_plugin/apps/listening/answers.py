"""Answers as the page writes them, put in order with the test's key.

    {"schema": 1, "test": …, "listener": …, "device": …, "comment": …, "started": …, "finished": … | null,
     "answers": [{"trial", "kind": "rate" | "compare", "shown": [stimulus, …], "rhythm", "quality", …}]}

`rhythm` and `quality` are 1 to 5, or the stimulus that was preferred. The files come from browsers of strangers:
everything in them is checked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from .design import QUESTIONS, SCALE, SCHEMA, Design

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """All answers to a test.

    Attributes:
        listeners: their tokens, (S,).
        clips: names, (N,).
        ratings: question → system → (S, N), 1 to 5, nan where there is no answer.
        preferences: question → (first, second) → (S, N), 1 where the first was preferred, 0 where the second.
        comments: what listeners said.
    """

    listeners: list[str]
    clips: list[str]
    ratings: dict[str, dict[str, Array]]
    preferences: dict[str, dict[tuple[str, str], Array]]
    comments: list[str]

    def keep(self, listeners: Sequence[int]) -> Answers:
        """Those of some listeners, by their places."""
        rows = np.asarray(listeners, dtype=int)
        return Answers(
            [self.listeners[row] for row in rows],
            self.clips,
            {q: {key: values[rows] for key, values in table.items()} for q, table in self.ratings.items()},
            {
                q: {key: values[rows] for key, values in table.items()}
                for q, table in self.preferences.items()
            },
            self.comments,
        )


def read_answers(files: Sequence[Path], design: Design) -> Answers:
    """The answers in `files`.

    Raises:
        UserError: there is none; or one cannot be read, is of another test, says what cannot be said, or is
            given twice.
    """
    if not files:
        raise UserError("there are no answers: name the files that listeners downloaded")
    contents: dict[str, dict[str, Any]] = {}
    names: dict[str, Path] = {}
    for file in files:
        content = _read(file, design)
        listener = content["listener"]
        if listener in names:
            raise UserError(f"{file} and {names[listener]} are of the same listener: give one of them")
        names[listener], contents[listener] = file, content
    clips, listeners = design.clips, list(contents)
    shape = (len(listeners), len(clips))
    ratings = {q: {system: np.full(shape, np.nan) for system in design.systems} for q in QUESTIONS}
    pairs = dict.fromkeys(_pair(design, token) for token in design.comparisons)
    preferences = {q: {pair: np.full(shape, np.nan) for pair in pairs} for q in QUESTIONS}
    for row, listener in enumerate(listeners):
        for answer in contents[listener]["answers"]:
            trial = _Trial(answer, design, names[listener])
            column = clips.index(trial.clip)
            for question in QUESTIONS:
                if trial.rating:
                    ratings[question][trial.system][row, column] = trial.score(question)
                else:
                    preferences[question][trial.pair][row, column] = trial.score(question)
    comments = [str(content["comment"])[:1000] for content in contents.values() if content.get("comment")]
    return Answers(listeners, clips, ratings, preferences, comments)


class _Trial:
    """One answer, checked."""

    def __init__(self, answer: object, design: Design, file: Path) -> None:
        self.file = file
        if not isinstance(answer, dict):
            raise self.error("an answer is no object")
        self.answer, token = answer, str(answer.get("trial"))
        self.rating = token in design.stimuli
        if self.rating:
            self.clip, self.system = design.stimuli[token]
        elif token in design.comparisons:
            self.tokens = design.comparisons[token]
            self.clip = design.stimuli[self.tokens[0]][0]
            self.pair = _pair(design, token)
        else:
            raise self.error(f"the trial {token!r} is not in the key")

    def score(self, question: str) -> float:
        """The rating, or 1 or 0 for the first or second of the pair."""
        value = self.answer.get(question)
        if self.rating:
            if isinstance(value, bool) or not isinstance(value, int) or not SCALE[0] <= value <= SCALE[1]:
                raise self.error(f"{question} is {value!r}, not {SCALE[0]} to {SCALE[1]}")
            return float(value)
        if value not in self.tokens:
            raise self.error(f"{question} is {value!r}, none of what was compared")
        return float(value == self.tokens[0])

    def error(self, what: str) -> UserError:
        return UserError(
            f"{self.file} cannot be used ({what}): ask the listener for the file as it was downloaded"
        )


def _pair(design: Design, token: str) -> tuple[str, str]:
    first, second = (design.stimuli[stimulus][1] for stimulus in design.comparisons[token])
    return first, second


def _read(file: Path, design: Design) -> dict[str, Any]:
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as answers ({error}): download them again") from error
    good = (
        isinstance(content, dict)
        and content.get("schema") == SCHEMA
        and isinstance(content.get("listener"), str)
        and isinstance(content.get("answers"), list)
    )
    if not good:
        raise UserError(
            f"{file} holds no answers of a listening test: name the files that listeners downloaded"
        )
    if content.get("test") != design.test:
        raise UserError(
            f"{file} is of the test {content.get('test')!r}, the key of {design.test!r}: name that test's folder"
        )
    return dict(content)
