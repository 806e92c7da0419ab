"""Vocos (arXiv 2306.00814): a network from mel spectrograms to waveforms that computes at the frame rate.

ConvNeXt blocks over frames, then a linear layer that predicts the magnitude and phase of every frequency of the
short-time Fourier transform, whose inverse gives the samples. Nothing is computed at the sample rate, which makes it
fast on a CPU.

Two differences from the paper:

* The network predicts factors on the magnitudes that the mel spectrogram implies (its decibels, interpolated over
  frequency and time, less the front end's floor). So the level is right before training, and the output is exactly 0
  where the spectrogram is silent.
* Where the hop is more than a quarter of the window, every mel frame gets several Fourier frames, so that at least
  four windows overlap and phases resolve where in a frame an onset lies.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ...modules.mel import MelSpectrogram
from .base import VocoderNetwork, check_mel, oversampling

# Factors above e^3 (26 dB) are not needed, and one wrong value would be an audible click.
LARGEST_LOG_FACTOR = 3.0


class ConvNeXtBlock(nn.Module):
    """A residual block: depthwise convolution over time, then two linear layers (Liu et al. 2022, arXiv 2201.03545).

    Args:
        channels: D.
        hidden: width between the two layers.
        kernel_size: odd, frames.
        scale: of the residual branch at the start.

    Shape:
        (B, L, D) to the same.
    """

    def __init__(self, channels: int, hidden: int, kernel_size: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, hidden)
        self.contract = nn.Linear(hidden, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return x + self.scale * self.contract(nn.functional.gelu(self.expand(self.norm(y))))


class VocosNetwork(VocoderNetwork):
    """Vocos with a finite receptive field.

    Args:
        mel: the front end; its window and hop are the network's.
        channels: D.
        hidden: width inside a block.
        layers: blocks.
        kernel_size: of all convolutions over time, odd, frames.

    Shape: see `VocoderNetwork`.
    """

    levels: torch.Tensor
    offsets: torch.Tensor
    centred: torch.Tensor

    def __init__(
        self,
        mel: MelSpectrogram,
        channels: int = 256,
        hidden: int = 512,
        layers: int = 8,
        kernel_size: int = 7,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0 or min(channels, hidden, layers, kernel_size) < 1:
            raise ValueError(
                f"channels={channels}, hidden={hidden}, layers={layers}, kernel_size={kernel_size}: "
                "give positive numbers and an odd kernel_size"
            )
        self.mel = mel
        self.oversampling = oversampling(mel.n_fft, mel.hop_length)
        self.hop_length = mel.hop_length // self.oversampling
        self.frequencies = mel.n_fft // 2 + 1
        self.reach = (layers + 1) * (kernel_size // 2) + math.ceil(mel.n_fft / 2 / mel.hop_length) + 1
        self.embed = nn.Conv1d(mel.n_mels, channels, kernel_size, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(channels, hidden, kernel_size, 1 / layers) for _ in range(layers)
        )
        self.last_norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, self.oversampling * 2 * self.frequencies)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        levels, offsets = _band_levels(mel)
        # Derived from the front end, so kept out of the state dict.
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)
        # Phase 0 is an impulse in the middle of the window, not at its beginning, where the window is 0.
        self.register_buffer("centred", 1.0 - 2.0 * (torch.arange(self.frequencies) % 2), persistent=False)

    @property
    def gain(self) -> float:
        """Scale with which a low sine at 0 dB has an amplitude of about 1."""
        return self.mel.n_fft / 4 * math.sqrt(float(self.mel.filters.max()))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Waveforms of mel spectrograms.

        Raises:
            ValueError: a spectrogram of another front end.
        """
        check_mel(self.mel, mel)
        mel = mel[:, 0].clamp(-1, 1)
        x = self.norm(self.embed(mel).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        output = self.head(self.last_norm(x))
        with torch.autocast(mel.device.type, enabled=False):
            # (B, L, oversampling * 2 * K) → (B, K, L * oversampling) twice
            factor, phase = output.float().unflatten(-1, (-1, 2, self.frequencies)).flatten(1, 2).unbind(2)
            magnitude = self.expected(mel) * factor.clamp(max=LARGEST_LOG_FACTOR).exp().transpose(1, 2)
            spectrum = torch.polar(magnitude, phase.transpose(1, 2)) * self.centred[:, None]
            length = mel.shape[-1] * self.mel.hop_length
            wav = torch.istft(
                spectrum, self.mel.n_fft, self.hop_length, window=self.mel.window, length=length
            )
        return self.gain * wav.unsqueeze(1)

    def expected(self, mel: torch.Tensor) -> torch.Tensor:
        """Magnitudes (B, K, L * oversampling) implied by a mel spectrogram (B, F, L), interpolated over bands and
        frames."""
        half_range = self.mel.dynamic_range_db / 2
        decibels = (self.levels @ mel.float() - 1) * half_range
        ahead = torch.cat([decibels[..., 1:], decibels[..., -1:]], dim=-1)
        steps = torch.arange(self.oversampling, device=mel.device) / self.oversampling
        between = torch.lerp(decibels[..., None], ahead[..., None], steps.to(decibels)).flatten(-2)
        floor = 10 ** (-2 * half_range / 10)
        power = (torch.pow(10.0, between / 10) - floor).clamp(min=0) * self.offsets[:, None]
        # The square root's slope is infinite at 0.
        return torch.where(power > 0, power, 1.0).sqrt() * (power > 0)


def _band_levels(mel: MelSpectrogram) -> tuple[torch.Tensor, torch.Tensor]:
    """Interpolation from mel bands to frequencies.

    Returns:
        weights (K, F) that interpolate a frame linearly between the bands' centres, and factors (K,) from a band's
        power to that of one of its frequencies if all are equal: 1 / the filter's sum. On the CPU, also under the meta
        device.
    """
    filters = mel.filters.double().cpu()
    sums = filters.sum(1)
    used = (sums > 0).nonzero()[:, 0]  # narrow bands may contain no frequency
    place = torch.arange(filters.shape[1], dtype=torch.float64, device="cpu")
    centres = (filters[used] @ place) / sums[used]
    right = torch.searchsorted(centres, place).clamp(1, len(centres) - 1)
    share = ((place - centres[right - 1]) / (centres[right] - centres[right - 1])).clamp(0, 1)
    weights = torch.zeros(filters.shape[1], mel.n_mels, dtype=torch.float64, device="cpu")
    rows = place.long()
    weights[rows, used[right - 1]] = 1 - share
    weights[rows, used[right]] += share
    inverse = torch.zeros(mel.n_mels, dtype=torch.float64, device="cpu")
    inverse[used] = 1 / sums[used]
    return weights.float(), (weights @ inverse).float()
