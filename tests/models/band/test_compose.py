"""From an image to a piece: pulse, key, style, one note at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.genres import GENRES
from pn_diffusion_plugin.data.corpora.synthetic.harmony import SCALES
from pn_diffusion_plugin.data.score.image import ROWS, encode_score
from pn_diffusion_plugin.data.score.notes import Score
from pn_diffusion_plugin.models.band.compose import compose

FRAME = 512 / 22050


@pytest.fixture(scope="module")
def score() -> Score:
    """A score of the corpus, its notes late or early by 15 ms on average."""
    plan = GeneratedSpec().plan("train", 9)
    rng = np.random.default_rng(0)
    score = plan.score()
    return replace(
        score, notes=tuple(replace(n, onset=n.onset + float(rng.normal(0, 0.015))) for n in score.notes)
    )


def composed(score: Score, **options: object) -> Score:
    image = encode_score(score, 331, FRAME)
    settings = {"seed": 0, "style": "any", "key": "any", "pulse": 1.0, **options}
    return compose(image, FRAME, score.seconds, **settings)  # type: ignore[arg-type]


def test_the_pulse_is_that_of_the_piece_and_its_notes_are_on_it(score: Score) -> None:
    piece = composed(score)
    period, true = np.diff(piece.beats), np.median(np.diff(score.beats))
    assert period == pytest.approx(np.full(period.size, true), rel=0.01)
    drums = np.array([note.onset for note in piece.notes if not note.tuned])
    places = (drums - piece.beats[0]) / period[0] * 4
    assert np.std((places - np.round(places)) * period[0] / 4) < 0.008
    loose = composed(score, pulse=0.0)
    assert len(loose.notes) >= len(piece.notes) > 50


@pytest.mark.parametrize(("key", "tonic"), [("A minor", 9), ("F# major", 6), ("C", 0)])
def test_the_key_is_the_one_asked_for(score: Score, key: str, tonic: int) -> None:
    piece = composed(score, key=key)
    assert piece.tonic == tonic
    assert {(n.pitch - tonic) % 12 for n in piece.notes if n.tuned} <= set(SCALES[piece.scale])


def test_key_and_style_depend_on_the_seed_alone(score: Score) -> None:
    pieces = [composed(score, seed=seed) for seed in range(12)]
    assert len({piece.tonic for piece in pieces}) > 4 and len({piece.style for piece in pieces}) > 2
    assert composed(score, seed=5) == pieces[5]
    bpm = 60 / np.diff(pieces[0].beats)[0]
    for piece in pieces:
        low, high = GENRES[piece.style].tempos
        assert low - 1 <= bpm <= high + 1
    assert composed(score, style="ballad").style == "ballad"


def test_silence_is_a_piece_without_notes() -> None:
    piece = compose(np.full((ROWS, 224), -1.0), FRAME, 5.0, seed=1, style="any", key="any", pulse=1.0)
    assert piece.notes == () and piece.beats == () and piece.style in GENRES


def test_notes_that_meet_on_the_pulse_become_one(score: Score) -> None:
    piece = composed(score)
    times: dict[tuple[str, int], list[float]] = {}
    for note in piece.notes:
        times.setdefault((note.voice, note.pitch), []).append(note.onset)
    assert min(np.diff(line).min() for line in times.values() if len(line) > 1) > 0.015
