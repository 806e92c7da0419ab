"""Spectral convergence at several resolutions (Parallel WaveGAN, arXiv 1910.11480).

audiocraft's `MRSTFTLoss` keeps its sums on the CPU and adds a difference of log magnitudes, in which inaudible parts
weigh as much as loud ones. Spectral convergence alone is dominated by the peaks, i.e. by where in a mel band a tone
lies.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from audiocraft.losses import STFTLoss
from torch import nn


class MultiSpectralConvergence(nn.Module):
    """Mean over resolutions of ‖|S| − |S'|‖ / ‖|S|‖ of a batch's magnitude spectrograms.

    Args:
        n_ffts: window lengths in samples; the hops are a quarter of them.

    Shape:
        two waveforms (B, 1, N), the estimate first, to a scalar.
    """

    def __init__(self, n_ffts: Sequence[int] = (512, 1024, 2048)) -> None:
        super().__init__()
        self.losses = nn.ModuleList(
            STFTLoss(n_fft, n_fft // 4, n_fft, factor_sc=1.0, factor_mag=0.0) for n_fft in n_ffts
        )

    def forward(self, estimate: torch.Tensor, wave: torch.Tensor) -> torch.Tensor:
        return torch.stack([loss(estimate, wave) for loss in self.losses]).mean()
