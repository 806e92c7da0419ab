"""From a mel picture back to sound: one interface, and Griffin-Lim, which always works.

A mel picture lacks two things: how a band's power is shared among its frequencies, and the phases.
Griffin-Lim guesses a magnitude spectrogram once and then looks for phases that fit. Here the guess is not
final. In every iteration the powers of the present signal are multiplied by what its own mel powers lack,

    S <- S * A^T (P / (A S)) / A^T 1        (a multiplicative update, Lee and Seung 2001)

with A the mel filters, P the wanted mel powers and S the signal's power spectrogram, so that the consistency
of overlapping frames decides how power is shared within a band. The signal keeps to the picture more closely
(a third of the error in mel, measured on synthetic music) at no more iterations.

With only half a window of overlap an iteration knows too little about the neighbouring frames, so frames are
put in between, log-linear in time, until the hop is at most a quarter of the window.

An iteration tells a frame of nothing but the frames whose windows touch its own, so after n of them a sample
depends on n such steps to each side. A long picture is therefore searched in chunks with that much more around
them, which begin with the same random phases wherever they share a frame: they agree, phases and all, with what
one search over the whole would find, and stand edge to edge. One peak is found over all of them.
"""

from __future__ import annotations

import math
import typing as tp

import torch
from torch import nn
from torch.nn import functional as F

from ...modules.chunks import chunks
from ...modules.mel import MelSpectrogram
from .vocos import oversampling

#: Names of vocoders: the search below, and the network of `neural_vocoder.py`.
VOCODERS = ("griffin_lim", "vocos")
# A picture that nowhere comes within 60 dB of its reference is silence, not music to be amplified.
SILENT_BELOW = 1e-6
# Powers below -100 dB of a clip's loudest value count as none: keeps the ratios of the updates finite.
POWER_FLOOR = 1e-10
# Frames whose random phases come from one generator.
PHASE_BLOCK = 1024


class Vocoder(tp.Protocol):
    """Anything that turns mel pictures (B, 1, F, L) in [-1, 1] into waveforms (B, 1, n_samples)."""

    def __call__(self, mel: torch.Tensor, n_samples: int) -> torch.Tensor: ...


def check_request(mel: MelSpectrogram, picture: torch.Tensor, n_samples: int) -> None:
    """ValueError unless a vocoder can make so many samples of such a picture."""
    if picture.dim() != 4 or picture.shape[1] != 1 or picture.shape[2] != mel.n_mels:
        raise ValueError(f"a mel of shape {tuple(picture.shape)}: give (B, 1, {mel.n_mels}, L)")
    covered = picture.shape[-1] * mel.hop_length
    if not 0 < n_samples <= covered:
        raise ValueError(
            f"n_samples={n_samples}: {picture.shape[-1]} mel frames cover 1 to {covered} samples"
        )


