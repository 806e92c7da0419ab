"""Griffin-Lim: what must survive the way from sound to picture to sound."""

from __future__ import annotations

import typing as tp

import librosa
import mir_eval
import numpy as np
import pytest
import torch

from pn_diffusion_plugin.models.vocoders.griffin_lim import GriffinLim
from pn_diffusion_plugin.modules.mel import MelSpectrogram

RATE = 22050


def clicks(times: np.ndarray, seconds: float) -> torch.Tensor:
    return torch.from_numpy(
        librosa.clicks(times=times, sr=RATE, length=round(seconds * RATE)).astype(np.float32)
    )


def music(times: np.ndarray, seconds: float) -> torch.Tensor:
    """Kick drums, hats and a bass on the given times over a held chord."""
    rng, n = np.random.default_rng(0), round(seconds * RATE)
    t = np.arange(n) / RATE
    wav = 0.08 * np.sin(2 * np.pi * np.outer([220.0, 277.2, 329.6], t)).sum(0)
    for i, start in enumerate(times):
        s = t[t >= start] - start
        wav[t >= start] += (
            0.8 * np.exp(-s / 0.08) * np.sin(2 * np.pi * (50 * s + 6 * (1 - np.exp(-s / 0.02))))
        )
        wav[t >= start] += 0.25 * np.exp(-s / 0.02) * rng.standard_normal(len(s))
        wav[t >= start] += 0.3 * np.exp(-s / 0.25) * np.sin(2 * np.pi * (110 if i % 4 < 2 else 82.4) * s)
    return torch.from_numpy((0.9 * wav / np.abs(wav).max()).astype(np.float32))


def round_trip(wav: torch.Tensor, mel: MelSpectrogram | None = None, **kwargs: int) -> torch.Tensor:
    mel = mel or MelSpectrogram()
    return GriffinLim(mel, **kwargs)(mel(wav[None, None]), len(wav))[0, 0]


def onsets(wav: torch.Tensor) -> np.ndarray:
    return librosa.onset.onset_detect(y=wav.numpy(), sr=RATE, hop_length=512, units="time")


def convergence(wav: torch.Tensor, again: torch.Tensor) -> float:
    """Distance of the magnitude spectrograms at the best gain, as a share of the reference's norm."""
    reference, other = (np.abs(librosa.stft(x.numpy(), n_fft=1024, hop_length=256)) for x in (wav, again))
    gain = (reference * other).sum() / (other**2).sum()
    return float(np.linalg.norm(reference - gain * other) / np.linalg.norm(reference))


@pytest.mark.parametrize("make", [clicks, music])
@pytest.mark.parametrize("period", [0.31, 0.5, 0.87])
def test_onsets_survive(make: tp.Callable[[np.ndarray, float], torch.Tensor], period: float) -> None:
    times = np.arange(0.4, 5.7, period)
    found = onsets(round_trip(make(times, 6.0)))
    assert mir_eval.onset.f_measure(times, found, window=0.05)[0] >= 0.95


def test_onsets_keep_their_time() -> None:
    """No delay: the loudness envelopes of clicks line up to within 5 ms."""
    times = np.arange(0.4, 3.7, 0.5)
    wav = clicks(times, 4.0)
    before, after = (
        librosa.feature.rms(y=x.numpy(), frame_length=256, hop_length=64)[0] for x in (wav, round_trip(wav))
    )
    lags = np.correlate(before - before.mean(), after - after.mean(), mode="full")
    assert abs(lags.argmax() - (len(before) - 1)) * 64 / RATE < 0.005


@pytest.mark.parametrize("n_fft, n_mels, limit", [(1024, 64, 0.45), (2048, 256, 0.25)])
def test_spectrum_and_picture_come_back(n_fft: int, n_mels: int, limit: float) -> None:
    mel = MelSpectrogram(n_fft=n_fft, n_mels=n_mels)
    wav = music(np.arange(0.3, 4, 0.5), 4.0)
    again = round_trip(wav, mel)
    assert convergence(wav, again) < limit
    pictures = mel(torch.stack([wav, again])[:, None])
    # Without the updates between the iterations it is above 0.024.
    assert (pictures[0] - pictures[1]).abs().mean() < 0.02


def test_iterations_help() -> None:
    wav, mel = music(np.arange(0.3, 3, 0.5), 3.0), MelSpectrogram()
    wanted = mel(wav[None, None])
    errors = [(mel(round_trip(wav, iterations=n)[None, None]) - wanted).abs().mean() for n in (0, 4, 32)]
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


def test_pitch_survives() -> None:
    t = torch.arange(RATE) / RATE
    again = round_trip(torch.sin(2 * torch.pi * 880 * t))
    peak = np.abs(np.fft.rfft(again.numpy() * np.hanning(len(again)))).argmax()
    assert abs(12 * np.log2(peak / 880)) < 1


def test_silence_stays_silence() -> None:
    mel = MelSpectrogram()
    vocoder = GriffinLim(mel)
    assert (vocoder(torch.full((2, 1, 64, 20), -1.0), 10000) == 0).all()
    assert (vocoder(mel(torch.zeros(1, 1, 10000)), 10000) == 0).all()
    # A dark picture of a network that is a little off silence is not blown up to full level.
    assert (vocoder(torch.full((1, 1, 64, 20), -0.9), 10000) == 0).all()


def test_a_pause_stays_quiet() -> None:
    wav = music(np.arange(0.3, 4, 0.4), 4.0)
    wav[RATE : 3 * RATE] = 0
    again = round_trip(wav)
    assert again[RATE + 1024 : 3 * RATE - 1024].abs().max() < 1e-4 and again.abs().max() == pytest.approx(
        0.95
    )


