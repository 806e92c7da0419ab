from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pn_diffusion_plugin.data.condition import POSITIVE, dance_conditions
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.models.latent_diffusion import Condition, LatentDiffusion
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

COLUMNS, WIDTH, TOKENS = 40, 16, 64  # latent columns, numbers a token and tokens of the tiny model's window
WRIST = 15

Make = Callable[..., Any]


def noise(columns: int = COLUMNS, clips: int = 1) -> torch.Tensor:
    return torch.randn(clips, 2, 8, columns, generator=torch.Generator().manual_seed(3))


def condition(model: PNDiffusion, features: Features) -> Condition:
    """Tokens of a dance, whole."""
    attributes = DanceAttributes(dance={POSITIVE: dance_conditions(features)[0]})
    provider = model.dual.provider
    return provider(provider.tokenize([attributes], (POSITIVE,)))[POSITIVE]


def move_wrist(features: Features, second: float) -> Features:
    """The same dance with one hand elsewhere in one frame."""
    keypoints = features.keypoints.copy()
    keypoints[round(second * features.header.pose_fps), WRIST, :2] += 0.3
    return Features(features.header, keypoints, features.detected, features.visual, features.visual_reverse)


def changed_columns(a: torch.Tensor, b: torch.Tensor) -> list[int]:
    return torch.nonzero((a != b).flatten(0, -2).any(dim=0))[:, 0].tolist()


def look_no_further_than_convolutions(unet: nn.Module) -> None:
    """Take out what sees the whole clip by construction: normalisation over the picture, attention in the middle."""
    unet.mid_block = None  # type: ignore[assignment]
    for module in list(unet.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())


@torch.no_grad()
@pytest.mark.parametrize("second", [2.0, 4.1])
def test_aligned_dance_reaches_only_the_columns_of_its_moment(
    make_model: Make, make_features: Make, second: float
) -> None:
    model = make_model({"unet.attention": [False, False]})
    denoiser = model.dual.denoiser
    look_no_further_than_convolutions(denoiser.unet)
    features = make_features(6.144)  # 96 columns
    at = int(second / denoiser.column_seconds)
    before, after = (
        denoiser.prepare(condition(model, f), 96) for f in (features, move_wrist(features, second))
    )
    folded = changed_columns(before["extra"], after["extra"])
    # Two graph blocks and the velocity see 3 frames to each side (2 columns), interpolation and the fold's
    # convolution a column more each.
    assert min(folded) >= at - 4 and max(folded) <= at + 4 and at in folded
    z, t = noise(96), torch.tensor([500])
    outputs = changed_columns(denoiser.denoise(z, t, before), denoiser.denoise(z, t, after))
    # 22 columns of the U-Net's convolutions: 1 + 2 + 1, at half the rate 2 · (2 + 4), then 1 + 4 + 1.
    assert min(outputs) >= at - 26 and max(outputs) <= at + 26 and at in outputs
    assert len(outputs) < 96


@torch.no_grad()
def test_aligned_output_depends_on_the_fold(make_model: Make, make_features: Make) -> None:
    denoiser = make_model().dual.denoiser
    embedding, mask = condition(make_model(), make_features(2.56))
    z, t = noise(), torch.tensor([500])
    prepared = denoiser.prepare((embedding, mask), COLUMNS)
    other = {**prepared, "extra": prepared["extra"].roll(7, dims=-1)}  # cross attention sees the very same
    assert not torch.allclose(denoiser.denoise(z, t, prepared), denoiser.denoise(z, t, other), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_only_pooled_does_not_know_when_a_move_comes(
    make_model: Make, make_features: Make, temporal: str
) -> None:
    model = make_model({"conditioning.temporal": temporal})
    early = make_features(2.56)
    late = make_features(2.56)
    still = early.keypoints[9].copy()
    for features, at in ((early, 10), (late, 20)):  # the same move, 0.4 s later
        move = make_features(2.56).keypoints[10:44]
        features.keypoints[:] = still
        features.keypoints[at : at + len(move)] = move
    z, t = noise(), torch.tensor([500])
    a, b = (model.dual.denoiser(z, t, condition(model, features)) for features in (early, late))
    assert torch.allclose(a, b, atol=1e-5) == (temporal == "pooled")


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_a_dropped_clip_has_no_dance_and_the_others_keep_theirs(
    make_model: Make, make_features: Make, temporal: str
) -> None:
    model = make_model({"conditioning.temporal": temporal})
    denoiser = model.dual.denoiser
    a, b, c = (condition(model, make_features(2.56, seed)) for seed in range(3))
    pair = (torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]]))
    z, t = noise(), torch.tensor([500, 500])
    out = denoiser(torch.cat([z, z]), t, denoiser.drop(pair, torch.tensor([True, False])))
    assert torch.allclose(out[1:], denoiser(z, t[:1], b), atol=1e-5)
    assert torch.allclose(out[:1], denoiser(z, t[:1], denoiser.null_condition(c)), atol=1e-5)
    assert not torch.allclose(out[:1], denoiser(z, t[:1], a), atol=1e-4)


