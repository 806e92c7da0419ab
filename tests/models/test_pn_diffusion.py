from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE, dance_conditions
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec
from pn_diffusion_plugin.errors import FeatureFileError, UserError, VideoError
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

Make = Callable[..., Any]


@pytest.fixture
def model(make_model: Make) -> PNDiffusion:
    return make_model()


@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
@pytest.mark.parametrize("seconds", [2.56, 2.72, 3.337, 7.001])
def test_music_is_exactly_as_long_as_the_picture(
    make_model: Make, make_features: Make, temporal: str, seconds: float
) -> None:
    model = make_model({"conditioning.temporal": temporal})
    (wav,) = model.generate_from_features([make_features(seconds)])
    assert wav.shape == (1, round(seconds * 8000))
    assert wav.isfinite().all() and wav.abs().max() <= 1 and wav.std() > 0


def test_a_last_frame_that_was_dropped_is_no_reason_to_refuse_a_video(
    model: PNDiffusion, make_features: Make
) -> None:
    assert model.generate_from_features([make_features(2.52)])[0].shape == (1, 20160)


def test_a_video_shorter_than_a_window_is_refused_by_name(model: PNDiffusion, make_features: Make) -> None:
    with pytest.raises(VideoError, match=r"short\.mp4 is 1\.20 s long .* at least 2\.56 s: give a longer"):
        model.generate_from_features(
            [make_features(3.0), make_features(1.2)], names=["long.mp4", "short.mp4"]
        )


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"negative_guidance": 0.7},
        {"guidance": 2.0, "negative_cfg": 0.5, "sampler": "ddpm"},
        {"sampler": "dpm++"},
        {"sampler": "unipc", "guidance": 2.0, "guidance_rescale": 0.5},
        {"sampler": "ddim", "eta": 0.7},
    ],
)
def test_a_clip_depends_on_its_dance_and_seed_alone(
    model: PNDiffusion, make_features: Make, params: dict[str, Any]
) -> None:
    model.set_generation_params(**params)
    clips = [make_features(seconds, seed) for seed, seconds in enumerate([3.0, 4.5, 3.0, 3.0])]
    seeds = [7, 8, 9, 7]
    together = model.generate_from_features(clips, seeds)
    model.set_generation_params(batch_size=2)
    in_pairs = model.generate_from_features(clips, seeds)
    for clip, seed, a, b in zip(clips, seeds, together, in_pairs, strict=True):
        (alone,) = model.generate_from_features([clip], [seed])
        assert torch.allclose(a, alone, atol=1e-4) and torch.allclose(b, alone, atol=1e-4)
    assert not torch.allclose(together[0], together[3], atol=1e-2)  # the seed is the same, the dance is not
    other = model.generate_from_features(clips[:1], [8])[0]
    assert not torch.allclose(together[0], other, atol=1e-2)


def test_seeds_count_from_zero_by_default(model: PNDiffusion, make_features: Make) -> None:
    clips = [make_features(2.56, 1), make_features(2.56, 1)]
    a, b = model.generate_from_features(clips)
    assert torch.allclose(a, model.generate_from_features(clips[:1], [0])[0], atol=1e-4)
    assert not torch.allclose(a, b, atol=1e-2)


def test_a_segment_is_what_its_clip_is(model: PNDiffusion, make_features: Make) -> None:
    features = make_features(2.56)
    dance = dict(zip((POSITIVE, NEGATIVE), dance_conditions(features), strict=True))
    (segment,) = model.generate_from_conditions([dance], [3])
    assert torch.allclose(segment, model.generate_from_features([features], [3])[0], atol=1e-4)


def test_the_middle_of_a_long_clip_hears_its_own_dance(model: PNDiffusion, make_features: Make) -> None:
    features = make_features(8.0)
    other = Features(
        features.header,
        features.keypoints.copy(),
        features.detected,
        features.visual,
        features.visual_reverse,
    )
    other.keypoints[:] = other.keypoints[::-1].copy()
    a, b = (model.generate_from_features([f], [3])[0] for f in (features, other))
    middle = slice(24000, 40000)
    assert not torch.allclose(a[:, middle], b[:, middle], atol=1e-2)


