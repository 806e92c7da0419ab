"""The vocoder's network: what the picture fixes, what silence gives, and how far it sees."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.models.vocoders.base import oversampling
from pn_diffusion_plugin.models.vocoders.vocos import VocosNetwork
from pn_diffusion_plugin.modules.mel import MelSpectrogram


def network(mel: MelSpectrogram, **options: int) -> VocosNetwork:
    """A small one whose random weights matter."""
    torch.manual_seed(0)
    made = VocosNetwork(mel, **{"channels": 16, "hidden": 16, "layers": 2, "kernel_size": 3, **options})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made.eval()


def pictures(mel: MelSpectrogram, frames: int, clips: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(clips, 1, mel.n_mels, frames, generator=generator) * 1.6 - 0.8


@pytest.mark.parametrize("n_fft, hop_length, n_mels", [(1024, 512, 64), (2048, 512, 256), (512, 147, 40)])
def test_a_flat_spectrum_is_expected_flat_and_at_its_level(n_fft: int, hop_length: int, n_mels: int) -> None:
    mel = MelSpectrogram(n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, reference=1.0)
    power = 1e-3 * mel.filters.sum(1)[None, None, :, None].expand(1, 1, -1, 3)  # |X|² = 1e-3 everywhere
    picture = mel.to_mel(power, torch.ones(1, 1, 1, 1))
    found = network(mel).expected(picture[:, 0]).square()
    assert found.shape == (1, n_fft // 2 + 1, 3 * oversampling(n_fft, hop_length))
    middle = found[:, 8:-8]  # below the first band and above the last one there is nothing to go by
    assert torch.allclose(middle, torch.full_like(middle, 1e-3), rtol=0.1)


def test_levels_follow_the_picture_frame_by_frame() -> None:
    mel = MelSpectrogram(n_mels=32)
    picture = torch.full((1, 32, 3), -0.5)
    picture[..., 1] = 0.5  # 40 dB louder
    found = 20 * torch.log10(network(mel).expected(picture)[0, 200])
    assert (found[2] - found[0]).item() == pytest.approx(40, abs=0.1)
    assert (found[1] - found[0]).item() == pytest.approx(20, abs=0.1)  # half-way
    assert found[4:].tolist() == pytest.approx([found[0].item()] * 2, abs=1e-3)


def test_the_unit_is_the_pictures_reference() -> None:
    """A sine of amplitude 1 has its picture's 0 dB near `gain` squared."""
    mel = MelSpectrogram()
    wave = torch.sin(2 * torch.pi * 430.66 * torch.arange(22050) / 22050)[
        None, None
    ]  # in the middle of a bin
    assert 0.4 < mel.power(wave).max().item() / network(mel).gain ** 2 < 1.01


@pytest.mark.parametrize("hop_length, n_fft", [(512, 1024), (512, 2048), (441, 1024)])
def test_as_many_samples_as_the_frames_cover(hop_length: int, n_fft: int) -> None:
    mel = MelSpectrogram(n_fft=n_fft, hop_length=hop_length, n_mels=32)
    sound = network(mel)(pictures(mel, 7, clips=2))
    assert sound.shape == (2, 1, 7 * hop_length) and sound.dtype == torch.float32 and sound.isfinite().all()


def test_silence_is_digital_silence_and_gives_no_gradient_trouble() -> None:
    mel = MelSpectrogram(n_mels=32)
    made = network(mel)
    picture = pictures(mel, 20)
    picture[..., 8:] = -1
    sound = made(picture)
    assert sound[..., : 6 * 512].abs().max() > 0 and (sound[..., 10 * 512 :] == 0).all()
    sound.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


def test_a_slip_of_the_network_cannot_become_a_bang() -> None:
    mel = MelSpectrogram(n_mels=32)
    made = network(mel)
    calm = made(pictures(mel, 20)).abs().max()
    with torch.no_grad():
        made.head.bias[:] = 100.0
    assert made(pictures(mel, 20)).abs().max() < 1000 * calm


@pytest.mark.parametrize("layers, kernel_size", [(1, 3), (3, 5)])
@pytest.mark.parametrize("hop_length, n_fft", [(512, 1024), (512, 2048), (441, 1024)])
@torch.no_grad()
def test_it_sees_as_far_as_its_reach_and_no_farther(
    layers: int, kernel_size: int, hop_length: int, n_fft: int
) -> None:
    mel = MelSpectrogram(n_fft=n_fft, hop_length=hop_length, n_mels=32)
    made = network(mel, layers=layers, kernel_size=kernel_size)
    picture, at = pictures(mel, 60), 30
    other = picture.clone()
    other[..., at] += 0.1
    changed = (made(picture) != made(other)).flatten().nonzero()
    frames = changed // hop_length
    assert at - made.reach <= frames.min() and frames.max() <= at + made.reach
    assert frames.max() - frames.min() >= 2 * made.reach - 4  # the bound is no idle one


def test_impossible_sizes_are_refused() -> None:
    mel = MelSpectrogram()
    with pytest.raises(ValueError, match="kernel_size=4"):
        VocosNetwork(mel, kernel_size=4)
    with pytest.raises(ValueError, match="layers=0"):
        VocosNetwork(mel, layers=0)
    with pytest.raises(ValueError, match="64"):
        VocosNetwork(mel, channels=4, hidden=4, layers=1)(torch.zeros(1, 1, 80, 10))
