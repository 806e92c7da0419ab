"""Models stored by version 0.1 keep loading and give what they gave then (tests/data_files/README.md)."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pn_diffusion_plugin.data.condition import POSITIVE, dance_conditions
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.io.checkpoint import load_vae_weights
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

FILES = Path(__file__).resolve().parents[2] / "data_files"
Make = Callable[..., Any]


def unpacked(name: str, folder: Path) -> Path:
    """An experiment's folder with the stored checkpoint."""
    folder.mkdir()
    (folder / "checkpoint.th").write_bytes(lzma.decompress((FILES / f"{name}.th.xz").read_bytes()))
    return folder


def picture(model: PNDiffusion) -> torch.Tensor:
    return torch.linspace(-1, 1, 16 * model.sequence.mel_frames).reshape(1, 1, 16, -1).sin()


@torch.no_grad()
@pytest.mark.parametrize("name", ["old_export", "old_checkpoint"])
def test_gives_the_same_numbers(name: str, make_features: Make, tmp_path: Path) -> None:
    folder = FILES / name if name == "old_export" else unpacked(name, tmp_path / "xp")
    expected = load_file(FILES / f"{name}_expected.safetensors")
    model = PNDiffusion.get_pretrained(folder)
    features = make_features(3.84, 5)  # two windows that end where it ends

    (wav,) = model.generate_from_features([features], [4])
    assert torch.allclose(wav[:, ::64], expected["wave"], atol=1e-3)

    provider, denoiser = model.dual.provider, model.dual.denoiser
    dance = dance_conditions(features, 0.0, model.sequence.seconds)[0]
    tokenized = provider.tokenize([DanceAttributes(dance={POSITIVE: dance})], (POSITIVE,))
    columns = model.sequence.latent_columns
    z = torch.randn(1, 2, 8, columns, generator=torch.Generator().manual_seed(3))
    out = denoiser(z, torch.tensor([600]), provider(tokenized)[POSITIVE])
    assert torch.allclose(out, expected["denoised"], atol=1e-5)
    assert torch.allclose(model.vae.encode(picture(model), sample=False), expected["latent"], atol=1e-5)


@torch.no_grad()
def test_the_autoencoder_of_an_old_run(tmp_path: Path) -> None:
    weights = load_vae_weights(unpacked("old_vae_checkpoint", tmp_path / "xp"))
    vae = builders.build_vae(weights.config)
    vae.load_state_dict(weights.vae)
    exported = PNDiffusion.get_pretrained(FILES / "old_export")
    mel = picture(exported)
    expected = load_file(FILES / "old_export_expected.safetensors")["latent"]
    assert torch.allclose(vae.eval().encode(mel, sample=False), expected, atol=1e-5)
