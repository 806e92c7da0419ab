"""Guidance through the whole model, with a U-Net that knows the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.modules.guidance import Guidance
from pn_diffusion_plugin.modules.sampling import clip_generators

Make = Callable[..., Any]
Answer = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (z (1, C, F, L), t (1,)) → the same shape
SHAPE = (1, 2, 8, 40)  # of a window's latent
STYLED = {"conditioning.styles": ["house", "waltz"], "conditioning.style_dropout": 0.2}

READINGS = [("mirrored", 1.0), ("shared", -1.0)]
WEIGHTS = [
    {"negative_guidance": 1.5},
    {"guidance": 3.0},
    {"guidance": 3.0, "negative_cfg": 0.5},
    {"guidance": 2.0, "negative_cfg": 1.0},
    {"guidance": 3.0, "negative_cfg": 0.5, "guidance_rescale": 0.7},
]


class KnowingUNet(nn.Module):
    """Tells the branches apart by the one token they are given, and answers each as it is told to."""

    def __init__(self, tokens: dict[str, torch.Tensor], answers: dict[str, Answer]) -> None:
        super().__init__()
        self.tokens, self.answers = tokens, answers

    def forward(
        self, z: torch.Tensor, t: torch.Tensor, *, encoder_hidden_states: torch.Tensor, **_: Any
    ) -> tuple[torch.Tensor]:
        rows = []
        for i, token in enumerate(encoder_hidden_states[:, 0]):
            (name,) = (n for n, known in self.tokens.items() if torch.allclose(token, known, atol=1e-4))
            rows.append(self.answers[name](z[i : i + 1], t[i : i + 1]))
        return (torch.cat(rows),)


def knowing(
    make_model: Make, features: Features, reading: str, prediction: str
) -> tuple[PNDiffusion, KnowingUNet]:
    """A model of the paper's condition whose U-Net knows the three branches of this dance."""
    model = make_model(
        {
            "conditioning.temporal": "pooled",
            "negative.latent": reading,
            "diffusion.prediction": prediction,
            "diffusion.zero_terminal_snr": prediction == "v",
        }
    )
    model.set_generation_params(negative_guidance=1.0)
    with torch.no_grad():
        conditions = model._window_conditions([features], [0])
    model.set_generation_params(negative_guidance=0.0)
    tokens = {name: conditions[name][0][0, 0] for name in (POSITIVE, NEGATIVE)}
    assert (tokens[POSITIVE] - tokens[NEGATIVE]).abs().max() > 1e-2
    unet = KnowingUNet({**tokens, "none": model.dual.denoiser.null_token.detach()}, {})
    model.dual.denoiser.unet = unet
    return model, unet