@pytest.mark.parametrize("n_samples", [1, 300, 512, 5000, 44100 - 511, 44100])
def test_length_and_level(n_samples: int) -> None:
    mel = MelSpectrogram()
    wav = music(np.arange(0.0, 2, 0.4), 2.0)
    again = GriffinLim(mel, iterations=2)(mel(wav[None, None]), n_samples)
    assert again.shape == (1, 1, n_samples) and again.dtype == torch.float32
    assert again.isfinite().all() and again.abs().max().item() == pytest.approx(0.95)


def test_the_ends_do_not_click() -> None:
    t = torch.arange(2 * RATE) / RATE
    again = round_trip(0.5 * torch.sin(2 * torch.pi * 440 * t))
    middle = again[RATE // 2 : -RATE // 2].abs().max()
    assert again[:512].abs().max() < 1.3 * middle and again[-512:].abs().max() < 1.3 * middle


def test_the_same_every_time_alone_or_in_a_batch() -> None:
    mel = MelSpectrogram()
    wavs = torch.stack([music(np.arange(0.2, 2, p), 2.0) for p in (0.3, 0.5)])[:, None]
    vocoder, pictures = GriffinLim(mel), mel(wavs)
    state = torch.random.get_rng_state()
    together = vocoder(pictures, 44000)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(vocoder(pictures, 44000), together)
    for i in range(2):
        assert torch.allclose(vocoder(pictures[i : i + 1], 44000), together[i : i + 1], atol=1e-3)
    assert not torch.allclose(GriffinLim(mel, seed=1)(pictures, 44000), together, atol=1e-2)


def test_inversion_finds_powers_that_fit() -> None:
    mel = MelSpectrogram()
    power = mel.filters @ torch.rand(1, 513, 30, generator=torch.Generator().manual_seed(0)).square()
    few, many = (GriffinLim(mel, inversion_steps=n).invert(power) for n in (3, 100))
    errors = [((mel.filters @ spectrum - power).norm() / power.norm()).item() for spectrum in (few, many)]
    assert errors[1] < errors[0] and errors[1] < 0.05 and (many >= 0).all()
    assert torch.allclose(GriffinLim(mel, inversion_steps=100).invert(1e-4 * power), 1e-4 * many, rtol=1e-2)


@pytest.mark.parametrize(
    "n_fft, hop_length, oversampling", [(1024, 512, 2), (2048, 512, 1), (1024, 441, 3), (640, 160, 1)]
)
def test_four_windows_overlap(n_fft: int, hop_length: int, oversampling: int) -> None:
    mel = MelSpectrogram(n_fft=n_fft, hop_length=hop_length)
    assert GriffinLim(mel).oversampling == oversampling
    wav = music(np.arange(0.2, 1, 0.3), 1.0)
    assert convergence(wav, round_trip(wav, mel)) < 0.6


def test_what_cannot_be_is_refused() -> None:
    vocoder = GriffinLim(MelSpectrogram())
    with pytest.raises(ValueError, match="64"):
        vocoder(torch.zeros(1, 1, 80, 10), 1000)
    with pytest.raises(ValueError, match="n_samples=5121"):
        vocoder(torch.zeros(1, 1, 64, 10), 5121)
    with pytest.raises(ValueError, match="iterations=-1"):
        GriffinLim(MelSpectrogram(), iterations=-1)
    with pytest.raises(ValueError, match="chunk_frames=0"):
        GriffinLim(MelSpectrogram(), chunk_frames=0)


@pytest.mark.parametrize("chunk_frames", [1, 7, 40])
@pytest.mark.parametrize("n_fft, n_mels, hop_length", [(1024, 64, 512), (2048, 128, 512), (1024, 64, 441)])
def test_chunks_find_the_phases_of_one_search(
    n_fft: int, n_mels: int, hop_length: int, chunk_frames: int
) -> None:
    """The same samples, not just the same sound, wherever a chunk begins; and to the sample as many."""
    mel = MelSpectrogram(n_fft=n_fft, n_mels=n_mels, hop_length=hop_length)
    picture = mel(music(np.arange(0.3, 2, 0.3), 2.0)[None, None])
    frames, samples = picture.shape[-1], 44100 - 77
    iterations = 3
    one, apart = (
        GriffinLim(mel, iterations=iterations, chunk_frames=n)(picture, samples)
        for n in (frames - 1, chunk_frames)
    )
    assert one.shape == apart.shape == (1, 1, samples)
    assert torch.allclose(one, apart, atol=1e-4)
    assert GriffinLim(mel, iterations=iterations).reach < frames / 4  # there is something to be cut off


def test_a_long_picture_sounds_as_it_does_in_one_piece() -> None:
    """Loud and soft parts keep their ratio, silence stays silence, and there is one peak."""
    wav = torch.cat([music(np.arange(0.3, 2, 0.3), 2.0), 0.05 * music(np.arange(0.3, 2, 0.4), 2.0)])
    mel = MelSpectrogram()
    picture = mel(wav[None, None])
    whole, apart = (GriffinLim(mel, chunk_frames=n)(picture, len(wav)) for n in (1000, 60))
    assert apart.abs().max().item() == pytest.approx(0.95)
    errors = [(mel(x) - picture).abs().mean() for x in (whole, apart)]
    assert errors[1] < 1.1 * errors[0]
    soft, soft_apart = (x[..., 50000:].square().mean().sqrt() for x in (whole, apart))
    assert soft_apart.item() == pytest.approx(soft.item(), rel=0.1)
    # Each clip of a batch by itself, silent ones too.
    both = GriffinLim(mel, chunk_frames=60)(torch.cat([picture, torch.full_like(picture, -1)]), len(wav))
    assert torch.allclose(both[:1], apart, atol=1e-3) and (both[1] == 0).all()