def latents(model: PNDiffusion, clips: list[Features], seeds: list[int]) -> torch.Tensor:
    """What the denoiser makes of the clips, before it becomes sound."""
    found: list[torch.Tensor] = []
    model._to_wave, original = lambda z, n, seed=0: found.append(z) or torch.zeros(1, 1, n), model._to_wave  # type: ignore
    model.generate_from_features(clips, seeds)
    model._to_wave = original  # type: ignore[method-assign]
    return torch.cat(found)


def rows_seen(model: PNDiffusion, features: Features) -> list[int]:
    """Rows of every U-Net call of a generation."""
    rows: list[int] = []
    handle = model.dual.denoiser.unet.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    model.generate_from_features([features], [0])
    handle.remove()
    return rows


@pytest.mark.parametrize(
    "params, branches",
    [
        ({}, 1),
        ({"negative_guidance": 0.5}, 2),
        ({"guidance": 2.0}, 2),
        ({"guidance": 2.0, "negative_cfg": 0.5}, 3),
        ({"guidance": 2.0, "negative_guidance": 0.5}, 3),
        ({"guidance": 2.0, "negative_cfg": 1.0}, 2),  # "no dance" has the weight 1 - g + h = 0
    ],
)
def test_the_branches_that_count_are_computed_in_one_call(
    model: PNDiffusion, make_features: Make, params: dict[str, Any], branches: int
) -> None:
    model.set_generation_params(steps=2, **params)
    assert rows_seen(model, make_features(2.56)) == [branches] * 2
    assert rows_seen(model, make_features(5.12)) == [3 * branches] * 2  # three windows


@pytest.mark.parametrize("most", [2, 4, 100])
def test_steps_without_guidance_take_one_branch(model: PNDiffusion, make_features: Make, most: int) -> None:
    """Timesteps 999, 749, 499 and 249: from .8 to .3 of them there is guidance."""
    features = make_features(5.12)  # three windows
    guided = {"guidance": 2.0, "negative_cfg": 0.5}
    model.set_generation_params(steps=4, windows_per_call=most, **guided)
    always = latents(model, [features], [1])
    model.set_generation_params(guidance_from=0.8, guidance_until=0.3)
    rows = rows_seen(model, features)
    assert max(rows) <= most and sum(rows) == (3 + 9 + 9 + 3)
    sometimes = latents(model, [features], [1])
    assert not torch.allclose(sometimes, always, atol=1e-3)
    model.set_generation_params(guidance_from=0.1, guidance_until=0.0)  # at no timestep that is visited
    never = latents(model, [features], [1])
    model.set_generation_params(guidance=1.0, negative_cfg=0.0)
    assert torch.allclose(latents(model, [features], [1]), never, atol=1e-5)
    assert not torch.allclose(sometimes, never, atol=1e-3)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("params", [{}, {"guidance": 2.0, "negative_cfg": 0.5, "guidance_rescale": 0.7}])
def test_rows_of_a_call_are_bounded_and_change_nothing(
    model: PNDiffusion, make_features: Make, params: dict[str, Any], most: int
) -> None:
    clips, seeds = [make_features(8.0, seed) for seed in range(3)], [7, 8, 9]
    model.set_generation_params(steps=2, windows_per_call=1000, **params)
    whole = latents(model, clips, seeds)
    model.set_generation_params(windows_per_call=most)
    assert torch.allclose(latents(model, clips, seeds), whole, atol=1e-5)
    rows = rows_seen(model, clips[0])
    assert max(rows) <= most and sum(rows) == 2 * 6 * (3 if params else 1)  # six windows
    model.set_generation_params(batch_size=1)
    assert torch.allclose(latents(model, clips, seeds), whole, atol=1e-5)