def latent(model: PNDiffusion, features: Features) -> torch.Tensor:
    """What is made of a dance before it becomes sound."""
    found: list[torch.Tensor] = []

    def keep(z: torch.Tensor, samples: int, seed: int = 0) -> torch.Tensor:
        found.append(z)
        return torch.zeros(1, 1, samples)

    model._to_wave = keep  # type: ignore[method-assign]
    model.generate_from_features([features], [5])
    return found[0]


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm++", "unipc"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("reading, sign", READINGS)
def test_guidance_between_branches_that_all_know_the_answer_changes_nothing(
    make_model: Make, make_features: Make, reading: str, sign: float, prediction: str, sampler: str
) -> None:
    """Each in the sign it is trained with; with the other sign the same weights ruin it."""
    features = make_features(2.56)
    model, unet = knowing(make_model, features, reading, prediction)
    z0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))

    def answer(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, noise = model.schedule.signal_and_noise(t, z)
        return model.schedule.target(z0, (z - signal * z0) / noise, t)

    def negated(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return -answer(z, t)

    trained, wrong = (answer, negated) if sign > 0 else (negated, answer)
    model.set_generation_params(sampler=sampler, steps=3)
    for weights in WEIGHTS:
        model.set_generation_params(**{"guidance": 1.0, "negative_cfg": 0.0, "guidance_rescale": 0.0})
        model.set_generation_params(**weights)
        unet.answers = {POSITIVE: answer, NEGATIVE: trained, "none": answer}
        assert torch.allclose(latent(model, features), z0, atol=1e-3)
        unet.answers[NEGATIVE] = wrong
        if "negative_guidance" in weights or "negative_cfg" in weights:
            assert (latent(model, features) - z0).std() > 0.1


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("reading, sign", READINGS)
def test_the_formulas(
    make_model: Make, make_features: Make, reading: str, sign: float, prediction: str
) -> None:
    """One step from known noise shows the guided estimate, O + g (P - O) - h (N' - O) + w (P - N')."""
    features, (p, n, o) = make_features(2.56), (0.7, 0.2, -0.4)
    model, unet = knowing(make_model, features, reading, prediction)
    unet.answers = {
        name: lambda z, t, value=value: torch.full_like(z, value)  # type: ignore[misc]
        for name, value in {POSITIVE: p, NEGATIVE: n, "none": o}.items()
    }
    z = torch.randn(SHAPE, generator=clip_generators([5])[0])
    t = torch.tensor([999])
    for weights, estimate in [
        ({}, p),
        ({"negative_guidance": 1.5}, p + 1.5 * (p - sign * n)),
        ({"negative_guidance": 0.0, "guidance": 3.0}, o + 3 * (p - o)),
        ({"negative_cfg": 0.5, "guidance": 3.0}, o + 3 * (p - o) - 0.5 * (sign * n - o)),
        ({"negative_cfg": 0.5, "guidance": 0.0}, o - 0.5 * (sign * n - o)),
        ({"negative_cfg": 0.5, "guidance": 1.0}, p - 0.5 * (sign * n - o)),
        (
            {"negative_cfg": 0.5, "guidance": 3.0, "negative_guidance": 0.2},
            o + 3 * (p - o) - 0.5 * (sign * n - o) + 0.2 * (p - sign * n),
        ),
    ]:
        model.set_generation_params(steps=1, **weights)
        expected = model.schedule.to_z0(torch.full(SHAPE, estimate), z, t)
        assert torch.allclose(latent(model, features), expected, rtol=1e-3, atol=1e-3)


def test_the_branch_flag_says_which_rows_are_negative(make_model: Make, make_features: Make) -> None:
    model = make_model({"negative.branch_flag": True})
    model.set_generation_params(guidance=2.0, negative_cfg=0.5, steps=1, windows_per_call=6)
    seen: list[list[int]] = []
    model.dual.denoiser.unet.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["class_labels"].tolist()), with_kwargs=True
    )
    model.generate_from_features([make_features(5.12)])  # three windows
    assert seen == [[0, 0, 1, 1, 0, 0], [0, 1, 0]]  # dance, negative, none, of two windows and of one


@pytest.mark.parametrize(
    "sampling, w, h",
    [
        ({"guidance": 2.0, "negative_guidance": 0.5}, 0.0, 0.5),  # exported before there was negative_cfg
        ({"guidance": 1.0, "negative_guidance": 0.5}, 0.5, 0.0),
        ({"guidance": 2.0, "negative_guidance": 0.5, "negative_cfg": 0.0}, 0.5, 0.0),
        ({"guidance": 2.0, "negative_guidance": 0.0, "negative_cfg": 0.3}, 0.0, 0.3),
    ],
)
def test_models_of_every_version_keep_their_guidance(
    make_model: Make, sampling: dict[str, float], w: float, h: float
) -> None:
    model = make_model({f"sampling.{key}": value for key, value in sampling.items()})
    rule = model.guidance_rule()
    assert (rule.w, rule.g, rule.h) == (w, sampling["guidance"], h)


def test_guidance_does_not_jump_at_one(make_model: Make, make_features: Make) -> None:
    model, features = make_model(), make_features(2.56)
    for negative in ({"negative_guidance": 0.5}, {"negative_cfg": 0.5}):
        model.set_generation_params(**{"negative_guidance": 0.0, "negative_cfg": 0.0, **negative})
        found = []
        for g in (1.0, 1.0 + 1e-6):
            model.set_generation_params(guidance=g)
            found.append(latent(model, features))
        assert torch.allclose(*found, atol=1e-3)


