"""Mel front end: waveform to log-mel spectrogram in [-1, 1], and back to powers.

Frame i is centred at sample i * hop_length, and there are ceil(N / hop_length) frames, so that the number of frames
depends on the duration alone and no frame lies after the end. The signal is zero-padded by half a window on both sides.

With p the power of a mel band and r the reference power of the clip, a value of the spectrogram is

    mel = 1 + 2 * max(10 * log10(p / r), -dynamic_range_db) / dynamic_range_db

i.e. decibels below the reference, 0 dB -> 1 and -80 dB (or silence) -> -1. With ``reference="max"`` r is the
loudest value of the clip (PN-Diffusion, arXiv 2503.22138); a number is an absolute reference power.
"""

from __future__ import annotations

import math
import typing as tp

import torch
import torchaudio
from torch import nn
from torch.nn import functional as F

# Smallest reference power: 40 to 50 dB below music at a usual level (a sine at -50 dB of full scale), and 60 dB above
# the rounding noise of 16 bit, so that the noise of a silent clip is not normalised to full level.
SILENCE_POWER = 1e-2


class MelSpectrogram(nn.Module):
    """Log-mel spectrogram of a waveform.

    Args:
        sample_rate: samples per second (Hz).
        n_fft: length of the Hann window and the Fourier transform in samples.
        hop_length: samples between two frames.
        n_mels: rows; row 0 is the lowest band.
        f_min, f_max: lowest and highest frequency (Hz); ``f_max=None`` is half the sample rate.
        dynamic_range_db: range of the values in decibels.
        reference: ``"max"`` (the maximum of each clip) or an absolute reference power.

    Shape:
        input (B, 1, N), output (B, 1, F, L) with L = ``frames(N)``, computed in float32 even under autocast.
    """

    window: torch.Tensor
    filters: torch.Tensor

    def __init__(
        self,
        sample_rate: int = 22050,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int = 64,
        f_min: float = 0.0,
        f_max: float | None = None,
        dynamic_range_db: float = 80.0,
        reference: str | float = "max",
    ) -> None:
        super().__init__()
        if not 0 < hop_length <= n_fft // 2:
            raise ValueError(f"hop_length={hop_length}, n_fft={n_fft}: give a hop of at most half the window")
        if n_fft > 1 << 16 or not 0 < n_mels <= n_fft // 2 + 1:
            raise ValueError(
                f"n_fft={n_fft}, n_mels={n_mels}: give a window of at most 65536 samples and no more bands than "
                "its frequencies"
            )
        f_max = sample_rate / 2 if f_max is None else f_max
        if not 0 <= f_min < f_max <= sample_rate / 2:
            raise ValueError(f"f_min={f_min}, f_max={f_max}: give 0 <= f_min < f_max <= {sample_rate / 2} Hz")
        if reference != "max" and (isinstance(reference, str) or reference <= 0):
            raise ValueError(f'reference={reference!r}: give "max" or a positive power')
        if dynamic_range_db <= 0:
            raise ValueError(f"dynamic_range_db={dynamic_range_db}: give a positive number of decibels")
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.f_min = float(f_min)
        self.f_max = float(f_max)
        self.dynamic_range_db = float(dynamic_range_db)
        self.reference = reference
        # Same filters as librosa's default (Slaney's scale and area normalisation).
        filters = torchaudio.functional.melscale_fbanks(
            n_fft // 2 + 1, self.f_min, self.f_max, n_mels, sample_rate, norm="slaney", mel_scale="slaney"
        )
        # Derived from the arguments, so kept out of the state dict.
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)

    def config(self) -> dict[str, tp.Any]:
        """Constructor arguments as plain types, as stored in checkpoints."""
        return {
            "sample_rate": self.sample_rate,
            "n_fft": self.n_fft,
            "hop_length": self.hop_length,
            "n_mels": self.n_mels,
            "f_min": self.f_min,
            "f_max": self.f_max,
            "dynamic_range_db": self.dynamic_range_db,
            "reference": self.reference,
        }

    def frames(self, n_samples: int) -> int:
        """Number of frames of ``n_samples`` samples.

        >>> MelSpectrogram(hop_length=512).frames(513)
        2
        """
        return math.ceil(n_samples / self.hop_length)

    def power(self, wav: torch.Tensor) -> torch.Tensor:
        """Mel powers of a waveform: (B, 1, N) -> (B, 1, F, L)."""
        if wav.dim() != 3 or wav.shape[1] != 1 or wav.shape[2] == 0:
            raise ValueError(f"a waveform of shape {tuple(wav.shape)}: give (B, 1, N) with N > 0")
        with torch.autocast(wav.device.type, enabled=False):
            wav = wav[:, 0].float()
            left = self.n_fft // 2
            total = (self.frames(wav.shape[-1]) - 1) * self.hop_length + self.n_fft
            wav = F.pad(wav, (left, total - left - wav.shape[-1]))
            spectrum = torch.stft(
                wav, self.n_fft, self.hop_length, window=self.window, center=False, return_complex=True
            )
            power = spectrum.real.square() + spectrum.imag.square()
            return (self.filters @ power).unsqueeze(1)

    def forward(self, wav: torch.Tensor) -> torch.Tensor:
        power = self.power(wav)
        return self.to_mel(power, self.reference_power(power))

    def reference_power(self, power: torch.Tensor) -> torch.Tensor:
        """Reference power (0 dB) for mel powers: (B, 1, F, L) -> (B, 1, 1, 1)."""
        if self.reference == "max":
            return power.amax(dim=(1, 2, 3), keepdim=True).clamp(min=SILENCE_POWER)
        return power.new_full((len(power), 1, 1, 1), float(self.reference))

    def to_mel(self, power: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Convert mel powers (B, 1, F, L) to decibels below a reference (B, 1, 1, 1), scaled to [-1, 1]."""
        floor = 10 ** (-self.dynamic_range_db / 10)
        decibels = 10 * torch.log10((power / reference).clamp(min=floor, max=1.0))
        return 1 + 2 * decibels / self.dynamic_range_db

    def to_power(self, mel: torch.Tensor) -> torch.Tensor:
        """Convert a mel spectrogram to powers relative to the reference, in [10 ** (-dynamic_range_db / 10), 1].

        The inverse of ``to_mel`` for any shape, in float32. Values outside [-1, 1] are clipped.
        """
        decibels = (mel.float().clamp(-1, 1) - 1) * (self.dynamic_range_db / 2)
        return torch.pow(10.0, decibels / 10)
