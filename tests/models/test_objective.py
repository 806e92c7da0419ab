"""The configuration's section `negative`, and losses that must stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE, dance_conditions
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.modules.readings import READINGS

Make = Callable[..., Any]

# Computed with the code that trained the first released models (same seeds): losses and norm of the gradient.
EARLIER = {
    ("mirrored", 0.6, "same"): ([1.198820, 1.218318, 1.169572, -0.060766], 1.364299),
    ("mirrored", 0.6, "reversed"): ([1.225940, 1.218318, 1.237373, -0.029152], 1.417463),
    ("shared", 0.7, "same"): ([1.205384, 1.218318, 1.175206, -0.910017], 1.304328),
    ("mirrored", 1.0, "same"): ([1.218318, 1.218318], 1.548322),
    ("shared", 1.0, "same"): ([1.218318, 1.218318], 1.548322),
}


def step(
    make_model: Make, make_features: Make, latent: str, alpha: float, music: str, flag: bool
) -> tuple[dict[str, torch.Tensor], list[torch.Tensor], list[int]]:
    """Losses, gradients and U-Net rows of one update on a tiny model."""
    changes = {"latent": latent, "alpha": alpha, "music": music, "branch_flag": flag, "cue": "reversed"}
    model = make_model({f"negative.{key}": value for key, value in changes.items()})
    objective = builders.build_objective(model.config, model.schedule)
    generator = torch.Generator().manual_seed(7)
    t = model.schedule.sample_timesteps(3, generator=generator)
    shape = (3, 2, 8, 40)
    z0, eps = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    mask = torch.ones(3, 1, 1, 40)
    mask[1, ..., 30:] = 0
    dropped = torch.tensor([False, True, False])
    pairs = [dance_conditions(make_features(2.56, seed)) for seed in range(3)]
    dances = [dict(zip((POSITIVE, NEGATIVE), pair, strict=True)) for pair in pairs]
    negative = None
    if objective.needs_negative_latent or music == "reversed":
        negative = model.negative_cue.latent(z0, mask)
    sample = objective.corrupt(z0, eps, t, negative, **objective.draw(shape, generator))
    rows: list[int] = []
    model.dual.requires_grad_(True).denoiser.unet.register_forward_hook(
        lambda _, a, out: rows.append(len(a[0]))
    )
    tokenized = model.dual.provider.collate(dances, objective.streams)
    outputs = model.dual(sample, tokenized, objective.dropped_streams(dropped))
    losses = objective.loss(*outputs, sample, mask, dropped)
    losses.total.backward()
    return losses.means(), [p.grad for p in model.dual.parameters() if p.grad is not None], rows


@pytest.mark.parametrize("latent, alpha, music", EARLIER)
def test_the_same_seeds_give_the_same_losses_as_ever(
    make_model: Make, make_features: Make, latent: str, alpha: float, music: str
) -> None:
    means, gradients, _ = step(make_model, make_features, latent, alpha, music, True)
    losses, norm = EARLIER[latent, alpha, music]
    assert [float(value) for value in means.values()] == pytest.approx(losses, abs=1e-4)
    assert float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt()) == pytest.approx(
        norm, rel=1e-4
    )


@pytest.mark.parametrize("latent", READINGS)
def test_every_reading_trains_the_model_and_is_the_baseline_at_alpha_one(
    make_model: Make, make_features: Make, latent: str
) -> None:
    _, gradients, rows = step(make_model, make_features, latent, 0.8, "same", False)
    assert rows == [3 * READINGS[latent].rows]
    assert all(torch.isfinite(g).all() for g in gradients)
    means, gradients, rows = step(make_model, make_features, latent, 1.0, "same", False)
    baseline, of_baseline, _ = step(make_model, make_features, "mirrored", 1.0, "same", False)
    assert rows == [3] and torch.equal(means["loss"], baseline["loss"])
    assert all(map(torch.equal, gradients, of_baseline))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"latent": "twisted"}, "negative.latent='twisted'.*mirrored"),
        ({"cue": "upside down"}, "negative.cue='upside down'"),
        ({"music": "none"}, "negative.music='none'"),
        ({"music": "reversed", "cue": "shifted"}, "negative.cue=shifted"),
        ({"music": "reversed", "latent": "shared"}, "negative.latent=shared"),
        ({"latent": "contrast", "alpha": 0.5}, "alpha=0.5"),
        ({"latent": "contrast", "branch_flag": True}, "branch_flag=true with negative.latent=contrast"),
        ({"latent": "comparison", "tau": 0.0}, "tau=0.0"),
    ],
)
def test_a_section_negative_that_contradicts_itself_is_refused(
    make_config: Make, change: dict[str, Any], message: str
) -> None:
    config = make_config({f"negative.{key}": value for key, value in change.items()})
    with pytest.raises(UserError, match=message):
        builders.build_objective(config, builders.build_schedule(config))
