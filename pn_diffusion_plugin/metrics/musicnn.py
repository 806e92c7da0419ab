"""musicnn, a music tagger, as a torch network (J. Pons and X. Serra, arXiv 1909.06654).

Vertical filters capture timbre (7 frames by 38 or 67 mel bands) and horizontal ones rhythm (128, 64 or 32 frames by
one band); three residual convolutions follow, and a dense layer on their maximum and mean over time gives the
embedding of 200 values used here. Everywhere the order is convolution, ReLU, batch normalisation.

`musicnn.safetensors` holds the model `MSD_musicnn` of the PyPI package `musicnn` 0.1.0 (ISC, `musicnn.LICENSE`) up to
that embedding, each batch normalisation folded to a scale and a shift. The package itself needs TensorFlow and is not
used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError
from .beats import as_mono, resample

SAMPLE_RATE = 16000
N_FFT, HOP_LENGTH, N_MELS = 512, 256, 96
WINDOW = 187
"""Frames (3 s) that the network was trained on."""
DIM = 200
WEIGHTS = Path(__file__).with_name("musicnn.safetensors")

_TIMBRAL, _TEMPORAL, _MIDDLE = 204, 51, 64  # filters
_FRONT = 2 * _TIMBRAL + 3 * _TEMPORAL


class _Scale(nn.Module):
    """Batch normalisation with fixed statistics: x · scale + shift along `axis`."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("shift", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return x * self.scale.reshape(shape) + self.shift.reshape(shape)


class MusicnnNet(nn.Module):
    """The tagger up to its embedding.

    Shape:
        input: (B, T, 96) log mel spectrogram (`log_mel`), T ≥ 1 frames; trained on 187.
        output: (B, 200).
    """

    def __init__(self) -> None:
        super().__init__()
        timbral = [nn.Conv2d(1, _TIMBRAL, (7, width), padding=(3, 0)) for width in (38, 67)]
        temporal = [nn.Conv2d(1, _TEMPORAL, (length, 1)) for length in (128, 64, 32)]
        self.input_norm = _Scale(1)
        self.front = nn.ModuleList([*timbral, *temporal])
        self.front_norms = nn.ModuleList([_Scale(conv.out_channels) for conv in (*timbral, *temporal)])
        inputs = (_FRONT, _MIDDLE, _MIDDLE)
        self.middle = nn.ModuleList([nn.Conv1d(channels, _MIDDLE, 7, padding=3) for channels in inputs])
        self.middle_norms = nn.ModuleList([_Scale(_MIDDLE) for _ in inputs])
        pooled = 2 * (_FRONT + 3 * _MIDDLE)
        self.pool_norm = _Scale(pooled)
        self.dense = nn.Linear(pooled, DIM)
        self.dense_norm = _Scale(DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_norm(x[:, None])
        responses = []
        for conv, norm in zip(self.front, self.front_norms, strict=True):
            assert isinstance(conv, nn.Conv2d)
            length = conv.kernel_size[0]
            # TensorFlow's "same" for an even length: one frame less before than after.
            padded = F.pad(x, (0, 0, (length - 1) // 2, length // 2)) if length != 7 else x
            responses.append(norm(F.relu(conv(padded))).amax(dim=3))  # over the bands: (B, filters, T)
        layers = [torch.cat(responses, dim=1)]
        for conv, norm in zip(self.middle, self.middle_norms, strict=True):
            y = norm(F.relu(conv(layers[-1])))
            layers.append(y if len(layers) == 1 else y + layers[-1])
        features = torch.cat(layers, dim=1)
        # (B, 753, 2) → (B, 1506): maximum and mean of a channel are adjacent
        pooled = torch.stack([features.amax(dim=2), features.mean(dim=2)], dim=2).flatten(1)
        return self.dense_norm(F.relu(self.dense(self.pool_norm(pooled))))


def log_mel(wav: object, sample_rate: int) -> NDArray[np.float32]:
    """Log mel spectrogram (frames, 96) of a waveform (N,) or (C, N), 62.5 frames a second.

    In single precision; the package rounds to half precision, in which loud tones overflow.
    """
    import librosa

    mono = resample(as_mono(wav), sample_rate, SAMPLE_RATE)
    mel = librosa.feature.melspectrogram(
        y=mono, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS
    )
    return np.log10(10000 * mel.T + 1).astype(np.float32)


def load_musicnn(path: str | Path = WEIGHTS) -> MusicnnNet:
    """The frozen network.

    Raises:
        CheckpointError: the file is missing, damaged or holds another network.
    """
    net = MusicnnNet()
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"the musicnn weights {path} cannot be read ({error}): reinstall the package"
        ) from error
    return net.eval().requires_grad_(False)