@torch.no_grad()
def test_frames_in_which_nobody_was_found_are_the_null_token(make_model: Make) -> None:
    denoiser = make_model().dual.denoiser
    embedding = torch.randn(2, TOKENS, WIDTH)
    mask = torch.ones(2, TOKENS, dtype=torch.bool)
    mask[1, 10:20] = False
    tokens = denoiser.prepare((embedding, mask), COLUMNS)["tokens"]
    assert torch.equal(tokens[1, 10:20], denoiser.null_token.expand(10, WIDTH))
    assert torch.equal(tokens[mask], embedding[mask])
    elsewhere = torch.where(mask[..., None], embedding, torch.randn_like(embedding))
    z, t = noise(clips=2), torch.tensor([500, 500])
    assert torch.equal(denoiser(z, t, (embedding, mask)), denoiser(z, t, (elsewhere, mask)))


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
@pytest.mark.parametrize("columns", [20, 44, 86])
def test_works_at_lengths_it_was_not_made_for(make_model: Make, temporal: str, columns: int) -> None:
    denoiser = make_model({"conditioning.temporal": temporal}).dual.denoiser
    length = 1 if temporal == "pooled" else round(columns * 0.064 * 25)
    tokens = torch.randn(2, length, WIDTH), torch.ones(2, length, dtype=torch.bool)
    out = denoiser(noise(columns, 2), torch.tensor([500, 10]), tokens)
    assert out.shape == (2, 2, 8, columns)
    assert out.isfinite().all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"temporal": "folded"}, "choose from pooled, tokens, aligned"),
        ({"attention": (True,)}, "give one value per level"),
        ({"layers_per_block": 0}, "give 1 to 16"),
    ],
)
def test_says_what_is_wrong_with_its_arguments(wrong: dict[str, Any], message: str) -> None:
    arguments = {"channels": (8, 8), "attention": (False, False), "norm_num_groups": 4, **wrong}
    with pytest.raises(ValueError, match=message):
        LatentDiffusion(latent_channels=2, latent_rows=4, condition_dim=8, **arguments)


@torch.no_grad()
def test_the_branch_flag_tells_the_streams_apart_once_it_has_learned(
    make_model: Make, make_features: Make
) -> None:
    model = make_model({"negative.branch_flag": True})
    denoiser, plain = model.dual.denoiser, make_model().dual.denoiser
    plain.load_state_dict(
        {name: value for name, value in denoiser.state_dict().items() if "class_embedding" not in name}
    )
    dance = condition(model, make_features(2.56))
    pair = (torch.cat([dance[0]] * 2), torch.cat([dance[1]] * 2))
    z, t = noise(), torch.tensor([500])
    assert torch.equal(denoiser(z, t, dance, 1), plain(z, t, dance))  # untrained it changes nothing
    assert torch.equal(plain(z, t, dance, 1), plain(z, t, dance))
    torch.nn.init.normal_(denoiser.unet.class_embedding.weight)
    positive, negative = (denoiser(z, t, dance, branch) for branch in (0, 1))
    assert not torch.allclose(positive, negative, atol=1e-2)
    both = denoiser(torch.cat([z, z]), torch.cat([t, t]), pair, torch.tensor([0, 1]))
    assert torch.allclose(both, torch.cat([positive, negative]), atol=1e-5)
    assert torch.equal(denoiser(z, t, dance), positive)


