"""The clock of a generated clip: one grid of beats, swing between them, sections, fills and pauses."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.generated.score import Mode, Score, Section, make_score, swung

SECONDS = 7.68


def scores(bpm: float, count: int = 40) -> list[Score]:
    return [make_score(np.random.default_rng(seed), SECONDS, bpm, 0.6, 2) for seed in range(count)]


def test_swing_moves_the_late_one_of_two_and_nothing_else() -> None:
    assert [swung(k / 4, 0.5, 4) for k in range(8)] == [k / 4 for k in range(8)]
    assert swung(0.5, 2 / 3, 2) == pytest.approx(2 / 3)
    assert swung(0.75, 2 / 3, 2) == pytest.approx(5 / 6), "what lies between is stretched with it"
    assert [swung(float(k), 0.66, 2) for k in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert swung(0.25, 0.6, 4) == pytest.approx(0.3) and swung(0.5, 0.6, 4) == 0.5


@pytest.mark.parametrize("bpm", [75.0, 120.0, 179.5])
def test_beats_lie_on_one_grid_and_leave_pauses_out(bpm: float) -> None:
    period = 60.0 / bpm
    for score in scores(bpm):
        beats = score.beats()
        steps = np.diff(beats) / period
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
        assert np.isin(score.accents(), beats).all()
        silent = sum(end - start for start, end in score.pauses())
        assert len(beats) * period + silent == pytest.approx(SECONDS, abs=2 * period)
        for start, end in score.pauses():
            assert not ((beats >= start - 1e-9) & (beats < end - 1e-9)).any()


def test_clips_have_all_sections_modes_fills_and_pauses() -> None:
    bars = [bar for bpm in (80.0, 124.0, 170.0) for score in scores(bpm) for bar in score.bars]
    assert {bar.section for bar in bars} == set(Section)
    assert {bar.mode for bar in bars} == set(Mode)
    assert {bar.fill_from for bar in bars} == {2, 3, 4}
    assert any(bar.still_from < 4 for bar in bars)
    assert all(bar.fill_from == 4 or bar.still_from == 4 for bar in bars), "no fill within a pause"


@pytest.mark.parametrize("bpm", [75.0, 101.0, 128.0, 179.0])
def test_moves_are_neither_too_fast_nor_too_slow_for_a_dancer(bpm: float) -> None:
    for score in scores(bpm, 20):
        arrivals = np.array([hit.time for hit in score.hits if not hit.passing and not hit.still])
        assert np.diff(arrivals).min() > 0.2
        assert max(60.0 / bpm, np.median(np.diff(arrivals))) < 1.25


def test_a_passing_beat_lies_within_a_move_that_arrives() -> None:
    seen = 0
    for score in scores(128.0):
        for hit, after in zip(score.hits, score.hits[1:], strict=False):
            if hit.passing:
                seen += 1
                assert not after.passing and not after.still and hit.bar.mode is Mode.HALF
    assert seen > 20


def test_the_clip_begins_anywhere_in_a_bar() -> None:
    starts = [score.bars[2].start % (4 * score.period) / (4 * score.period) for score in scores(100.0, 200)]
    assert np.histogram(starts, bins=4, range=(0, 1))[0].min() > 30
