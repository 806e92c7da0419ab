"""The torch network against numbers of the original one, run once in TensorFlow 2.15 (tests/data_files)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.metrics.embedding import Embedder, embed_windows
from pn_diffusion_plugin.metrics.musicnn import MODELS, WINDOW, load_musicnn, log_mel, weights_folder

EXPECTED = Path(__file__).parents[1] / "data_files" / "musicnn_tensorflow.npz"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


@pytest.mark.parametrize("model", MODELS)
def test_the_network_gives_what_tensorflow_gave(model: str) -> None:
    net = load_musicnn(model)
    pictures = (4 * np.random.default_rng(0).random((2, WINDOW, 96))).astype(np.float32)
    with np.load(EXPECTED) as expected:
        x = torch.from_numpy(pictures)
        np.testing.assert_allclose(net(x).numpy(), expected[model], atol=3e-5)
        np.testing.assert_allclose(net.tags(x).numpy(), expected[f"{model}_tags"], atol=1e-5)


def test_clips_of_a_batch_and_lengths_do_not_matter() -> None:
    net = load_musicnn()
    x = torch.rand(2, 250, 96)
    torch.testing.assert_close(net(x)[1:], net(x[1:]), atol=1e-5, rtol=1e-5)
    assert net(x[:, :20]).shape == (2, 200)


def test_the_picture_is_librosas_with_the_log_of_the_package() -> None:
    picture = log_mel(tone(1000, 3.0, 16000), 16000)
    assert picture.shape == (188, 96) and picture.min() >= 0
    assert picture.mean(axis=0).argmax() == 31  # Slaney: 97 · 15 / 45.25 − 1
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


def test_missing_and_wrong_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no musicnn model 'vggish'"):
        load_musicnn("vggish")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_musicnn(folder=tmp_path)
    (tmp_path / "MSD_musicnn").mkdir()
    for source in (weights_folder() / "MSD_vgg").glob(".[id]*"):
        (tmp_path / "MSD_musicnn" / source.name).symlink_to(source)
    with pytest.raises(CheckpointError, match="another network"):
        load_musicnn(folder=tmp_path)