def token_pair(model: PNDiffusion, make_features: Make, stride: int = 1) -> tuple[Condition, Condition]:
    """A dance of 2 s, alone and in a batch with one of 2.56 s (the first row)."""
    provider = model.dual.provider
    features = make_features(2.56, 0), make_features(2.56, 1)
    features[0].detected[3:11] = False
    short = DanceAttributes(dance={POSITIVE: dance_conditions(features[0], 0.0, 2.0)[0]})
    long = DanceAttributes(dance={POSITIVE: dance_conditions(features[1], 0.0, 2.56)[0]})
    alone, mixed = (provider(provider.tokenize(batch, (POSITIVE,))) for batch in ([short], [short, long]))
    return alone[POSITIVE], mixed[POSITIVE]


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_shorter_clip_does_not_hear_its_batch_mates(
    make_model: Make, make_features: Make, temporal: str, stride: int
) -> None:
    model = make_model({"conditioning.temporal": temporal, "conditioning.attention_stride": stride})
    denoiser = model.dual.denoiser
    torch.nn.init.normal_(denoiser.null_token)
    alone, mixed = token_pair(model, make_features)
    z, t = noise(), torch.tensor([500])
    for change in (lambda c: c, denoiser.null_condition):
        out = denoiser(torch.cat([z, z]), torch.cat([t, t]), change(mixed))
        assert torch.allclose(out[:1], denoiser(z, t, change(alone)), atol=1e-5)
    if temporal != "pooled":
        assert alone[0].shape[1] == 50 and mixed[0].shape[1] == 64
        assert mixed[0][0, 50:].abs().max() == 0 and mixed[0][0, :50].abs().sum(dim=-1).min() > 0
        attended = denoiser.prepare(mixed, COLUMNS)["attended"]
        assert attended.sum(dim=1).tolist() == [-(-50 // stride), -(-64 // stride)]
        assert "attended" not in denoiser.prepare(alone, COLUMNS)


@torch.no_grad()
def test_of_a_group_of_tokens_those_that_were_seen_count(make_model: Make) -> None:
    denoiser = make_model({"conditioning.attention_stride": 4}).dual.denoiser
    embedding, mask = torch.randn(1, 12, WIDTH), torch.ones(1, 12, dtype=torch.bool)
    mask[:, 2:4] = mask[:, 8:] = False
    tokens = denoiser.prepare((embedding, mask), COLUMNS)["tokens"][0]
    torch.testing.assert_close(tokens[0], embedding[0, :2].mean(dim=0))
    torch.testing.assert_close(tokens[1], embedding[0, 4:8].mean(dim=0))
    torch.testing.assert_close(tokens[2], denoiser.null_token)


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["tokens", "aligned"])
def test_the_same_second_is_the_same_at_twice_the_length(
    make_model: Make, make_features: Make, temporal: str
) -> None:
    model = make_model({"conditioning.temporal": temporal})
    features = make_features(5.12)
    features.keypoints[:, [11, 12, 23, 24]] = features.keypoints[
        0, [11, 12, 23, 24]
    ]  # one size at both lengths
    provider, denoiser = model.dual.provider, model.dual.denoiser
    short, long = (
        denoiser.prepare(provider(provider.tokenize([dance], (POSITIVE,)))[POSITIVE], columns)
        for columns, dance in (
            (40, DanceAttributes(dance={POSITIVE: dance_conditions(features, 0.0, 2.56)[0]})),
            (80, DanceAttributes(dance={POSITIVE: dance_conditions(features)[0]})),
        )
    )
    # The end of the shorter one does not know what comes next: 3 frames of graph blocks and velocity, 2 columns more
    # of interpolation and the fold's convolution.
    torch.testing.assert_close(short["tokens"][:, :61], long["tokens"][:, :61])
    torch.testing.assert_close(short["extra"][..., :36], long["extra"][..., :36])
    assert not torch.allclose(long["tokens"][:, 64:125], long["tokens"][:, :61], atol=1e-3)


STYLED = {"conditioning.styles": ["house", "waltz"]}


def style(model: PNDiffusion, *names: str | None) -> Condition:
    """Embedding and mask of the style of each clip."""
    conditioner = model.dual.provider.style
    assert conditioner is not None
    return conditioner(conditioner.tokenize(names))


@torch.no_grad()
@pytest.mark.parametrize("flag", [False, True])
def test_styles_are_equal_before_training(make_model: Make, make_features: Make, flag: bool) -> None:
    """And a model with styles has the numbers of a model without them."""
    model, plain = make_model({**STYLED, "negative.branch_flag": flag}), make_model()
    dance, z, t = condition(model, make_features(2.56)), noise(), torch.tensor([500])
    expected = plain.dual.denoiser(z, t, condition(plain, make_features(2.56)))
    for name in ("any", "house", "waltz"):
        assert torch.equal(model.dual.denoiser(z, t, dance, style=style(model, name)), expected)


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_a_style_that_changes_changes_its_rows_only(
    make_model: Make, make_features: Make, temporal: str
) -> None:
    model = make_model({**STYLED, "conditioning.temporal": temporal})
    denoiser, names = model.dual.denoiser, ("house", "waltz", None, "waltz")
    dance = tuple(torch.cat([part] * 4) for part in condition(model, make_features(2.56)))
    z, t = noise(clips=4), torch.tensor([500] * 4)
    before = denoiser(z, t, dance, style=style(model, *names))
    model.dual.provider.style.embedding.weight[2] += 1
    after = denoiser(z, t, dance, style=style(model, *names))
    changed = [not torch.allclose(a, b, atol=1e-3) for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, False, True]
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    any_style = denoiser(z, t, dance)  # none is `any`
    assert torch.equal(any_style, denoiser(z, t, dance, style=style(model, *["any"] * 4)))
    dropped = denoiser.drop(style(model, *names), torch.tensor([False, True, False, False]))
    some = denoiser(z, t, dance, style=dropped)
    assert torch.equal(some[1], any_style[1]) and torch.equal(some[3], after[3])


@torch.no_grad()
def test_style_and_branch_flag_are_added(make_model: Make, make_features: Make) -> None:
    model = make_model({**STYLED, "negative.branch_flag": True})
    denoiser, styles = model.dual.denoiser, model.dual.provider.style
    torch.nn.init.normal_(denoiser.branch_embedding.weight)
    torch.nn.init.normal_(styles.embedding.weight)
    dance = tuple(torch.cat([part] * 2) for part in condition(model, make_features(2.56)))
    branch = torch.tensor([0, 1])
    prepared = denoiser.prepare(dance, COLUMNS, branch, style=style(model, "waltz", None))
    of_style = torch.stack([styles.embedding.weight[2], torch.zeros(denoiser.time_dim)])
    assert torch.equal(prepared["style"], of_style + denoiser.branch_embedding.weight)
    assert "branch" not in prepared
    out = denoiser.denoise(noise(clips=2), torch.tensor([500, 500]), prepared)
    plain = denoiser.unet.time_embedding.forward
    denoiser.unet.time_embedding.forward = lambda *args: plain(*args) + prepared["style"]
    same = denoiser.denoise(
        noise(clips=2), torch.tensor([500, 500]), {**prepared, "style": torch.zeros(2, 1)}
    )
    assert torch.allclose(out, same, atol=1e-5)


def test_without_styles_a_denoiser_is_as_before(make_model: Make, make_features: Make) -> None:
    for flag, name in ((False, None), (True, "unet.class_embedding.weight")):
        model = make_model({"conditioning.styles": [], "negative.branch_flag": flag})
        denoiser = model.dual.denoiser
        special = [
            key for key in denoiser.state_dict() if "class" in key or "branch" in key or "style" in key
        ]
        assert special == ([name] if name else [])
        dance = condition(model, make_features(2.56))
        assert "style" not in denoiser.prepare(dance, COLUMNS)
        with pytest.raises(ValueError, match="a style for a denoiser without styles"):
            denoiser.prepare(
                dance, COLUMNS, style=(torch.zeros(1, 1, 32), torch.ones(1, 1, dtype=torch.bool))
            )
