"""A trained vocoder as users meet it: any length, one level, silence; and its way into and out of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pn_diffusion_plugin.errors import CheckpointError, UserError
from pn_diffusion_plugin.models import vocoders
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.models.vocoders.base import VocoderNetwork
from pn_diffusion_plugin.models.vocoders.neural import NeuralVocoder
from pn_diffusion_plugin.models.vocoders.trained import TrainedVocoder, load_vocoder
from pn_diffusion_plugin.models.vocoders.vocos import VocosNetwork
from pn_diffusion_plugin.modules.mel import MelSpectrogram

Make = Callable[..., Any]
SMALL = {"channels": 16, "hidden": 16, "layers": 2, "kernel_size": 5}


def network(mel: MelSpectrogram) -> VocosNetwork:
    torch.manual_seed(0)
    made = VocosNetwork(mel, **SMALL)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return made.eval()


def music(seconds: float) -> torch.Tensor:
    """Decaying chords and noise bursts, (1, 1, N)."""
    t = torch.arange(round(seconds * 22050)) / 22050
    since = t % 0.4
    noise = torch.randn(len(t), generator=torch.Generator().manual_seed(0))
    chord = sum(torch.sin(2 * torch.pi * f * t) for f in (196.0, 247.0, 294.0))
    return (0.2 * chord * torch.exp(-3 * since) + 0.3 * noise * torch.exp(-40 * since))[None, None]


def trained(config: dict[str, Any], refinement: int = 0) -> TrainedVocoder:
    mel = MelSpectrogram(sample_rate=config["sample_rate"], **config["mel"])
    own = {"sample_rate": config["sample_rate"], "mel": config["mel"], "vocos": SMALL}
    return TrainedVocoder("tests", own, refinement, network(mel).state_dict())


@pytest.mark.parametrize("n_fft, hop_length", [(1024, 512), (2048, 512), (1024, 441)])
@pytest.mark.parametrize("chunk_frames", [1, 17, 64])
def test_chunks_are_exact(n_fft: int, hop_length: int, chunk_frames: int) -> None:
    mel = MelSpectrogram(n_fft=n_fft, hop_length=hop_length, n_mels=48)
    picture = mel(music(4.0))
    frames, samples = picture.shape[-1], 4 * 22050 - 77
    whole = NeuralVocoder(network(mel), chunk_frames=frames)(picture, samples)
    apart = NeuralVocoder(network(mel), chunk_frames=chunk_frames)(picture, samples)
    assert whole.shape == apart.shape == (1, 1, samples)
    assert torch.allclose(whole, apart, atol=1e-5)
    assert NeuralVocoder(network(mel)).reach < frames / 4  # there is something to be cut off


@pytest.mark.parametrize("n_fft, hop_length", [(1024, 512), (2048, 512), (1024, 441)])
def test_chunks_are_exact_with_refinement(n_fft: int, hop_length: int) -> None:
    mel = MelSpectrogram(n_fft=n_fft, hop_length=hop_length, n_mels=48)
    picture = mel(music(4.0))
    whole, apart = (NeuralVocoder(network(mel), 3, chunk_frames=n)(picture, 80000) for n in (1000, 20))
    assert torch.allclose(whole, apart, atol=1e-4)
    assert NeuralVocoder(network(mel), 3).reach < picture.shape[-1] / 4


def test_nothing_that_is_computed_at_once_grows_with_the_length() -> None:
    mel = MelSpectrogram(n_mels=48)
    sizes: list[int] = []
    made = network(mel)
    made.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[-1]))
    vocoder = NeuralVocoder(made, refinement=1, chunk_frames=40)
    vocoder(torch.zeros(1, 1, 48, 1000), 512000)
    assert max(sizes) == 40 + 2 * vocoder.reach


def test_refinement_brings_the_picture_nearer() -> None:
    mel = MelSpectrogram()
    picture = mel(music(3.0))
    errors = []
    for iterations in (0, 2, 8):
        again = NeuralVocoder(network(mel), iterations)(picture, 3 * 22050)
        errors.append((mel(again) - picture).abs().mean().item())
    assert errors[0] > 1.3 * errors[1] > 1.2 * 1.3 * errors[2]


@pytest.mark.parametrize("refinement", [0, 2])
def test_silence_stays_silence_and_a_soft_part_stays_soft(refinement: int) -> None:
    mel = MelSpectrogram()
    vocoder = NeuralVocoder(network(mel), refinement)
    assert (vocoder(torch.full((2, 1, 64, 20), -1.0), 10000) == 0).all()
    # A dark picture of a network that is a little off silence is not blown up to full level.
    assert (vocoder(torch.full((1, 1, 64, 20), -0.9), 10000) == 0).all()
    wav = music(3.0)
    wav[..., 22050:44100] = 0
    wav[..., 44100:] *= 0.05
    again = vocoder(mel(wav), 3 * 22050)
    assert again.abs().max().item() == pytest.approx(0.95)
    assert again[..., 24000:42000].abs().max() < 1e-4
    loud, soft = (again[..., part].square().mean().sqrt() for part in (slice(0, 22050), slice(44100, None)))
    assert (soft / loud).item() == pytest.approx(0.05, rel=0.3)


def test_a_clip_by_itself_gives_what_it_gives_in_a_batch() -> None:
    mel = MelSpectrogram()
    picture = mel(torch.cat([music(2.0), 0.3 * music(2.0).flip(-1)]))
    vocoder = NeuralVocoder(network(mel), 2)
    together = vocoder(picture, 44100)
    for i in range(2):
        assert torch.allclose(vocoder(picture[i : i + 1], 44100), together[i : i + 1], atol=1e-4)


def test_what_cannot_be_is_refused() -> None:
    mel = MelSpectrogram()
    with pytest.raises(ValueError, match="refinement=-1"):
        NeuralVocoder(network(mel), refinement=-1)
    with pytest.raises(ValueError, match="n_samples=5121"):
        NeuralVocoder(network(mel))(torch.zeros(1, 1, 64, 10), 5121)


def test_a_model_takes_its_vocoder_along(make_model: Make, make_features: Make, tmp_path: Path) -> None:
    model: PNDiffusion = make_model()
    features = make_features(3.0)
    (by_search,) = model.generate_from_features([features])
    model.use_vocoder(trained(model.config, refinement=2))
    (by_network,) = model.generate_from_features([features])
    assert not torch.allclose(by_search, by_network, atol=0.05)

    again = PNDiffusion.get_pretrained(model.save_pretrained(tmp_path / "model"))
    config = yaml.safe_load((tmp_path / "model" / "config.yaml").read_text())
    assert config["vocoder"] == {"name": "vocos", "refinement": 2, "vocos": SMALL, "iterations": 2}
    assert "vocoder.safetensors" in config["sha256"]
    (wav,) = again.generate_from_features([features])
    assert torch.allclose(wav, by_network, atol=0.05)  # half precision, and phases searched from there
    again.set_generation_params(vocoder="griffin_lim")
    assert torch.equal(again.generate_from_features([features])[0], by_search)
    again.set_generation_params(vocoder="auto")
    assert torch.equal(again.generate_from_features([features])[0], wav)

    other: PNDiffusion = make_model()
    other.use_vocoder(load_vocoder(tmp_path / "model"))
    assert other.trained_vocoder is not None and other.trained_vocoder.refinement == 2
    assert torch.equal(other.generate_from_features([features])[0], wav)


def test_without_a_vocoder_again(make_model: Make, tmp_path: Path) -> None:
    model: PNDiffusion = make_model()
    model.use_vocoder(trained(model.config))
    model.save_pretrained(tmp_path)
    model.use_vocoder(None)
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "vocoder.safetensors").exists()
    again = PNDiffusion.get_pretrained(tmp_path)
    assert again.trained_vocoder is None
    with pytest.raises(UserError, match="vocoder is vocos, and this model has no such vocoder"):
        again.set_generation_params(vocoder="vocos")
    with pytest.raises(UserError, match="hifigan"):
        again.set_generation_params(vocoder="hifigan")
    with pytest.raises(CheckpointError, match="has no vocoder of its own"):
        load_vocoder(tmp_path)


def test_a_vocoder_of_other_pictures_is_refused(make_model: Make, make_config: Make) -> None:
    model: PNDiffusion = make_model()
    with pytest.raises(CheckpointError, match="trained with mel.n_mels=20 and the model has 16"):
        model.use_vocoder(trained(make_config({"mel.n_mels": 20})))
    with pytest.raises(CheckpointError, match="sample_rate=16000"):
        model.use_vocoder(trained(make_config({"sample_rate": 16000})))


class ToyNetwork(VocoderNetwork):
    """One learned number times a click at every frame."""

    gain = 1.0  # type: ignore[assignment]

    def __init__(self, mel: MelSpectrogram, level: float) -> None:
        super().__init__()
        self.mel, self.reach = mel, 1
        self.level = torch.nn.Parameter(torch.tensor(level))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        clicks = torch.zeros(len(mel), 1, mel.shape[-1], self.mel.hop_length)
        clicks[..., 0] = self.level * mel.mean(2)
        return clicks.flatten(2)


def test_a_further_network_is_a_class_and_an_entry(
    make_model: Make, make_features: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vocoders.NETWORKS, "toy", ToyNetwork)
    model: PNDiffusion = make_model()
    section = {"sample_rate": model.config["sample_rate"], "mel": model.config["mel"], "toy": {"level": 2.0}}
    model.use_vocoder(TrainedVocoder("tests", section, 0, {"level": torch.tensor(3.0)}, "toy"))
    model.set_generation_params(vocoder="toy")
    again = PNDiffusion.get_pretrained(model.save_pretrained(tmp_path / "model"))
    assert again.trained_vocoder is not None and again.trained_vocoder.network == "toy"
    clip = make_features(3.0)
    assert torch.equal(*(m.generate_from_features([clip])[0] for m in (model, again)))
    with pytest.raises(UserError, match="vocoder is vocos, and this model has no such vocoder"):
        again.set_generation_params(vocoder="vocos")


def test_damage_is_told(make_model: Make, tmp_path: Path) -> None:
    model: PNDiffusion = make_model()
    model.use_vocoder(trained(model.config))
    model.save_pretrained(tmp_path)
    file = tmp_path / "vocoder.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="vocoder.safetensors is damaged, or of another export"):
        PNDiffusion.get_pretrained(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match="vocoder.safetensors is missing"):
        PNDiffusion.get_pretrained(tmp_path)
