"""Synthetic music: on the beats, silent in pauses, in tune, never twice the same."""

from __future__ import annotations

import librosa
import mir_eval
import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic import mini
from pn_diffusion_plugin.data.corpora.synthetic.drums import KITS, Kit
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.genres import GENRES
from pn_diffusion_plugin.data.corpora.synthetic.harmony import SCALES, Harmony
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.synthetic.mini import music as mini_music
from pn_diffusion_plugin.data.corpora.synthetic.mixing import (
    Track,
    compress,
    ducking,
    hush,
    master,
    reverberation,
)
from pn_diffusion_plugin.data.corpora.synthetic.music import synthesise
from pn_diffusion_plugin.data.corpora.synthetic.plan import SAMPLE_RATE, SyntheticSpec
from pn_diffusion_plugin.data.corpora.synthetic.timing import make_timing
from pn_diffusion_plugin.data.corpora.synthetic.voices import Voice, bass_voice, instrument
from pn_diffusion_plugin.data.score.notes import DRUM_KEYS

SPEC = GeneratedSpec()


def pitch(wav: np.ndarray) -> float:
    """Frequency (Hz) of the first strong peak of the spectrum."""
    spectrum = np.abs(np.fft.rfft(wav * np.hanning(wav.size), 1 << 17))
    first = int(np.flatnonzero(spectrum > 0.3 * spectrum.max())[0])
    peak = first + int(np.argmax(spectrum[first : first + 60]))
    return peak * SAMPLE_RATE / (1 << 17)


# --- sounds


@pytest.mark.parametrize("family", KITS)
def test_every_drum_sounds_and_dies_away(family: str) -> None:
    kit = Kit(family, np.random.default_rng(0), SAMPLE_RATE)
    assert set(kit.sounds) == set(DRUM_KEYS)
    for name, sound in kit.sounds.items():
        assert np.isfinite(sound).all() and np.abs(sound).max() == pytest.approx(1.0)
        assert np.abs(sound[-20:]).max() < 0.1, name
    centroid = {
        n: float(librosa.feature.spectral_centroid(y=s, sr=SAMPLE_RATE).mean()) for n, s in kit.sounds.items()
    }
    assert centroid["kick"] < centroid["snare"] < centroid["hat"]


@pytest.mark.parametrize("kind", ["table", "fm", "pluck"])
@pytest.mark.parametrize("midi", [45, 57, 69])
def test_notes_are_in_tune(kind: str, midi: int) -> None:
    note = Voice(kind, SAMPLE_RATE, decay=1.0, ratio=1.0, index=0.5).note(midi, 1.0)
    assert note.size == SAMPLE_RATE
    assert 12 * np.log2(pitch(note) / (440 * 2 ** ((midi - 69) / 12))) == pytest.approx(0, abs=0.15)


def test_no_partial_above_half_the_rate_comes_back() -> None:
    """A naive saw of 5 kHz folds its partials down to where none of a true one lies."""
    note = Voice("table", SAMPLE_RATE, bright=1e5, dark=1e5, decay=10.0).note(111, 0.5)
    spectrum = np.abs(np.fft.rfft(note * np.hanning(note.size)))
    below = spectrum[: int(4000 * note.size / SAMPLE_RATE)]
    assert below.max() < 0.02 * spectrum.max()


def test_all_named_voices_exist() -> None:
    rng = np.random.default_rng(0)
    for genre in GENRES.values():
        for make, names in (
            (bass_voice, genre.basses),
            (instrument, genre.chords),
            (instrument, genre.leads),
        ):
            for name in names:
                sound = make(name, rng, SAMPLE_RATE).note(50, 0.3)
                assert np.isfinite(sound).all() and np.abs(sound).max() > 0.05
        assert set(genre.extras) | set(genre.snare) <= set(DRUM_KEYS) and set(genre.kits) <= set(KITS)
        assert set(genre.scales) <= set(SCALES)
        for pattern in (*genre.kicks, *genre.snares, *genre.hats, *genre.bass_lines, *genre.comping):
            assert len(pattern) == 16 and set(pattern) <= set("Xxo.")


def test_chords_are_stacked_thirds_of_the_scale() -> None:
    harmony = Harmony(key=36, scale=SCALES["major"], progression=(0, 4), seventh=False, inversion=0)
    assert harmony.chord(0) == [60, 64, 67] and harmony.chord(1) == [67, 71, 74]
    assert Harmony(36, SCALES["major"], (0, 4), True, 1).chord(0) == [64, 67, 71, 72]


# --- mixing


def test_sounds_land_where_they_are_put() -> None:
    track = Track(1.0, 100)
    track.add(np.ones(10), 0.5, 2.0)
    track.add(np.ones(10), -0.05, 1.0)
    track.add(np.ones(10), 0.98, 1.0)
    assert np.flatnonzero(track.wav).tolist() == [0, 1, 2, 3, 4, *range(50, 60), 98, 99]
    assert track.wav[55] == 2.0


