"""Half precision, memory format and compilation: as wished, near the exact result, and of copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.models.branches import ConditionCache
from pn_diffusion_plugin.models.inference import for_inference
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

Make = Callable[..., Any]
GUIDED = {"guidance": 2.0, "negative_cfg": 0.5}


def music(model: PNDiffusion, features: Any, **params: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and mel of a clip."""
    model.set_generation_params(**params)
    found: list[torch.Tensor] = []
    model.vocoder = lambda mel, n: found.append(mel) or torch.zeros(1, 1, n)  # type: ignore[func-returns-value]
    original, model._to_wave = model._to_wave, lambda z, n, seed=0: found.append(z) or original(z, n)  # type: ignore
    model.generate_from_features([features], [3])
    model._to_wave = original  # type: ignore[method-assign]
    return found[0], found[1]


@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_keys_and_values_are_projected_once_and_change_nothing(
    make_model: Make, make_features: Make, temporal: str
) -> None:
    features = make_features(5.12)
    features.detected[20:60] = False
    changes = {"conditioning.temporal": temporal, "negative.branch_flag": True}
    model = make_model(changes)
    model.set_generation_params(windows_per_call=6, **GUIDED)
    unet = model.dual.denoiser.unet
    projections = {"steps": 0}
    layers = [m for name, m in unet.named_modules() if name.endswith("attn2.to_k")]
    assert layers
    for layer in layers:
        layer.register_forward_hook(lambda *_: projections.update(steps=projections["steps"] + 1))
    latents, _ = music(model, features, steps=4)
    # Three windows under three branches in calls of at most six rows: six of two windows, three of one.
    assert projections["steps"] == 2 * len(layers)

    plain = make_model(changes)
    plain.set_generation_params(windows_per_call=6, **GUIDED)
    plain.dual.denoiser.prepare_for_sampling = lambda prepared: prepared  # tokens at every step
    expected, _ = music(plain, features, steps=4)
    assert torch.allclose(latents, expected, atol=1e-5)


@pytest.mark.parametrize("most", [0, 300_000, 10**9])
def test_what_is_kept_over_the_steps_is_bounded_and_changes_nothing(
    make_model: Make, make_features: Make, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    from pn_diffusion_plugin.models import pn_diffusion

    kept: list[ConditionCache] = []

    class Watched(ConditionCache):
        def __init__(self, network: Any, _: int) -> None:
            super().__init__(network, most)
            kept.append(self)

    features, wanted = make_features(8.0), {"windows_per_call": 6, **GUIDED}
    exact, _ = music(make_model(), features, **wanted)
    monkeypatch.setattr(pn_diffusion, "ConditionCache", Watched)
    latents, _ = music(make_model(), features, **wanted)
    assert torch.equal(latents, exact)
    (watched,) = kept
    ready = [call for calls in watched._calls.values() for call in calls if isinstance(call, dict)]
    assert sum(value.nbytes for call in ready for value in call.values()) == most - watched.left <= most
    assert (len(ready) == 0) == (most == 0) and (len(ready) == 3) == (most == 10**9)


@pytest.mark.parametrize("seconds", [2.56, 5.12])
def test_half_precision_comes_near(make_model: Make, make_features: Make, seconds: float) -> None:
    model, features = make_model(), make_features(seconds)
    exact_latents, exact_mel = music(model, features, **GUIDED)
    latents, mel = music(model, features, precision="bfloat16", channels_last=True)
    assert latents.dtype == mel.dtype == torch.float32
    assert latents.isfinite().all() and mel.isfinite().all()
    assert 0 < (latents - exact_latents).std() < 0.05 * exact_latents.std()
    assert 0 < (mel - exact_mel).abs().max() < 0.1
    again, _ = music(model, features, precision="float32", channels_last=False)
    assert torch.equal(again, exact_latents)  # the trained weights are what they were


def test_half_precision_in_chunks_is_as_in_one_piece(make_model: Make) -> None:
    """Normalisations over a long picture are computed in single precision either way."""
    vae = make_model().vae
    half = for_inference(vae, "bfloat16")
    z = torch.randn(1, 2, 8, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact, whole = vae.decode(z), half.decode(z)
        half.chunk_frames = 40
        pieces = half.decode(z)
    assert pieces.dtype == torch.float32
    assert (pieces - exact).abs().mean() < 1.5 * (whole - exact).abs().mean() < 0.02


def test_memory_format_changes_the_layout_alone(make_model: Make, make_features: Make) -> None:
    model, features = make_model(), make_features(5.12)
    exact, _ = music(model, features)
    assert model.networks() == (model.dual.denoiser, model.vae)  # nothing is copied where nothing is wished
    latents, _ = music(model, features, channels_last=True)
    denoiser, vae = model.networks()
    for first in (denoiser.unet.conv_in, vae.autoencoder.decoder.conv_in):
        assert first.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(latents, exact, atol=1e-4)


def test_compiled_is_the_copy(make_model: Make, make_features: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: compiled.append(f) or real(f, backend="eager"))
    model, features = make_model(), make_features(2.56)
    exact, _ = music(model, features)
    latents, _ = music(model, features, compile=True)
    assert len(compiled) == 1 and torch.allclose(latents, exact, atol=1e-5)
    assert model.dual.denoiser.unet._compiled_call_impl is None
    music(model, features)
    assert len(compiled) == 1  # kept between generations


def test_an_unknown_precision_is_refused(make_model: Make) -> None:
    with pytest.raises(UserError, match="precision is int8: give one of float32, bfloat16, float16"):
        make_model().set_generation_params(precision="int8")
