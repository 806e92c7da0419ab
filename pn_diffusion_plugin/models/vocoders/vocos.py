"""A network from mel pictures to sound: Vocos (arXiv 2306.00814), which computes at the rate of the frames.

ConvNeXt blocks look at some frames to each side of each frame; a linear layer then gives every frequency of the
short-time Fourier transform a magnitude and a phase, and the inverse transform makes the samples. Nothing is ever
computed at the rate of the samples, which is why it is fast on a processor.

Two things differ from the paper:

* The network does not say magnitudes but by which factor they differ from what the picture itself says: its decibels,
  interpolated over frequency and time, less the floor that the front end cuts at. The picture sets the level and the
  network shares it out; before the first update the sound has about the right spectrum, and where a picture is silent
  the samples are exactly 0.
* A picture whose hop is more than a quarter of the window gets several Fourier frames for each of its own, so that at
  least four windows overlap and phases can tell where in a frame something happens.

The picture is relative to a reference power r (`modules/mel.py`). The sound comes in units in which r is `gain`²: it
is that of a wave divided by sqrt(r) / gain.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ...modules.mel import MelSpectrogram

# A factor of more than e^3 (26 dB) over the picture's own level is never needed and could make a click of a slip.
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


class VocosNetwork(nn.Module):
    """Mel pictures to sound in units of their reference, with a finite reach.

    Args:
        mel: the front end that makes the pictures; its window and hop are the network's.
        channels: D.
        hidden: width inside a block.
        layers: blocks.
        kernel_size: of all convolutions over time, odd, frames.

    Shape:
        (B, 1, F, L) in [-1, 1] to (B, 1, L * hop_length) float32.
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
        #: Frames of the picture to each side that a sample depends on, at most.
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
        # Phase 0 is an impulse in the middle of a window rather than at its beginning, where the window is 0.
        self.register_buffer("centred", 1.0 - 2.0 * (torch.arange(self.frequencies) % 2), persistent=False)

    @property
    def gain(self) -> float:
        """Of the sound's unit: with it, a low sine at 0 dB of the picture has about an amplitude of 1."""
        return self.mel.n_fft / 4 * math.sqrt(float(self.mel.filters.max()))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Sound of pictures.

        Raises:
            ValueError: a picture of other rows than the front end's.
        """
        if picture.dim() != 4 or picture.shape[1] != 1 or picture.shape[2] != self.mel.n_mels:
            raise ValueError(f"a mel of shape {tuple(picture.shape)}: give (B, 1, {self.mel.n_mels}, L)")
        picture = picture[:, 0].clamp(-1, 1)
        x = self.norm(self.embed(picture).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        answer = self.head(self.last_norm(x))
        with torch.autocast(picture.device.type, enabled=False):
            # (B, L, oversampling * 2 * K) → (B, K, L * oversampling) twice
            factor, phase = answer.float().unflatten(-1, (-1, 2, self.frequencies)).flatten(1, 2).unbind(2)
            magnitude = self.expected(picture) * factor.clamp(max=LARGEST_LOG_FACTOR).exp().transpose(1, 2)
            spectrum = torch.polar(magnitude, phase.transpose(1, 2)) * self.centred[:, None]
            length = picture.shape[-1] * self.mel.hop_length
            wav = torch.istft(
                spectrum, self.mel.n_fft, self.hop_length, window=self.mel.window, length=length
            )
        return self.gain * wav.unsqueeze(1)

    def expected(self, picture: torch.Tensor) -> torch.Tensor:
        """Magnitudes (B, K, L * oversampling) that a picture (B, F, L) promises, smooth from band to band and frame
        to frame."""
        half_range = self.mel.dynamic_range_db / 2
        decibels = (self.levels @ picture.float() - 1) * half_range
        ahead = torch.cat([decibels[..., 1:], decibels[..., -1:]], dim=-1)
        steps = torch.arange(self.oversampling, device=picture.device) / self.oversampling
        between = torch.lerp(decibels[..., None], ahead[..., None], steps.to(decibels)).flatten(-2)
        floor = 10 ** (-2 * half_range / 10)
        power = (torch.pow(10.0, between / 10) - floor).clamp(min=0) * self.offsets[:, None]
        # The square root's slope is infinite at 0.
        return torch.where(power > 0, power, 1.0).sqrt() * (power > 0)


def oversampling(n_fft: int, hop_length: int) -> int:
    """Into how many a hop is divided so that at least four windows overlap."""
    least = math.ceil(4 * hop_length / n_fft)
    return next((k for k in range(least, 4 * least + 1) if hop_length % k == 0), 1)


def _band_levels(mel: MelSpectrogram) -> tuple[torch.Tensor, torch.Tensor]:
    """What turns a picture into levels at frequencies.

    Returns:
        weights (K, F) that interpolate a column's values linearly between the bands' centres, and factors (K,) from a
        band's power to that of a frequency in it, were all as strong: 1 / the filter's sum. On the CPU, also where
        modules are made without memory.
    """
    filters = mel.filters.double().cpu()
    sums = filters.sum(1)
    used = (sums > 0).nonzero()[:, 0]  # narrow bands may lie between two frequencies
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