def test_progress_counts_every_step_once(model: PNDiffusion, make_features: Make) -> None:
    told: list[tuple[int, int]] = []
    clips = [make_features(2.56), make_features(4.0), make_features(2.56)]
    model.generate_from_features(clips, progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 6) for n in range(1, 7)]


def test_a_model_without_negatives_cannot_be_guided_by_them(make_model: Make) -> None:
    model = make_model({"negative.alpha": 1.0})
    with pytest.raises(UserError, match="negative_guidance needs a model trained with negatives"):
        model.set_generation_params(negative_guidance=1.0)
    model.set_generation_params(negative_guidance=0.0, guidance=2.0)
    assert model.params.guidance == 2.0
    with pytest.raises(UserError, match="negative_guidance needs a model trained with negatives"):
        make_model({"negative.alpha": 1.0, "sampling.negative_guidance": 1.0})


def test_a_model_that_never_lost_its_dance_cannot_be_guided_away_from_none(make_model: Make) -> None:
    model = make_model({"conditioning.dropout": 0.0})
    with pytest.raises(UserError, match="guidance needs a model trained with conditioning.dropout"):
        model.set_generation_params(guidance=2.0)


def test_features_of_another_kind_are_refused_by_name(model: PNDiffusion, make_features: Make) -> None:
    other = make_features(3.0, 0, FeatureSpec(pose_fps=30.0))
    with pytest.raises(FeatureFileError, match=r"features of a\.mp4 .*pose_fps is 30\.0, not 25\.0"):
        model.generate_from_features([other], names=["a.mp4"])


def test_every_clip_needs_a_seed(model: PNDiffusion, make_features: Make) -> None:
    with pytest.raises(UserError, match="1 seeds for 2 clips"):
        model.generate_from_features([make_features(2.56), make_features(2.56)], [1])


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_told(device: str) -> None:
    with pytest.raises(UserError, match=f"device {device} .*: give cpu"):
        PNDiffusion.get_pretrained("mini", device)


@pytest.mark.parametrize(
    "params, message",
    [
        ({"colour": 1}, "unknown generation parameter.*colour"),
        ({"sampler": "euler"}, "sampler.*euler.*unipc"),
        ({"spacing": "even"}, "spacing.*even.*trailing"),
        ({"spacing": "leading"}, "leading.*zero_terminal_snr"),
        ({"eta": 1.5}, "eta.*1.5"),
        ({"eta": 0.5, "sampler": "unipc"}, "eta is 0.5 and applies to ddim only.*unipc"),
        ({"guidance_from": 1.1}, "guidance_from.*1.1"),
        (
            {"guidance_from": 0.5, "guidance_until": 0.6},
            "guidance_until.*0.6: give 0 to guidance_from, i.e. 0.5",
        ),
        ({"guidance_rescale": -0.1}, "guidance_rescale.*-0.1"),
        ({"windows_per_call": 0}, "windows_per_call.*0"),
        ({"steps": 0}, "steps.*0"),
        ({"steps": 1001}, "steps.*1001"),
        ({"negative_guidance": -1.0}, "negative_guidance.*-1"),
        ({"overlap": 1.0}, "overlap.*1"),
        ({"batch_size": 0}, "batch_size.*0"),
    ],
)
def test_a_wrong_parameter_is_refused_at_once_and_changes_nothing(
    model: PNDiffusion, params: dict[str, Any], message: str
) -> None:
    before = model.params
    with pytest.raises(UserError, match=message):
        model.set_generation_params(**params)
    assert model.params == before


def test_the_ceiling_is_as_long_as_its_reference(model: PNDiffusion) -> None:
    for samples in (20480, 24001):
        assert model.reconstruct(torch.randn(samples) * 0.1).shape == (samples,)


STYLED = {"conditioning.styles": ["house", "waltz"], "conditioning.style_dropout": 0.2}