class GriffinLim(nn.Module):
    """Fast Griffin-Lim (Perraudin et al. 2013) that keeps to the mel picture; no weights, deterministic.

    Args:
        mel: the front end that made the pictures.
        iterations: pairs of inverse and forward transforms.
        inversion_steps: multiplicative updates for the first guess of the powers.
        momentum: share of the last change that is added to the next; 0 is plain Griffin-Lim.
        seed: of the random phases it begins with, the same for every clip.
        peak: largest absolute value of the result.
        chunk_frames: mel frames searched at a time, which bounds the memory.

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
        """Waveforms of ``n_samples``, at most what the picture covers; silence where the picture is silent.

        Raises:
            ValueError: a picture of other rows than the front end's, or too short for ``n_samples``.
        """
        check_request(self.mel, mel, n_samples)
        with torch.autocast(mel.device.type, enabled=False):
            if mel.shape[-1] > self.chunk_frames:
                return self._in_chunks(mel, n_samples)
            floor = 10 ** (-self.mel.dynamic_range_db / 10)
            power = (self.mel.to_power(mel[:, 0]) - floor).clamp(min=0)
            loudest = power.amax((1, 2), keepdim=True)
            # One frame more, so that the last samples too lie under more than the end of one window.
            power = F.pad(power / loudest.clamp(min=SILENT_BELOW), (0, 1), mode="replicate")
            wav = self.search(power)[:, :n_samples]
            wav = self.peak * wav / wav.abs().amax(1, keepdim=True).clamp(min=1e-12)
            return torch.where(loudest > SILENT_BELOW, wav.unsqueeze(1), 0.0)

    def _in_chunks(self, mel: torch.Tensor, n_samples: int) -> torch.Tensor:
        """What `forward` gives, in memory that does not grow with the length (but for mel and result)."""
        floor, hop, frames = 10 ** (-self.mel.dynamic_range_db / 10), self.mel.hop_length, mel.shape[-1]
        loudest = (self.mel.to_power(mel.amax((1, 2, 3))) - floor).clamp(min=0)[:, None, None]
        wav = mel.new_zeros(len(mel), 1, n_samples, dtype=torch.float32)
        for piece in chunks(frames, self.chunk_frames, self.reach):
            if piece.start * hop >= n_samples:
                break
            power = (self.mel.to_power(mel[:, 0, :, piece.first : piece.last]) - floor).clamp(min=0)
            power = power / loudest.clamp(min=SILENT_BELOW)
            if piece.last == frames:
                power = F.pad(power, (0, 1), mode="replicate")
            begin, end = piece.start * hop, min(piece.stop * hop, n_samples)
            skipped = (piece.start - piece.first) * hop
            found = self.search(power, piece.first)
            wav[:, 0, begin:end] = found[:, skipped : skipped + end - begin]
        low, high = wav.aminmax(dim=-1, keepdim=True)
        gain = self.peak / torch.maximum(-low, high).clamp(min=1e-12)
        wav *= torch.where(loudest > SILENT_BELOW, gain, 0.0)
        return wav

    @property
    def reach(self) -> int:
        """Mel frames to each side that a sample depends on, at most."""
        hop = self.mel.hop_length // self.oversampling
        # Windows that touch a window, and one frame of the picture for the powers in between.
        a_step = math.ceil(self.mel.n_fft / hop) - 1 + self.oversampling - 1
        return math.ceil(((self.iterations + 1) * a_step + 1) / self.oversampling) + 1

    def invert(self, power: torch.Tensor) -> torch.Tensor:
        """Powers (B, K, L) of the K frequencies whose mel powers come near ``power`` (B, F, L).

        Least squares by multiplicative updates (Lee and Seung 2001), which keep powers positive
        and do not depend on the scale.
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
        """Waveforms (B, (L - 1) * hop_length) whose mel powers come near ``power`` (B, F, L), at most 1.

        Args:
            power: shares of the loudest one.
            first: where the frames stand in a longer picture; None: they are all there is.
            begin: waveforms of that length to begin with, instead of random phases and a guess of the powers.
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
            # Padded as the front end pads, so that the first frame is compared with its like.
            rebuilt = torch.stft(wav, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
            ahead = rebuilt + self.momentum * (rebuilt - before)
            if iteration or begin is not None:  # random phases say nothing about powers
                present = rebuilt.real.square() + rebuilt.imag.square()
                lacking = power / (filters @ present[..., :: self.oversampling] + POWER_FLOOR)
                ratio = (filters.T @ lacking) * share
                magnitude = (present * self._between(ratio)).sqrt()
            before = rebuilt
            spectrum = ahead * (magnitude / ahead.abs().clamp(min=1e-16))
        return wav

    def _phases(self, rows: int, columns: int, first: int | None) -> torch.Tensor:
        """Random phases (rows, columns) in radians, of the frames from mel frame ``first`` on."""
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
        """Positive frames (B, K, L) with log-linear ones in between, (B, K, (L - 1) * oversampling + 1)."""
        if self.oversampling == 1:
            return frames
        size = (frames.shape[-1] - 1) * self.oversampling + 1
        logs = frames.clamp(min=1e-20).log()
        return F.interpolate(logs, size=size, mode="linear", align_corners=True).exp()
