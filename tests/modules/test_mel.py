"""The mel front end against librosa, and its promises about lengths, levels and silence."""

from __future__ import annotations

import json
import typing as tp

import librosa
import numpy as np
import pytest
import torch

from pn_diffusion_plugin.modules.mel import MelSpectrogram

SETTINGS: list[dict[str, tp.Any]] = [
    {},
    {"n_fft": 2048, "n_mels": 256},
    {"sample_rate": 16000, "hop_length": 160, "n_fft": 640, "n_mels": 80, "f_min": 50.0, "f_max": 7000.0},
]


def noise(n_samples: int = 22050, clips: int = 1, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(clips, 1, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("settings", SETTINGS)
def test_same_as_librosa(settings: dict[str, tp.Any]) -> None:
    mel, wav = MelSpectrogram(**settings), noise()
    power = librosa.feature.melspectrogram(
        y=wav[0, 0].numpy(),
        sr=mel.sample_rate,
        n_fft=mel.n_fft,
        hop_length=mel.hop_length,
        n_mels=mel.n_mels,
        fmin=mel.f_min,
        fmax=mel.f_max,
    )
    expected = 1 + librosa.power_to_db(power, ref=np.max, top_db=80) / 40
    picture = mel(wav)[0, 0].numpy()
    assert np.abs(picture - expected[:, : picture.shape[1]]).max() < 1e-4


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 1024, 22050, 176400])
def test_a_frame_every_hop_and_none_after_the_end(n_samples: int) -> None:
    mel = MelSpectrogram()
    assert mel(noise(n_samples)).shape == (1, 1, 64, mel.frames(n_samples))
    assert mel.frames(n_samples) == -(-n_samples // 512)


def test_lengths_of_the_default_windows() -> None:
    mel = MelSpectrogram()
    assert mel.frames(round(5.2 * 22050)) == 224
    assert mel.frames(8 * 22050) == 345


def test_frame_i_is_centred_at_i_hops() -> None:
    mel, wav = MelSpectrogram(reference=1.0), torch.zeros(1, 1, 512 * 20)
    wav[..., 512 * 7] = 1
    power = mel.power(wav)[0, 0].sum(0)
    assert power.argmax() == 7
    # A click between two frames is in both alike.
    between = torch.zeros_like(wav)
    between[..., 512 * 7 + 256] = 1
    power = mel.power(between)[0, 0].sum(0)
    assert power[7].item() == pytest.approx(power[8].item(), rel=1e-3) and power[6] == power[9] == 0


def test_row_0_is_the_lowest_band() -> None:
    time = torch.arange(22050) / 22050
    rows = [
        MelSpectrogram()(torch.sin(2 * np.pi * f * time)[None, None]).mean(-1).argmax()
        for f in (60, 440, 9000)
    ]
    assert rows[0] <= 1 and rows[0] < rows[1] < rows[2] and rows[2] >= 58


def test_values_lie_between_minus_one_and_one_and_reach_one() -> None:
    wav = noise() * torch.tensor([1.0, 0.2, 3.0])[:, None, None]
    wav[:, :, 5000:15000] = 0
    picture = MelSpectrogram()(wav)
    assert picture.min() == -1 and torch.allclose(picture.amax((1, 2, 3)), torch.ones(3))
    # The level of a clip does not matter, nor do the clips beside it.
    assert torch.allclose(picture[0], picture[2], atol=1e-4) and torch.allclose(
        picture[0], picture[1], atol=1e-4
    )
    assert torch.allclose(MelSpectrogram()(wav[1:2]), picture[1:2], atol=1e-5)


def test_silence_is_the_darkest_picture() -> None:
    mel = MelSpectrogram()
    assert (mel(torch.zeros(1, 1, 4000)) == -1).all()
    # Rounding to 16 bit leaves noise of half a step, which must not be taken for music.
    assert mel(noise(level=0.3 / 32768)).max() < -0.5
    assert mel(noise(level=0.02)).max() == 1


def test_absolute_reference_keeps_levels() -> None:
    mel = MelSpectrogram(reference=100.0)
    loud, soft = mel(noise(level=0.1)), mel(noise(level=0.01))
    assert torch.allclose(loud - soft, torch.full_like(loud, 0.5), atol=1e-4)


def test_to_power_is_the_inverse_up_to_the_reference() -> None:
    mel, wav = MelSpectrogram(), noise()
    power = mel.power(wav)
    relative = (power / power.max()).clamp(min=1e-8)
    assert torch.allclose(mel.to_power(mel(wav)), relative, rtol=1e-3)
    assert torch.allclose(
        mel.to_power(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])), 10.0 ** torch.tensor([-8.0, -8, -4, 0, 0])
    )


def test_autocast_changes_nothing() -> None:
    mel, wav = MelSpectrogram(), noise()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mel(wav), MelSpectrogram()(wav)) and mel(wav).dtype == torch.float32
    assert torch.equal(mel(wav.double()), mel(wav))


@pytest.mark.parametrize("settings", [*SETTINGS, {"reference": 3.0, "dynamic_range_db": 60}])
def test_config_makes_the_same_front_end_again(settings: dict[str, tp.Any]) -> None:
    mel = MelSpectrogram(**settings)
    again = MelSpectrogram(**json.loads(json.dumps(mel.config())))
    assert torch.equal(mel(noise()), again(noise())) and not mel.state_dict()


@pytest.mark.parametrize(
    "settings",
    [
        {"hop_length": 513},
        {"f_max": 12000.0},
        {"reference": "mean"},
        {"reference": 0.0},
        {"dynamic_range_db": 0.0},
        {"n_fft": 10**9},
        {"n_mels": 514},
        {"n_mels": 0},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, tp.Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        MelSpectrogram(**settings)


@pytest.mark.parametrize("shape", [(22050,), (1, 22050), (1, 2, 22050), (1, 1, 0)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        MelSpectrogram()(torch.zeros(shape))
