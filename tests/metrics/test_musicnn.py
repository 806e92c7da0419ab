"""The torch network against numbers of the original one, run once in TensorFlow 2.15 (tests/data_files)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.metrics.embedding import Embedder, embed_windows
from pn_diffusion_plugin.metrics.musicnn import WEIGHTS, WINDOW, load_musicnn, log_mel

EXPECTED = Path(__file__).parents[1] / "data_files" / "musicnn_tensorflow.npz"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def test_the_network_gives_what_tensorflow_gave() -> None:
    mel = (4 * np.random.default_rng(0).random((2, WINDOW, 96))).astype(np.float32)
    with np.load(EXPECTED) as expected:
        np.testing.assert_allclose(load_musicnn()(torch.from_numpy(mel)), expected["MSD_musicnn"], atol=3e-5)


def test_clips_of_a_batch_and_lengths_do_not_matter() -> None:
    net = load_musicnn()
    x = torch.rand(2, 250, 96)
    torch.testing.assert_close(net(x)[1:], net(x[1:]), atol=1e-5, rtol=1e-5)
    assert net(x[:, :20]).shape == (2, 200)


def test_log_mel_is_librosas_with_the_log_of_the_package() -> None:
    mel = log_mel(tone(1000, 3.0, 16000), 16000)
    assert mel.shape == (188, 96) and mel.min() >= 0
    assert mel.mean(axis=0).argmax() == 31  # Slaney: 97 · 15 / 45.25 − 1
    assert log_mel(np.zeros(16000), 16000).max() == 0
    loud = log_mel(60 * tone(1000, 1.0, 16000), 16000)  # would overflow in half precision
    assert np.isfinite(loud).all() and loud.max() > np.log10(65504)


def test_windows_are_a_second_apart_and_level_does_not_matter(embedder: Embedder) -> None:
    wav = tone(440, 8.0, 22050) * np.linspace(0.1, 1, 8 * 22050, dtype=np.float32)
    found = embedder(wav, 22050)
    assert found.shape == (6, 200)
    np.testing.assert_allclose(embed_windows(embedder.net, 0.1 * wav, 22050), found, atol=1e-3)
    assert embedder(wav, 22050) is found  # heard once
    assert embedder(wav[:22050], 22050).shape == (1, 200)  # shorter than a window
    assert np.isfinite(embedder(np.zeros(22050), 22050)).all()


def test_noise_is_further_from_a_tone_than_a_tone(embedder: Embedder) -> None:
    noise = np.random.default_rng(0).standard_normal(4 * 16000).astype(np.float32) * 0.1
    a, b, c = (embedder(wav, 16000).mean(axis=0) for wav in (tone(440, 4, 16000), tone(450, 4, 16000), noise))
    assert np.linalg.norm(a - b) < 0.5 * np.linalg.norm(a - c)


def test_missing_damaged_and_other_weights_are_refused(tmp_path: Path) -> None:
    other, damaged = tmp_path / "other.safetensors", tmp_path / "damaged.safetensors"
    save_file({"dense.weight": torch.zeros(3, 3)}, other)
    damaged.write_bytes(WEIGHTS.read_bytes()[:1000])
    for path in (other, damaged, tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError, match=path.name):
            load_musicnn(path)
