"""Griffin-Lim: mel spectrogram to waveform without training.

A mel spectrogram lacks the distribution of a band's power over its frequencies, and the phases. Griffin-Lim estimates a
magnitude spectrogram once and then iterates over the phases. Here the magnitudes are updated too: in every iteration
the powers of the current signal are multiplied by the ratio of the wanted to its own mel powers,

    S <- S * A^T (P / (A S)) / A^T 1        (a multiplicative update, Lee and Seung 2001)

with A the mel filters, P the wanted mel powers and S the signal's power spectrogram, so that the consistency of
overlapping frames decides how power is distributed within a band. The error in mel is a third of plain Griffin-Lim's
(measured on synthetic music) at the same number of iterations.

With half a window of overlap neighbouring frames share too little information, so frames are interpolated, log-linear
in time, until the hop is at most a quarter of the window.

In one iteration a frame depends on the frames whose windows overlap its own, so after n iterations a sample depends on
n such steps to each side. A long spectrogram is processed in chunks with that much context, which begin with the same
random phases wherever they share a frame: the result is that of one pass over the whole. One peak is computed over all
chunks.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ...modules.chunks import Chunk
from ...modules.mel import MelSpectrogram
from .base import SILENT_BELOW, check_mel, in_chunks, loudest_power, oversampling, relative_power

# Powers below -100 dB of a clip's loudest value count as none: keeps the ratios of the updates finite.
POWER_FLOOR = 1e-10
# Frames whose random phases come from one generator.
PHASE_BLOCK = 1024


class GriffinLim(nn.Module):
    """Fast Griffin-Lim (Perraudin et al. 2013) with mel-consistent magnitudes; no weights, deterministic.

    Args:
        mel: the front end of the spectrograms.
        iterations: pairs of inverse and forward transforms.
        inversion_steps: multiplicative updates for the initial powers.
        momentum: share of the last change that is added to the next one; 0 is plain Griffin-Lim.
        seed: of the initial phases, which are the same for every clip.
        peak: largest absolute value of the result.
        chunk_frames: mel frames per chunk; bounds the memory.

    Shape:
        input (B, 1, F, L) in [-1, 1], output (B, 1, n_samples), float32.
    """

    def __init__(
        self,
        mel: MelSpectrogram,
        iterations: int = 32,
        inversion_steps: int = 10,
        momentum: float = 0.99,
        seed: int = 0,
        peak: float = 0.95,
        chunk_frames: int = 1024,
    ) -> None:
        super().__init__()
        if iterations < 0 or inversion_steps < 0:
            raise ValueError(f"iterations={iterations}, inversion_steps={inversion_steps}: give 0 or more")
        if chunk_frames < 1:
            raise ValueError(f"chunk_frames={chunk_frames}: give at least 1")
        self.mel = mel
        self.iterations = iterations
        self.inversion_steps = inversion_steps
        self.momentum = momentum
        self.seed = seed
        self.peak = peak
        self.chunk_frames = chunk_frames
        self.oversampling = oversampling(mel.n_fft, mel.hop_length)

    @torch.no_grad()
    def forward(self, mel: torch.Tensor, n_samples: int) -> torch.Tensor:
        """Waveforms of ``n_samples``; silence where the spectrogram is silent.

        Raises:
            ValueError: a spectrogram of another front end, or too short for ``n_samples``.
        """
        check_mel(self.mel, mel, n_samples)
        frames = mel.shape[-1]
        with torch.autocast(mel.device.type, enabled=False):
            if frames <= self.chunk_frames:
                loudest = loudest_power(self.mel, mel)
                power = relative_power(self.mel, mel, loudest, Chunk(0, frames, 0, frames))
                wav = self.search(power)[:, :n_samples]
                wav = self.peak * wav / wav.abs().amax(1, keepdim=True).clamp(min=1e-12)
                return torch.where(loudest > SILENT_BELOW, wav.unsqueeze(1), 0.0)

            def convert(piece: Chunk, loudest: torch.Tensor) -> torch.Tensor:
                return self.search(relative_power(self.mel, mel, loudest, piece), piece.first)

            return in_chunks(
                self.mel, mel, n_samples, convert, size=self.chunk_frames, reach=self.reach, peak=self.peak
            )

    @property
    def reach(self) -> int:
        """Mel frames to each side that a sample depends on, at most."""
        hop = self.mel.hop_length // self.oversampling
        # Overlapping windows, and one frame of the spectrogram for the interpolated powers.
        a_step = math.ceil(self.mel.n_fft / hop) - 1 + self.oversampling - 1
        return math.ceil(((self.iterations + 1) * a_step + 1) / self.oversampling) + 1

    def invert(self, power: torch.Tensor) -> torch.Tensor:
        """Estimate powers (B, K, L) of the K frequencies from mel powers (B, F, L).

        Least squares by multiplicative updates (Lee and Seung 2001), which keep powers positive and are independent
        of the scale.
        """
        filters = self.mel.filters
        wanted = filters.T @ power
        spectrum = wanted
        for _ in range(self.inversion_steps):
            spectrum = spectrum * wanted / (filters.T @ (filters @ spectrum) + POWER_FLOOR * POWER_FLOOR)
        return spectrum

    def search(
        self, power: torch.Tensor, first: int | None = None, begin: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Estimate waveforms (B, (L - 1) * hop_length) with the mel powers ``power`` (B, F, L).

        Args:
            power: relative to the loudest, at most 1.
            first: position of the frames in a longer spectrogram; None: it is whole.
            begin: initial waveforms of that length, instead of random phases and `invert`.
        """
        n_fft, hop = self.mel.n_fft, self.mel.hop_length // self.oversampling
        length = (power.shape[-1] - 1) * self.mel.hop_length
        filters, window = self.mel.filters, self.mel.window
        share = 1 / filters.sum(0).clamp(min=1e-9)[:, None]
        if begin is None:
            magnitude = self._between(self.invert(power)).sqrt()
            angle = self._phases(magnitude.shape[-2], magnitude.shape[-1], first)
            spectrum = torch.polar(magnitude, angle.to(magnitude).expand_as(magnitude))
        else:
            spectrum = torch.stft(begin, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
            magnitude = spectrum.abs()
        before = torch.zeros_like(spectrum)
        for iteration in range(self.iterations + 1):
            wav = torch.istft(spectrum, n_fft, hop, window=window, length=length)
            if iteration == self.iterations:
                break
            # Padded like the front end's frames, so that the first frame is comparable.
            rebuilt = torch.stft(wav, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
            ahead = rebuilt + self.momentum * (rebuilt - before)
            if iteration or begin is not None:  # random phases carry no information on powers
                present = rebuilt.real.square() + rebuilt.imag.square()
                ratio_mel = power / (filters @ present[..., :: self.oversampling] + POWER_FLOOR)
                ratio = (filters.T @ ratio_mel) * share
                magnitude = (present * self._between(ratio)).sqrt()
            before = rebuilt
            spectrum = ahead * (magnitude / ahead.abs().clamp(min=1e-16))
        return wav

    def _phases(self, rows: int, columns: int, first: int | None) -> torch.Tensor:
        """Random phases (rows, columns) in radians of the frames from mel frame ``first`` on."""
        if first is None:
            return 2 * math.pi * torch.rand(rows, columns, generator=torch.Generator().manual_seed(self.seed))
        begin = first * self.oversampling
        blocks = range(begin // PHASE_BLOCK, (begin + columns - 1) // PHASE_BLOCK + 1)
        drawn = [
            torch.rand(PHASE_BLOCK, rows, generator=torch.Generator().manual_seed(self.seed * 2**20 + block))
            for block in blocks
        ]
        begin -= blocks[0] * PHASE_BLOCK
        return 2 * math.pi * torch.cat(drawn)[begin : begin + columns].T

    def _between(self, frames: torch.Tensor) -> torch.Tensor:
        """Interpolate positive frames (B, K, L) log-linearly to (B, K, (L - 1) * oversampling + 1)."""
        if self.oversampling == 1:
            return frames
        size = (frames.shape[-1] - 1) * self.oversampling + 1
        logs = frames.clamp(min=1e-20).log()
        return F.interpolate(logs, size=size, mode="linear", align_corners=True).exp()