@pytest.mark.parametrize("params", [{}, {"guidance_style": 2.0}])
def test_a_style_changes_the_music_once_it_has_learned(
    make_model: Make, make_features: Make, params: dict[str, Any]
) -> None:
    model, features = make_model(STYLED), make_features(5.12)
    assert model.styles == ("house", "waltz") and model.params.style == "any"
    torch.nn.init.normal_(model.dual.provider.style.embedding.weight[2])
    found = {}
    for name in ("any", "house", "waltz"):
        model.set_generation_params(style=name, **params)
        found[name] = latents(model, [features], [3])
    assert torch.allclose(found["any"], found["house"], atol=1e-5)  # is zero
    assert not torch.allclose(found["any"], found["waltz"], atol=1e-2)
    assert torch.allclose(found["any"], latents(make_model(), [features], [3]), atol=1e-5)


@pytest.mark.parametrize("params, rows", [({}, 1), ({"guidance_style": 2.0}, 2)])
def test_guidance_of_the_style_takes_a_row(
    make_model: Make, make_features: Make, params: dict[str, Any], rows: int
) -> None:
    model = make_model(STYLED)
    model.set_generation_params(steps=2, style="house", **params)
    assert rows_seen(model, make_features(2.56)) == [rows] * 2
    model.set_generation_params(style="any")
    assert rows_seen(model, make_features(2.56)) == [1] * 2


def test_a_segment_has_the_style_of_the_parameters(make_model: Make, make_features: Make) -> None:
    model, features = make_model(STYLED), make_features(2.56)
    torch.nn.init.normal_(model.dual.provider.style.embedding.weight)
    dance = dict(zip((POSITIVE, NEGATIVE), dance_conditions(features), strict=True))
    waves = {}
    for name in ("any", "waltz"):
        model.set_generation_params(style=name)
        (waves[name],) = model.generate_from_conditions([dance], [3])
        assert torch.allclose(waves[name], model.generate_from_features([features], [3])[0], atol=1e-4)
    assert not torch.allclose(waves["any"], waves["waltz"], atol=1e-2)


def test_styles_are_kept_with_the_model(make_model: Make, make_features: Make, tmp_path: Path) -> None:
    model = make_model({**STYLED, "sampling.style": "waltz", "sampling.guidance_style": 1.5})
    torch.nn.init.normal_(model.dual.provider.style.embedding.weight)
    model.save_pretrained(tmp_path / "export")
    loaded = PNDiffusion.get_pretrained(tmp_path / "export")
    assert loaded.styles == model.styles
    assert (loaded.params.style, loaded.params.guidance_style) == ("waltz", 1.5)
    features = make_features(2.56)
    assert torch.allclose(latents(loaded, [features], [3]), latents(model, [features], [3]), atol=1e-5)


@pytest.mark.parametrize(
    "changes, params, message",
    [
        (STYLED, {"style": "polka"}, "style is polka: give one of any, house, waltz"),
        (STYLED, {"guidance_style": -1.0}, "guidance_style is -1.0: give at least 0"),
        (
            {**STYLED, "conditioning.style_dropout": 0.0},
            {"style": "house", "guidance_style": 2.0},
            "guidance_style needs a model trained with conditioning.style_dropout",
        ),
        (
            {},
            {"style": "house"},
            "style is house, and this model was trained without styles: leave it at any",
        ),
        ({}, {"guidance_style": 2.0}, "guidance_style is 2.0, and this model was trained without styles"),
    ],
)
def test_a_style_that_a_model_does_not_have_is_named(
    make_model: Make, changes: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    model = make_model(changes)
    before = model.params
    with pytest.raises(UserError, match=message):
        model.set_generation_params(**params)
    assert model.params == before


@pytest.mark.parametrize("styles", ["house", ["house", "house"], ["any"], [3], [""]])
def test_wrong_names_of_styles_are_named(make_model: Make, styles: Any) -> None:
    with pytest.raises(UserError, match="conditioning.styles="):
        make_model({"conditioning.styles": styles})
