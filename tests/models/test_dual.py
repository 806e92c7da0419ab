from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE, dance_conditions
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.dual import DualDiffusion
from pn_diffusion_plugin.modules.objective import DualSample
from pn_diffusion_plugin.modules.style import STYLE

Make = Callable[..., Any]


@pytest.fixture
def model(make_model: Make) -> DualDiffusion:
    return make_model().dual


def batch(model: DualDiffusion, make_features: Make, streams: tuple[str, ...]) -> dict[str, Any]:
    pairs = [dance_conditions(make_features(2.56, seed)) for seed in range(2)]
    attributes = [DanceAttributes(dance=dict(zip((POSITIVE, NEGATIVE), p, strict=True))) for p in pairs]
    return model.provider.tokenize(attributes, streams)


def corrupt(make_config: Make, alpha: float, latent: str = "mirrored") -> DualSample:
    config = make_config({"negative.alpha": alpha, "negative.latent": latent})
    objective = builders.build_objective(config, builders.build_schedule(config))
    return objective.corrupt(torch.randn(2, 2, 8, 40), torch.randn(2, 2, 8, 40), torch.tensor([200, 800]))


@torch.no_grad()
@pytest.mark.parametrize("latent", ["mirrored", "shared"])
def test_one_batched_pass_is_two_passes(
    model: DualDiffusion, make_features: Make, make_config: Make, latent: str
) -> None:
    sample = corrupt(make_config, 0.6, latent)
    positive, negative = model(sample, batch(model, make_features, (POSITIVE, NEGATIVE)))
    for name, z, out in ((POSITIVE, sample.z_positive, positive), (NEGATIVE, sample.z_negative, negative)):
        alone = model.provider(batch(model, make_features, (name,)))[name]
        assert z is not None and out is not None
        assert torch.allclose(out, model.denoiser(z, sample.t, alone), atol=1e-5)
    assert not torch.allclose(positive, negative, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("alpha, streams, rows", [(0.6, (POSITIVE, NEGATIVE), 4), (1.0, (POSITIVE,), 2)])
def test_the_negative_stream_is_computed_only_when_it_counts(
    model: DualDiffusion,
    make_features: Make,
    make_config: Make,
    alpha: float,
    streams: tuple[str, ...],
    rows: int,
) -> None:
    seen: dict[str, list[int]] = {"unet": [], "encoder": []}
    model.denoiser.unet.register_forward_hook(lambda _, a, out: seen["unet"].append(len(a[0])))
    model.provider.dance.encoder.register_forward_hook(lambda _, a, out: seen["encoder"].append(len(a[0])))
    _, negative = model(corrupt(make_config, alpha), batch(model, make_features, streams))
    assert seen == {"unet": [rows], "encoder": [rows]}
    assert (negative is None) == (alpha == 1)


def test_encoder_and_unet_learn_from_both_branches(
    model: DualDiffusion, make_features: Make, make_config: Make
) -> None:
    sample, tokenized = corrupt(make_config, 0.6), batch(model, make_features, (POSITIVE, NEGATIVE))

    def gradients(of_positive: float, of_negative: float) -> torch.Tensor:
        model.zero_grad()
        positive, negative = model(sample, tokenized)
        (of_positive * positive.square().mean() + of_negative * negative.square().mean()).backward()
        return torch.cat(
            [
                p.grad.flatten()
                for part in (model.provider, model.denoiser.unet)
                for p in part.parameters()
                if p.grad is not None
            ]
        )

    positive, negative, both = gradients(1, 0), gradients(0, 1), gradients(1, 1)
    encoder = sum(p.numel() for p in model.provider.parameters())
    for gradient in (positive, negative):
        assert gradient[:encoder].abs().sum() > 0 and gradient[encoder:].abs().sum() > 0
    assert torch.allclose(both, positive + negative, atol=1e-6)
    assert not torch.allclose(positive, negative, atol=1e-6)


@torch.no_grad()
def test_clips_are_dropped_stream_by_stream(
    model: DualDiffusion, make_features: Make, make_config: Make
) -> None:
    sample, tokenized = corrupt(make_config, 0.6), batch(model, make_features, (POSITIVE, NEGATIVE))
    positive, negative = model(sample, tokenized)
    dropped = {POSITIVE: torch.tensor([True, False]), NEGATIVE: torch.tensor([False, False])}
    some_positive, some_negative = model(sample, tokenized, dropped)
    assert torch.allclose(some_positive[1], positive[1], atol=1e-5)
    assert not torch.allclose(some_positive[0], positive[0], atol=1e-4)
    assert torch.allclose(some_negative, negative, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("latent, alpha", [("mirrored", 0.6), ("drawn", 0.6), ("mirrored", 1.0)])
def test_all_rows_of_a_clip_have_its_style(
    make_model: Make, make_features: Make, make_config: Make, latent: str, alpha: float
) -> None:
    model = make_model({"conditioning.styles": ["house", "waltz"]}).dual
    torch.nn.init.normal_(model.provider.style.embedding.weight)
    weight = model.provider.style.embedding.weight
    streams = (POSITIVE, NEGATIVE) if alpha < 1 else (POSITIVE,)
    tokenized = batch(model, make_features, streams) | {STYLE: torch.tensor([2, 1])}
    sample, rows = corrupt(make_config, alpha, latent), 1
    if latent == "drawn":
        config = make_config({"negative.latent": latent, "negative.alpha": alpha})
        objective = builders.build_objective(config, builders.build_schedule(config))
        z = torch.randn(2, 2, 8, 40)
        sample = objective.corrupt(z, z, torch.tensor([200, 800]), negative_rows=torch.tensor([True, False]))
    elif alpha < 1:
        rows = 2
    seen: list[torch.Tensor] = []
    model.denoiser.unet.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["class_labels"]), with_kwargs=True
    )
    model(sample, tokenized)
    model(sample, tokenized, {STYLE: torch.tensor([False, True])})
    assert torch.equal(seen[0], torch.cat([weight[[2, 1]]] * rows))
    assert torch.equal(seen[1], torch.cat([torch.stack([weight[2], torch.zeros_like(weight[2])])] * rows))
