"""musicnn, a music tagger, as a torch network with the weights of the PyPI package `musicnn` 0.1.0 (ISC).

J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging" (ISMIR late
breaking 2019, arXiv 1909.06654). A front end of wide filters hears timbre (7 frames by 38 or 67 mel bands) and
rhythm (128, 64 or 32 frames by one band), a mid-end of three residual convolutions joins them, and a dense layer
on their maximum and mean over time gives 200 numbers before the tags: the embedding used here.

The package itself is not imported (it needs TensorFlow): its checkpoint is read by `tf_bundle.py`. Everywhere the
order is convolution, ReLU, batch normalisation.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError
from .beats import as_mono, resample
from .tf_bundle import read_bundle

SAMPLE_RATE = 16000
N_FFT, HOP_LENGTH, N_MELS = 512, 256, 96
WINDOW = 187
"""Frames (3 s) that the network was trained on."""
DIM = 200
MODELS = ("MSD_musicnn", "MTT_musicnn")
"""Trained on the Million Song Dataset, on MagnaTagATune."""

_EPSILON = 1e-3  # of TensorFlow's batch normalisation
_TIMBRAL, _TEMPORAL, _MIDDLE = 204, 51, 64  # filters
_FRONT = 2 * _TIMBRAL + 3 * _TEMPORAL
_TAGS = 50


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
        input: (B, T, 96) logarithmic mel (`log_mel`), T ≥ 1 frames; trained on 187.
        output: (B, 200); `tags` gives (B, 50) probabilities.
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
        self.classifier = nn.Linear(DIM, _TAGS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_norm(x[:, None])
        heard = []
        for conv, norm in zip(self.front, self.front_norms, strict=True):
            assert isinstance(conv, nn.Conv2d)
            length = conv.kernel_size[0]
            # TensorFlow's "same" for an even length: one frame less before than behind.
            padded = F.pad(x, (0, 0, (length - 1) // 2, length // 2)) if length != 7 else x
            heard.append(norm(F.relu(conv(padded))).amax(dim=3))  # over the bands: (B, filters, T)
        layers = [torch.cat(heard, dim=1)]
        for conv, norm in zip(self.middle, self.middle_norms, strict=True):
            y = norm(F.relu(conv(layers[-1])))
            layers.append(y if len(layers) == 1 else y + layers[-1])
        features = torch.cat(layers, dim=1)
        # (B, 753, 2) → (B, 1506): maximum and mean of a channel stand side by side
        pooled = torch.stack([features.amax(dim=2), features.mean(dim=2)], dim=2).flatten(1)
        return self.dense_norm(F.relu(self.dense(self.pool_norm(pooled))))

    def tags(self, x: Tensor) -> Tensor:
        """(B, T, 96) → probabilities (B, 50) of the tags the network was trained on."""
        return torch.sigmoid(self.classifier(self(x)))


def log_mel(wav: object, sample_rate: int) -> NDArray[np.float32]:
    """Input of the network from a sound (N,) or (C, N): (frames, 96), 62.5 frames a second.

    Single precision throughout: the package rounds the mel picture to half precision, in which loud tones
    overflow.
    """
    import librosa

    mono = resample(as_mono(wav), sample_rate, SAMPLE_RATE)
    mel = librosa.feature.melspectrogram(
        y=mono, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS
    )
    return np.log10(10000 * mel.T + 1).astype(np.float32)


def weights_folder() -> Path:
    """Folder of the installed package `musicnn`, which is not imported.

    Raises:
        CheckpointError: it is not installed.
    """
    spec = importlib.util.find_spec("musicnn")
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
    if folder is None:
        raise CheckpointError("the musicnn weights are not there: pip install --no-deps musicnn==0.1.0")
    return Path(folder)


def load_musicnn(model: str = MODELS[0], folder: str | Path | None = None) -> MusicnnNet:
    """The frozen network.

    Args:
        model: one of `MODELS`.
        folder: where `<model>/.index` lies; None: the installed package.

    Raises:
        CheckpointError: another name, or weights that are missing, damaged or of another network.
    """
    if model not in MODELS:
        raise CheckpointError(f"there is no musicnn model {model!r}: give one of {', '.join(MODELS)}")
    place = (weights_folder() if folder is None else Path(folder)) / model
    arrays = read_bundle(f"{place}/")
    net = MusicnnNet()
    try:
        _fill(net, arrays)
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{place} holds another network than musicnn ({error})") from error
    return net.eval().requires_grad_(False)


def _fill(net: MusicnnNet, arrays: Mapping[str, Any]) -> None:
    """Copy the checkpoint's arrays; its layers are numbered in the order in which they were made."""

    def name(layer: str, number: int) -> str:
        return layer if number == 0 else f"{layer}_{number}"

    def copy(target: Tensor, values: Any) -> None:
        if tuple(target.shape) != tuple(np.shape(values)):
            raise ValueError(f"{np.shape(values)} numbers where {tuple(target.shape)} belong")
        target.data.copy_(torch.from_numpy(np.array(values)))

    norms = [net.input_norm, *net.front_norms, *net.middle_norms, net.pool_norm, net.dense_norm]
    for number, norm in enumerate(norms):
        assert isinstance(norm, _Scale)
        gamma, beta, mean, variance = (
            np.asarray(arrays[f"{name('batch_normalization', number)}/{part}"], dtype=np.float64)
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        copy(norm.scale, scale.astype(np.float32))
        copy(norm.shift, (beta - mean * scale).astype(np.float32))
    for number, conv in enumerate([*net.front, *net.middle]):
        assert isinstance(conv, (nn.Conv1d, nn.Conv2d))
        kernel = np.asarray(arrays[f"{name('conv2d', number)}/kernel"])  # (time, width, 1, filters)
        if isinstance(conv, nn.Conv1d):
            copy(conv.weight, kernel[:, :, 0].transpose(2, 1, 0))
        else:
            copy(conv.weight, kernel.transpose(3, 2, 0, 1))
        assert conv.bias is not None
        copy(conv.bias, arrays[f"{name('conv2d', number)}/bias"])
    for number, dense in enumerate([net.dense, net.classifier]):
        copy(dense.weight, np.asarray(arrays[f"{name('dense', number)}/kernel"]).T)
        copy(dense.bias, arrays[f"{name('dense', number)}/bias"])