def test_dynamics_have_known_answers() -> None:
    gain = ducking([0.5], 1000, 1000, 0.6, 0.1)
    assert gain[499] == 1.0 and gain[500] == pytest.approx(0.4)
    assert gain[600] == pytest.approx(1 - 0.6 * np.exp(-1))
    quiet = 0.1 * np.sin(np.arange(22050) * 0.3)
    np.testing.assert_allclose(compress(quiet, 22050, 1.0, 4.0), quiet, rtol=0.02, atol=1e-3)
    both = np.concatenate([quiet, 10 * quiet])
    pressed = compress(both, 22050, 0.1, 4.0)
    ratio = np.std(pressed[30000:]) / np.std(pressed[:18000])
    assert ratio == pytest.approx(10 ** (1 / 4), rel=0.1), "20 dB above the threshold become 5"
    silent = hush(np.ones(1000), [(0.2, 0.5)], 1000)
    assert silent[199] == 1 and silent[270:500].max() <= 0.011 and silent[500] == 1
    loud = master(100 * np.sin(np.arange(22050) * 0.2), 22050, 1.0)
    assert np.abs(loud).max() == pytest.approx(0.9) and loud.dtype == np.float32


def test_reverberation_decays_by_sixty_decibels_in_its_time() -> None:
    click = np.zeros(22050)
    click[0] = 1.0
    wet = reverberation(click, 22050, 0.8, np.random.default_rng(0))
    early, late = (np.std(wet[int(a * 22050) : int((a + 0.1) * 22050)]) for a in (0.05, 0.55))
    assert 20 * np.log10(early / late) == pytest.approx(60 * 0.5 / 0.8, abs=3)


# --- songs

presets = pytest.mark.parametrize("spec", [MiniSpec(), SPEC], ids=lambda spec: spec.name)


@pytest.mark.parametrize(
    ("genre", "preset"),
    [(g, "generated") for g in sorted(GENRES)] + [(g, "mini") for g in sorted(mini_music.PATTERNS)],
)
def test_every_beat_sounds(genre: str, preset: str) -> None:
    covered = []
    low, high = GENRES[genre].tempos if preset == "generated" else (60, 150)
    timing_of, music = (
        (make_timing, synthesise) if preset == "generated" else (mini.make_timing, mini_music.synthesise)
    )
    for seed in range(2):
        timing = timing_of(np.random.default_rng(seed), 7.68, low + (high - low) * (0.3 + 0.4 * seed))
        wav = music(np.random.SeedSequence(seed), timing, genre, SAMPLE_RATE)
        assert wav.shape == (round(7.68 * SAMPLE_RATE),) and wav.dtype == np.float32
        assert np.abs(wav).max() == pytest.approx(0.9, abs=1e-5) and abs(float(wav.mean())) < 0.01
        onsets = librosa.onset.onset_detect(y=wav, sr=SAMPLE_RATE, units="time", wait=1, delta=0.05)
        covered += [np.abs(onsets - beat).min() <= 0.05 for beat in timing.beats()]
    assert np.mean(covered) >= 0.85


@presets
def test_a_score_has_a_note_on_every_beat_and_none_in_pauses(spec: SyntheticSpec) -> None:
    for index in range(20):
        plan = spec.plan("train", index)
        notes = plan.score().notes
        onsets = np.array([note.onset for note in notes])
        for beat in plan.timing.beats():
            assert np.abs(onsets - beat).min() < 0.02
        for start, end in plan.timing.pauses():
            late = [n for n in notes if start + 0.02 < n.onset < end - 0.02 and n.voice != "hat"]
            assert not late
        for note in notes:
            assert note.velocity > 0 and 0 <= note.pitch < 128 and note.duration >= 0
            assert note.duration > 0 or note.pitch in DRUM_KEYS.values()


@presets
def test_pauses_are_silent(spec: SyntheticSpec) -> None:
    checked = 0
    for index in range(40):
        plan = spec.plan("train", index)
        if not plan.timing.pauses():
            continue
        wav = plan.audio()
        for start, end in plan.timing.pauses():
            inner = wav[round((start + 0.1) * SAMPLE_RATE) : round((end - 0.03) * SAMPLE_RATE)]
            if inner.size > 100:
                checked += 1
                assert np.std(inner) < 0.05 * np.std(wav)
    assert checked > 2


@presets
def test_songs_are_deterministic_16_bit_and_differ(spec: SyntheticSpec) -> None:
    plans = [spec.plan("valid", index) for index in (3, 4)]
    wav, again, other = plans[0].audio(), plans[0].audio(), plans[1].audio()
    np.testing.assert_array_equal(wav, again)
    np.testing.assert_array_equal(wav * 32768.0, np.round(wav * 32768.0))
    assert np.abs(np.corrcoef(wav, other)[0, 1]) < 0.3


def test_a_beat_tracker_finds_the_beats_of_mini() -> None:
    scores = []
    for index in range(5):
        plan = MiniSpec().plan("test", index)
        tracked = librosa.beat.beat_track(y=plan.audio(), sr=SAMPLE_RATE, units="time", bpm=plan.timing.bpm)[
            1
        ]
        scores.append(mir_eval.beat.f_measure(plan.timing.beats(), tracked))
    assert np.mean(scores) > 0.85
