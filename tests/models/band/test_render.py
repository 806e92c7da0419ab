"""The renderer: onsets, pitches, stereo, stems and endings of scores with known notes."""

from __future__ import annotations

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.music import Song, synthesise
from pn_diffusion_plugin.data.corpora.synthetic.timing import make_timing
from pn_diffusion_plugin.data.score.notes import DRUM_KEYS, Note, Score
from pn_diffusion_plugin.models.band.instruments import RATE, Ensemble
from pn_diffusion_plugin.models.band.render import STEMS, render
from pn_diffusion_plugin.models.mastering import LOUDNESS, master, master_gain
from pn_diffusion_plugin.utils.loudness import loudness, true_peaks

BEATS = tuple(float(beat) for beat in np.arange(0.25, 8, 0.5))
CHORDS = ((60, 63, 67), (60, 63, 68), (58, 62, 65), (59, 62, 67))


def score_of(notes: list[Note], seconds: float = 2.0, style: str = "house") -> Score:
    return Score(tuple(notes), seconds, 0, "minor", style, BEATS)


def piece(style: str = "house", seconds: float = 8.0) -> Score:
    """Four bars with all parts; the first and last notes reach out of the piece."""
    notes = [Note(-0.2, 0.6, 60, 0.8, "chord"), Note(seconds - 0.1, 0.0, DRUM_KEYS["crash"], 1.0, "extra")]
    for number, beat in enumerate(BEATS):
        notes.append(Note(beat, 0.0, DRUM_KEYS["kick"], 1.0, "kick"))
        notes.append(Note(beat + 0.25, 0.0, DRUM_KEYS["hat"], 0.8, "hat"))
        notes.append(Note(beat, 0.4, 36, 0.9, "bass"))
        notes.append(Note(beat, 0.2, 72 + number % 5, 0.7, "lead"))
        if number % 2:
            notes.append(Note(beat, 0.0, DRUM_KEYS["snare"], 1.0, "snare"))
        if number % 4 == 0:
            notes += [Note(beat, 1.9, pitch, 0.7, "chord") for pitch in CHORDS[number // 4]]
    return score_of(notes, seconds, style)


def mix_of(score: Score, seed: int = 0) -> np.ndarray:
    return np.asarray(sum(render(score, seed).values()))


def fundamental(wave: np.ndarray) -> float:
    """Frequency (Hz) of the first peak of the autocorrelation that is nearly as high as the highest."""
    correlation = np.fft.irfft(np.abs(np.fft.rfft(wave, 2 * wave.size)) ** 2)[: RATE // 30]
    peaks = [
        k for k in range(RATE // 1200, RATE // 30 - 1) if correlation[k] == correlation[k - 1 : k + 2].max()
    ]
    lag = next(k for k in peaks if correlation[k] > 0.93 * correlation[peaks].max())
    before, at, after = correlation[lag - 1 : lag + 2]
    return float(RATE / (lag + 0.5 * (before - after) / (before - 2 * at + after)))


def roll_off(wave: np.ndarray, rate: int) -> float:
    """Frequency (Hz) below which 95 % of the magnitude spectrum lies."""
    share = np.cumsum(np.abs(np.fft.rfft(wave)))
    return float(np.searchsorted(share, 0.95 * share[-1])) * rate / wave.size


@pytest.mark.parametrize("onset", [0.0, 0.4321, 1.2])
def test_a_stroke_sounds_at_its_onset_and_not_before(onset: float) -> None:
    sound = mix_of(score_of([Note(onset, 0.0, DRUM_KEYS["snare"], 1.0, "snare")]))
    loud = np.flatnonzero(np.abs(sound).max(axis=0) > 0.1 * np.abs(sound).max())
    assert loud[0] / RATE == pytest.approx(onset, abs=0.002)
    assert np.abs(sound[:, : max(0, round((onset - 0.002) * RATE))]).max(initial=0) < 1e-6


@pytest.mark.parametrize("voice, pitch", [("bass", 36), ("chord", 57), ("lead", 69)])
def test_a_note_has_its_pitch(voice: str, pitch: int) -> None:
    sound = mix_of(score_of([Note(0.1, 1.0, pitch, 1.0, voice)], style="ballad"), seed=2)
    cents = 1200 * np.log2(fundamental(sound.mean(axis=0)) / (440 * 2 ** ((pitch - 69) / 12)))
    assert abs(cents) < 10


def test_a_note_ends_when_it_ends() -> None:
    stems = render(score_of([Note(0.1, 0.3, 36, 1.0, "bass")]), 0)
    assert np.abs(stems["bass"][:, : round(0.38 * RATE)]).max() > 0.01
    assert not stems["bass"][:, round(0.45 * RATE) :].any()


def test_a_short_note_is_the_beginning_of_a_long_one() -> None:
    """Also when the short one comes first."""
    notes = [Note(0.0, 0.2, 40, 1.0, "bass"), Note(0.5, 0.8, 40, 1.0, "bass")]
    bass = render(score_of(notes), 3)["bass"][0]
    count = round(0.15 * RATE)
    short, long = bass[:count], bass[RATE // 2 : RATE // 2 + count]
    assert short @ long > 0.999 * np.sqrt((short @ short) * (long @ long))


def test_stems_have_the_piece_s_length_and_contain_their_own_part() -> None:
    score = piece()
    stems = render(score, 0)
    assert tuple(stems) == STEMS
    assert all(stem.shape == (2, 8 * RATE) and stem.dtype == np.float32 for stem in stems.values())
    assert all(np.abs(stem).max() > 0.01 for stem in stems.values())
    alone = render(Score(tuple(n for n in score.notes if n.voice == "lead"), 8.0, 0, "minor", "house"), 0)
    assert alone["lead"].any() and not any(alone[stem].any() for stem in ("drums", "bass", "chords"))


def test_mastered_stems_sum_to_the_master() -> None:
    stems = render(piece(), 0)
    mix = np.asarray(sum(stems.values()))
    mastered, gain = master(mix), master_gain(mix)
    assert (
        np.abs(sum(stem * gain for stem in stems.values()) - mastered).max() < 1e-3 * np.abs(mastered).max()
    )
    assert loudness(mastered, RATE) == pytest.approx(LOUDNESS, abs=0.3)
    assert max(true_peaks(channel, RATE).max() for channel in mastered) <= 10 ** (-1 / 20)


@pytest.mark.parametrize("style", ["house", "ballad", "rock"])
def test_stereo_has_width_and_survives_one_loudspeaker(style: str) -> None:
    left, right = mix_of(piece(style))
    side, total = np.sum((left - right) ** 2) / 2, np.sum(left**2 + right**2)
    mono = np.sum((left + right) ** 2) / 2
    assert side > 1e-3 * total
    assert mono > 0.5 * total
    assert 0.5 < np.sum(left**2) / np.sum(right**2) < 2


def test_kick_and_bass_are_in_the_middle() -> None:
    notes = [Note(0.2, 0.0, DRUM_KEYS["kick"], 1.0, "kick"), Note(0.2, 1.0, 36, 1.0, "bass")]
    left, right = mix_of(score_of(notes))
    np.testing.assert_allclose(left, right, atol=1e-6)


def test_the_kick_turns_the_bass_down() -> None:
    bass, kick = Note(0.0, 1.9, 36, 0.2, "bass"), Note(0.5, 0.0, DRUM_KEYS["kick"], 0.01, "kick")
    free, ducked = (render(score_of(notes), 0)["bass"][0] for notes in ([bass], [bass, kick]))
    near, later = slice(round(0.51 * RATE), round(0.55 * RATE)), slice(round(1.2 * RATE), round(1.4 * RATE))
    assert np.abs(ducked[near]).max() < 0.9 * np.abs(free[near]).max()
    assert np.abs(ducked[later]).max() == pytest.approx(np.abs(free[later]).max(), rel=0.1)


def test_louder_notes_are_louder_and_brighter() -> None:
    soft, loud = (mix_of(score_of([Note(0.1, 0.0, DRUM_KEYS["snare"], v, "snare")])) for v in (0.2, 1.0))
    assert np.sum(loud**2) > 4 * np.sum(soft**2)
    assert roll_off(loud[0], RATE) > 1.05 * roll_off(soft[0], RATE)


def test_silence_for_an_empty_score_and_for_notes_outside_the_piece() -> None:
    outside = [
        Note(2.5, 0.5, 60, 1.0, "chord"),
        Note(-9.0, 0.5, 60, 1.0, "chord"),
        Note(0.5, 0.0, 2, 1.0, "extra"),
    ]
    for notes in ([], outside):
        assert not any(stem.any() for stem in render(score_of(notes), 0).values())
    assert render(score_of([], seconds=0.0), 0)["drums"].shape == (2, 0)


def test_the_end_fades_to_zero() -> None:
    sound = mix_of(piece())
    assert not sound[:, -1].any()
    tail = np.abs(sound[:, -round(0.25 * RATE) :]).max(axis=0).reshape(-1, 735).max(axis=1)
    assert tail[-1] < 0.05 * tail[0]


def test_the_seed_and_the_style_choose_the_instruments() -> None:
    first = mix_of(piece())
    assert np.array_equal(first, mix_of(piece()))
    assert not np.allclose(first, mix_of(piece(), seed=1))
    assert not np.allclose(first, mix_of(piece("rock")))
    with pytest.raises(ValueError, match="'any'.*house"):  # the model's label for unknown styles
        Ensemble.draw("any", 0)


def test_the_sound_is_brighter_than_the_corpus_s() -> None:
    timing = make_timing(np.random.default_rng(0), 7.68, 120.0)
    corpus = synthesise(np.random.SeedSequence(1), timing, "house")
    score = Song(np.random.default_rng(np.random.SeedSequence(1)), timing, "house", 22050).score
    assert roll_off(mix_of(score).mean(axis=0), RATE) > 1.1 * roll_off(corpus, 22050)
