"""A trained network as a vocoder for mel spectrograms of any length.

The network has learned how power is distributed within a band and where in a frame a note begins; Griffin-Lim makes
overlapping frames consistent and restores the mel powers. A few of its iterations, begun with the network's waveform
instead of random phases, combine both (`refinement`).

Both have a finite receptive field, so that a long spectrogram is converted in chunks with context, to rounding as in
one pass.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ...modules.chunks import Chunk
from .base import SILENT_BELOW, VocoderNetwork, check_mel, in_chunks, relative_power
from .griffin_lim import GriffinLim


class NeuralVocoder(nn.Module):
    """Convert mel spectrograms to waveforms with a network.

    Args:
        network: trained.
        refinement: iterations of Griffin-Lim after it; 0: none.
        peak: largest absolute value of the result.
        chunk_frames: mel frames per chunk; bounds the memory.

    Shape:
        input (B, 1, F, L) in [-1, 1], output (B, 1, n_samples), float32.
    """

    def __init__(
        self, network: VocoderNetwork, refinement: int = 0, peak: float = 0.95, chunk_frames: int = 1024
    ) -> None:
        super().__init__()
        if refinement < 0 or chunk_frames < 1:
            raise ValueError(
                f"refinement={refinement}, chunk_frames={chunk_frames}: give 0 or more iterations and at least 1 frame"
            )
        self.network = network
        self.griffin_lim = GriffinLim(network.mel, iterations=refinement) if refinement else None
        self.refinement, self.peak, self.chunk_frames = refinement, peak, chunk_frames

    @property
    def reach(self) -> int:
        """Mel frames to each side that a sample depends on, at most."""
        if self.griffin_lim is None:
            return self.network.reach
        mel = self.network.mel
        return self.network.reach + self.griffin_lim.reach + math.ceil(mel.n_fft / mel.hop_length)

    @torch.no_grad()
    def forward(self, mel: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveforms of ``n_samples``; silence where the spectrogram is silent.

        Raises:
            ValueError: a spectrogram of another front end, or too short for ``n_samples``.
        """
        front = self.network.mel
        check_mel(front, mel, n_samples)

        def convert(piece: Chunk, loudest: torch.Tensor) -> torch.Tensor:
            wav: torch.Tensor = self.network(mel[..., piece.first : piece.last].float())[:, 0]
            if self.griffin_lim is None:
                return wav
            with torch.autocast(mel.device.type, enabled=False):
                power = relative_power(front, mel, loudest, piece)
                scale = loudest[..., 0].clamp(min=SILENT_BELOW).sqrt()
                begin = (wav / self.network.gain / scale)[:, : (power.shape[-1] - 1) * front.hop_length]
                return self.griffin_lim.search(power, begin=begin)

        return in_chunks(
            front, mel, n_samples, convert, size=self.chunk_frames, reach=self.reach, peak=self.peak
        )
