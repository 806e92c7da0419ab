"""Interface of the vocoders, and what all of them share: input checks, chunks, and the peak of the result."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional as F

from ...modules.chunks import Chunk, chunks
from ...modules.mel import MelSpectrogram

#: A mel spectrogram that stays 60 dB below its reference everywhere is silence and is not amplified.
SILENT_BELOW = 1e-6


class Vocoder(Protocol):
    """Convert mel spectrograms (B, 1, F, L) in [-1, 1] to waveforms (B, 1, n_samples)."""

    def __call__(self, mel: torch.Tensor, n_samples: int) -> torch.Tensor: ...


class VocoderNetwork(nn.Module, ABC):
    """A network from mel spectrograms to waveforms, with a finite receptive field.

    Attributes:
        mel: the front end of the spectrograms.
        reach: mel frames to each side that a sample depends on, at most.

    Shape:
        (B, 1, F, L) in [-1, 1] to (B, 1, L * hop_length) float32, the waveform divided by sqrt(r) / gain, with r the
        reference power of the spectrogram.
    """

    mel: MelSpectrogram
    reach: int

    @property
    @abstractmethod
    def gain(self) -> float:
        """Scale of the output; about 1 for a sine at the reference power."""


def check_mel(front: MelSpectrogram, mel: torch.Tensor, n_samples: int | None = None) -> None:
    """Raise ValueError unless ``mel`` is one of the front end's and covers ``n_samples``."""
    if mel.dim() != 4 or mel.shape[1] != 1 or mel.shape[2] != front.n_mels:
        raise ValueError(f"a mel of shape {tuple(mel.shape)}: give (B, 1, {front.n_mels}, L)")
    covered = mel.shape[-1] * front.hop_length
    if n_samples is not None and not 0 < n_samples <= covered:
        raise ValueError(f"n_samples={n_samples}: {mel.shape[-1]} mel frames cover 1 to {covered} samples")


def oversampling(n_fft: int, hop_length: int) -> int:
    """Smallest divisor of the hop with which at least four windows overlap."""
    least = math.ceil(4 * hop_length / n_fft)
    return next((k for k in range(least, 4 * least + 1) if hop_length % k == 0), 1)


def relative_power(
    front: MelSpectrogram, mel: torch.Tensor, loudest: torch.Tensor, piece: Chunk
) -> torch.Tensor:
    """Mel powers (B, F, L) of a chunk relative to the loudest of the clip, without the front end's floor.

    At the end of the clip one frame is added, so that the last samples lie under more than the end of one window.
    """
    power = (front.to_power(mel[:, 0, :, piece.first : piece.last]) - _floor(front)).clamp(min=0)
    power = power / loudest.clamp(min=SILENT_BELOW)
    return F.pad(power, (0, 1), mode="replicate") if piece.last == mel.shape[-1] else power


def loudest_power(front: MelSpectrogram, mel: torch.Tensor) -> torch.Tensor:
    """Largest mel power of each clip without the front end's floor: (B, 1, F, L) -> (B, 1, 1)."""
    return (front.to_power(mel.amax((1, 2, 3))) - _floor(front)).clamp(min=0)[:, None, None]


def _floor(front: MelSpectrogram) -> float:
    return float(10 ** (-front.dynamic_range_db / 10))


def in_chunks(
    front: MelSpectrogram,
    mel: torch.Tensor,
    n_samples: int,
    convert: Callable[[Chunk, torch.Tensor], torch.Tensor],
    *,
    size: int,
    reach: int,
    peak: float,
) -> torch.Tensor:
    """Convert a mel spectrogram of any length chunk by chunk, then scale each clip to one peak.

    Args:
        convert: (chunk, loudest power of the clips (B, 1, 1)) -> waveforms (B, N) of the chunk's frames
            ``first`` to ``last``, at one level in all chunks.
        size: mel frames per chunk.
        reach: mel frames of context on each side.
        peak: largest absolute value of the result; silent clips stay silent.
    """
    loudest, hop = loudest_power(front, mel), front.hop_length
    wav = mel.new_zeros(len(mel), 1, n_samples, dtype=torch.float32)
    for piece in chunks(mel.shape[-1], size, reach):
        if piece.start * hop >= n_samples:
            break
        begin, end = piece.start * hop, min(piece.stop * hop, n_samples)
        skipped = (piece.start - piece.first) * hop
        wav[:, 0, begin:end] = convert(piece, loudest)[:, skipped : skipped + end - begin]
    low, high = wav.aminmax(dim=-1, keepdim=True)
    gain = peak / torch.maximum(-low, high).clamp(min=1e-12)
    wav *= torch.where(loudest > SILENT_BELOW, gain, 0.0)
    return wav
