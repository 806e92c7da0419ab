"""A trained vocoder behind the interface of `vocoder.py`, for pictures of any length.

The network knows what instruments look like between the bands of a picture and where in a frame they begin;
Griffin-Lim knows that overlapping frames must agree and what the picture's powers are. A few of its iterations, begun
with the network's sound rather than with random phases, join both (`refinement`).

Both have a finite reach. A long picture is worked off in chunks with that much more around them, which gives the
samples of one pass over the whole, to rounding; one peak is found over all of them.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ...modules.chunks import Chunk, chunks
from .griffin_lim import SILENT_BELOW, GriffinLim, check_request
from .vocos import VocosNetwork


class NeuralVocoder(nn.Module):
    """Mel pictures to sound by a network.

    Args:
        network: trained, with the front end that made the pictures.
        refinement: iterations of Griffin-Lim after it; 0: none.
        peak: largest absolute value of the result.
        chunk_frames: mel frames at a time, which bounds the memory.

    Shape:
        input (B, 1, F, L) in [-1, 1], output (B, 1, n_samples), float32.
    """

    def __init__(
        self, network: VocosNetwork, refinement: int = 0, peak: float = 0.95, chunk_frames: int = 1024
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
        """Waveforms of ``n_samples``, at most what the picture covers; silence where the picture is silent.

        Raises:
            ValueError: a picture of other rows than the front end's, or too short for ``n_samples``.
        """
        front, hop = self.network.mel, self.network.mel.hop_length
        check_request(front, mel, n_samples)
        floor = 10 ** (-front.dynamic_range_db / 10)
        loudest = (front.to_power(mel.amax((1, 2, 3))) - floor).clamp(min=0)[:, None, None]
        wav = mel.new_zeros(len(mel), 1, n_samples, dtype=torch.float32)
        for piece in chunks(mel.shape[-1], self.chunk_frames, self.reach):
            if piece.start * hop >= n_samples:
                break
            begin, end = piece.start * hop, min(piece.stop * hop, n_samples)
            skipped = (piece.start - piece.first) * hop
            found = self._sound(mel, piece, loudest)
            wav[..., begin:end] = found[..., skipped : skipped + end - begin]
        low, high = wav.aminmax(dim=-1, keepdim=True)
        gain = self.peak / torch.maximum(-low, high).clamp(min=1e-12)
        wav *= torch.where(loudest > SILENT_BELOW, gain, 0.0)
        return wav

    def _sound(self, mel: torch.Tensor, piece: Chunk, loudest: torch.Tensor) -> torch.Tensor:
        """Sound (B, 1, N) of the frames `piece.first` to `piece.last`, at the same unknown level everywhere."""
        picture = mel[..., piece.first : piece.last].float()
        wav = self.network(picture)
        if self.griffin_lim is None:
            return wav
        front = self.network.mel
        scale = loudest.clamp(min=SILENT_BELOW)
        with torch.autocast(mel.device.type, enabled=False):
            floor = 10 ** (-front.dynamic_range_db / 10)
            power = (front.to_power(picture[:, 0]) - floor).clamp(min=0) / scale
            if piece.last == mel.shape[-1]:
                # One frame more, so that the last samples too lie under more than the end of one window.
                power = F.pad(power, (0, 1), mode="replicate")
            begin = (wav / self.network.gain / scale.sqrt())[:, 0, : (power.shape[-1] - 1) * front.hop_length]
            return self.griffin_lim.search(power, begin=begin).unsqueeze(1)
