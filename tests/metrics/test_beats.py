"""Scores on event times, by hand; detectors, on click tracks whose times are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pn_diffusion_plugin.metrics import beats
from pn_diffusion_plugin.metrics.nulls import click_track
from pn_diffusion_plugin.metrics.statistics import harmonic_mean_of_means

RATE = 22050
HALVES = np.arange(0.5, 4.6, 0.5)
EACH = np.arange(0.5, 5, 1)

# reference, generated, loris BCS/BHS, d2m BCS/BHS, F at ±70 ms; five bins
WORKED = [
    (EACH, EACH + 0.45, (1, 1), (1, 1), 0),
    (HALVES, [0.5, 2.5, 4.5], (1, 0.6), (0.6, 0.6), 0.5),
    (HALVES, [0.5], (1, 0.2), (0.2, 0.2), 0.2),
    ([0.5, 2.5], np.arange(0.2, 4.8, 0.5), (0.4, 1), (2.5, 1), 0),
    ([0.99, 1.99, 2.99], [1.01, 2.01, 3.01], (2 / 3, 2 / 3), (1, 2 / 3), 1),
]


@pytest.mark.parametrize(("reference", "generated", "loris", "d2m", "f70"), WORKED)
def test_worked_examples(reference, generated, loris, d2m, f70) -> None:
    bins = beats.event_bins(reference, 5.0), beats.event_bins(generated, 5.0)
    assert beats.loris_scores(*bins) == pytest.approx(loris)
    assert beats.d2m_scores(*bins) == pytest.approx(d2m)
    assert beats.beat_f_measure(reference, generated) == pytest.approx(f70)


def test_bins_are_floor_and_ceil() -> None:
    assert beats.event_bins([0.0, 0.9, 4.99], 5.0).tolist() == [True, False, False, False, True]
    assert len(beats.event_bins([], 5.12)) == 6
    assert beats.event_bins([-0.1, 5.0, 7.0], 5.0).sum() == 0  # outside the clip


def test_empty_denominators_give_zero() -> None:
    some, none = beats.event_bins([0.5], 3.0), beats.event_bins([], 3.0)
    for scores in (beats.loris_scores, beats.d2m_scores):
        assert scores(some, none) == (0, 0)
        assert scores(none, some) == (0, 0)
        assert scores(none, none) == (0, 0)
    assert harmonic_mean_of_means(np.array([[0.0, 0.0]])) == 0
    assert harmonic_mean_of_means(np.array([[1.0, 0.5]])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("score", [beats.beat_f_measure, beats.onset_f_measure])
def test_f_measure_is_undefined_without_a_reference_and_zero_without_an_answer(score) -> None:
    assert math.isnan(score([], [1.0]))
    assert score([1.0], []) == 0
    assert score([1.0, 2.0], [1.0, 2.0]) == 1


def test_windows_are_70_and_50_ms() -> None:
    assert beats.beat_f_measure(EACH, EACH + 0.069) == 1
    assert beats.beat_f_measure(EACH, EACH + 0.071) == 0
    assert beats.onset_f_measure(EACH, EACH + 0.049) == 1
    assert beats.onset_f_measure(EACH, EACH + 0.051) == 0


def test_early_beats_count() -> None:
    """mir_eval.beat.evaluate would drop the first five seconds."""
    assert beats.beat_f_measure([1.0, 2.0, 6.0], [6.0]) == pytest.approx(0.5)


def test_one_event_is_matched_once() -> None:
    """A burst of events round a beat is one hit and many false alarms."""
    assert beats.beat_f_measure([1.0], [0.98, 0.99, 1.0, 1.01]) == pytest.approx(2 * 0.25 / 1.25)


def test_tempo() -> None:
    assert beats.tempo(np.arange(0, 5, 0.5)) == pytest.approx(120)
    assert beats.tempo([1.0]) == 0
    assert beats.tempo([0, 0.5, 1.0, 2.0, 2.5]) == pytest.approx(120)  # one beat missed


@pytest.mark.parametrize(
    ("bpm", "error", "octave"),
    [(100, 0, 0), (110, 0.1, 0), (200, 0, 1), (50, 0, 1), (206, 0.03, 1), (220, 0.1, 0), (133, 0.33, 0)],
)
def test_octave_errors_are_told_apart(bpm, error, octave) -> None:
    found = beats.tempo_error(np.arange(0, 8, 0.6), np.arange(0, 8, 60 / bpm))
    assert found == pytest.approx((error, octave))


def test_tempo_error_of_silence_is_one() -> None:
    assert beats.tempo_error([0, 0.5, 1], []) == (1, 0)
    assert all(math.isnan(value) for value in beats.tempo_error([], [0, 0.5]))


def test_times_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        beats.as_times([0.5, math.nan])


@pytest.mark.parametrize("bpm", [80, 100, 120, 150])
def test_click_track_is_tracked_without_bias(bpm) -> None:
    clicks = np.arange(0.3, 8, 60 / bpm)
    wav = click_track(8 * RATE, RATE, period=60 / bpm, first=0.3)
    tracked = beats.track_beats(wav, RATE)
    nearest = tracked[np.abs(tracked[:, None] - clicks).argmin(axis=0)] - clicks
    assert abs(np.median(nearest)) < 0.008
    assert beats.tempo_error(clicks, tracked)[0] < 0.04
    assert beats.beat_f_measure(clicks, tracked) > 0.85


def test_a_sound_scores_one_against_itself_and_less_when_shifted() -> None:
    wav = click_track(8 * RATE, RATE, period=0.5)
    late = np.roll(wav, round(0.2 * RATE))
    truth, same, shifted = (beats.music_events(w, RATE) for w in (wav, wav.copy(), late))
    assert beats.beat_f_measure(truth.beats, same.beats) == 1
    assert beats.onset_f_measure(truth.onsets, same.onsets) == 1
    assert beats.beat_f_measure(truth.beats, shifted.beats) < 0.1
    assert beats.onset_f_measure(truth.onsets, shifted.onsets) < 0.1
    # ... and the one-second bins see nothing of it
    bins = [beats.event_bins(e.loris, e.seconds) for e in (truth, shifted)]
    assert beats.loris_scores(*bins) == (1, 1)


def test_every_detector_finds_the_clicks() -> None:
    events = beats.music_events(click_track(5 * RATE, RATE, period=0.5), RATE)
    clicks = np.arange(0.25, 5, 0.5)
    for found in (events.loris, events.d2m, events.onsets):
        assert beats.onset_f_measure(clicks, found) > 0.9


def test_silence_has_no_events() -> None:
    events = beats.music_events(np.zeros(2 * RATE), RATE)
    assert events.seconds == 2
    assert not any(len(e) for e in (events.loris, events.d2m, events.onsets, events.beats))
    assert beats.music_events(np.zeros(0), RATE).seconds == 0


def test_rate_and_channels_do_not_matter() -> None:
    wav = click_track(4 * 44100, 44100, period=0.5)
    stereo = beats.music_events(np.stack([wav, wav]), 44100)
    low = beats.music_events(click_track(4 * RATE, RATE, period=0.5), RATE)
    assert beats.onset_f_measure(low.onsets, stereo.onsets) == 1
    assert stereo.seconds == low.seconds == 4


def test_bad_sounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N,\)"):
        beats.music_events(np.zeros((1, 1, 8)), RATE)
    with pytest.raises(ValueError, match="finite"):
        beats.music_events(np.array([0, np.nan]), RATE)


def test_resample_gives_exact_lengths() -> None:
    assert beats.resample(np.ones(48000, np.float32), 48000, RATE).size == RATE
    assert beats.resample(np.ones(1001, np.float32), 44100, RATE).size == round(1001 / 2)


def test_cut() -> None:
    events = beats.music_events(click_track(4 * RATE, RATE), RATE).cut(2.0)
    assert events.seconds == 2 and len(events.onsets) and events.onsets.max() < 2