class StyledUNet(nn.Module):
    """Answers with one number for rows with a style and another one for rows without, for dance and no dance each."""

    def __init__(self, null: torch.Tensor, answers: dict[tuple[bool, bool], float]) -> None:
        super().__init__()
        self.null, self.answers = null, answers
        self.rows: list[int] = []

    def forward(
        self,
        z: torch.Tensor,
        t: torch.Tensor,
        *,
        encoder_hidden_states: torch.Tensor,
        class_labels: torch.Tensor,
        **_: Any,
    ) -> tuple[torch.Tensor]:
        self.rows.append(len(z))
        dance = [not torch.allclose(row, self.null, atol=1e-4) for row in encoder_hidden_states[:, 0]]
        values = [
            self.answers[known, bool(style.any())] for known, style in zip(dance, class_labels, strict=True)
        ]
        return (torch.ones_like(z) * torch.tensor(values)[:, None, None, None],)


def test_guidance_of_the_style(make_model: Make, make_features: Make) -> None:
    """(s - 1) (P - U) is added, and U is computed only if it counts."""
    model = make_model({"conditioning.temporal": "pooled", **STYLED})
    torch.nn.init.normal_(model.dual.provider.style.embedding.weight)
    p, u, o = 0.7, 0.2, -0.4
    unet = StyledUNet(
        model.dual.denoiser.null_token.detach(), {(True, True): p, (True, False): u, (False, True): o}
    )
    model.dual.denoiser.unet = unet
    features, t = make_features(2.56), torch.tensor([999])
    z = torch.randn(SHAPE, generator=clip_generators([5])[0])
    for weights, estimate, rows in [
        ({"style": "any"}, u, 1),
        ({"style": "any", "guidance_style": 3.0}, u, 1),
        ({"style": "waltz", "guidance_style": 1.0}, p, 1),
        ({"guidance_style": 3.0}, p + 2 * (p - u), 2),
        ({"guidance_style": 0.0}, u, 2),
        ({"guidance_style": 3.0, "guidance": 2.0}, o + 2 * (p - o) + 2 * (p - u), 3),
        ({"guidance_style": 1.0, "guidance": 2.0}, o + 2 * (p - o), 2),
    ]:
        unet.rows.clear()
        model.set_generation_params(steps=1, **weights)
        expected = model.schedule.to_z0(torch.full(SHAPE, estimate), z, t)
        assert torch.allclose(latent(model, features), expected, rtol=1e-3, atol=1e-3)
        assert unet.rows == [rows]


def test_guidance_of_the_style_in_numbers() -> None:
    guidance = Guidance(s=2.5, w=0.5)
    assert guidance.branches == ("positive", "negative", "unstyled")
    p, n, u = (torch.full((1, 1, 2, 2), value) for value in (3.0, 1.0, 2.0))
    combined = guidance.combine({"positive": p, "negative": n, "unstyled": u})
    assert torch.allclose(combined, p + 0.5 * (p - n) + 1.5 * (p - u))
    assert Guidance(s=1.0).branches == ("positive",)
    assert Guidance(s=2.0, timesteps=(0, 10)).at(torch.tensor([10])).branches == ("positive",)
    with pytest.raises(ValueError, match="s=-1"):
        Guidance(s=-1)


def test_the_negative_branch_has_the_style(make_model: Make, make_features: Make) -> None:
    model = make_model({**STYLED, "negative.branch_flag": True})
    weight = model.dual.provider.style.embedding.weight
    torch.nn.init.normal_(weight)
    model.set_generation_params(guidance=2.0, negative_cfg=0.5, guidance_style=2.0, steps=1, style="house")
    seen: list[torch.Tensor] = []
    model.dual.denoiser.unet.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["class_labels"]), with_kwargs=True
    )
    model.generate_from_features([make_features(2.56)])
    (rows,) = seen  # dance, negative, none, unstyled
    assert torch.equal(rows[:3], weight[1].expand(3, -1)) and not rows[3].any()
