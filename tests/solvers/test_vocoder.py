"""The vocoder's training: what it is given, who judges, and that it goes on where it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.models.vocoders.trained import load_vocoder
from pn_diffusion_plugin.solvers.distributed import Share

MakeSolver = Callable[..., Any]


def batch(solver: Any) -> torch.Tensor:
    solver.seed_epoch()
    return next(iter(solver.dataloaders["train"]))


def train(solver: Any) -> list[dict[str, float]]:
    """Train and valid stage of an epoch; their metrics."""
    solver.seed_epoch()
    measured = [solver.run_stage("train", solver.train)]
    with torch.no_grad():
        measured.append(solver.run_stage("valid", solver.valid))
    solver.history.append({})  # the next epoch's number
    solver._start_epoch()
    return [{**metrics, "duration": 0} for metrics in measured]


def judges(solver: Any) -> list[torch.Tensor]:
    return [parameter.clone() for parameter in solver.adversaries.parameters()]


def test_a_picture_and_its_sound_belong_together(make_solver: MakeSolver) -> None:
    solver = make_solver("vocoder")
    pictures, waves = solver.pairs(batch(solver)[0])
    assert waves.shape[-1] == pictures.shape[-1] * solver.mel.hop_length
    # The last frame sees the samples after the end, which the sound has not.
    assert torch.allclose(solver.unit_mel(waves)[..., :-1], pictures[..., :-1], atol=1e-4)


def test_a_moment_is_cut_from_both_and_made_quieter_in_both(make_solver: MakeSolver) -> None:
    solver = make_solver("vocoder", "crop.quieter_db=30")
    solver._share = Share(0, 1, 2)
    pairs = solver.pairs(batch(solver)[0])
    torch.manual_seed(0)
    moments = solver.random_crop(pairs)
    assert moments.mels.shape == (2, 1, 16, 16) and moments.waves.shape == (2, 1, 16 * 512)
    inner = slice(1, -1)  # windows at the ends see what is cut off
    found = solver.unit_mel(moments.waves)[..., inner]
    assert torch.allclose(found, moments.mels[..., inner], atol=1e-3)
    levels = [moments.mels.amax((1, 2, 3)), pairs.mels.amax((1, 2, 3))]
    assert (levels[0] < levels[1] - 0.01).any()


def test_a_share_of_the_clips_gets_the_same_moments(make_solver: MakeSolver) -> None:
    solver = make_solver("vocoder")
    pairs = solver.pairs(batch(solver)[0])
    found = []
    for share in (Share(0, 1, 2), Share(1, 2, 2)):
        solver._share = share
        torch.manual_seed(3)
        found.append(solver.random_crop(type(pairs)(*(share.of(part) for part in pairs))))
    assert torch.equal(found[0].mels[1:], found[1].mels)
    assert torch.equal(found[0].waves[1:], found[1].waves)


def test_the_autoencoders_pictures_stand_for_the_same_sound(make_solver: MakeSolver) -> None:
    plain = make_solver("vocoder")
    wav = batch(plain)[0]
    pictures, waves = plain.pairs(wav)
    autoencoded = make_solver("vocoder", "vocoder.input=autoencoded")
    blurred, same = autoencoded.pairs(wav)
    assert blurred.shape[-1] == pictures.shape[-1] // 2 * 2
    assert not torch.allclose(blurred, pictures[..., : blurred.shape[-1]], atol=0.1)
    assert torch.equal(same, waves[..., : same.shape[-1]])


def test_moments_can_be_learned_by_heart(make_solver: MakeSolver) -> None:
    more = [
        "vocos.channels=32",
        "vocos.hidden=32",
        "adversarial.adversaries=[]",
        "schedule.lr_scheduler=null",
    ]
    solver = make_solver("vocoder", *more, "optim.lr=5e-3")
    losses: list[float] = []

    def stage() -> None:
        clips = batch(solver)
        solver.model.train()
        for _ in range(40):
            torch.manual_seed(0)
            losses.append(float(solver.run_step(0, clips, {})["picture"]))

    solver.run_stage("train", stage)
    assert losses[-1] < 0.5 * losses[0]


def test_discriminators_learn_and_judge_when_it_is_time(make_solver: MakeSolver) -> None:
    solver = make_solver("vocoder", "adversarial.start=1", "adversarial.every=2", "optim.updates_per_epoch=4")
    found: list[dict[str, Any]] = []
    states = [judges(solver)]

    def stage() -> None:
        clips = batch(solver)
        solver.model.train()
        for index in range(3):
            found.append(solver.run_step(index, clips, {}))
            states.append(judges(solver))

    solver.run_stage("train", stage)
    assert "adv_msstftd" not in found[0]  # before adversarial.start
    assert "adv_msstftd" in found[1] and "d_msstftd" not in found[1]  # they judge, but do not learn
    assert {"adv_msstftd", "feat_msstftd", "d_msstftd"} <= set(found[2])
    changed = [
        any(not torch.equal(a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(states, states[1:], strict=False)
    ]
    assert changed == [False, False, True]


def test_gradients_are_shared_out_by_the_weights(make_solver: MakeSolver) -> None:
    """A loss of weight 0 is not even computed; what is left reaches the network."""
    solver = make_solver(
        "vocoder", "losses.picture=0", "losses.msspec=0", "losses.convergence=0", "adversarial.start=0"
    )
    norms: list[torch.Tensor] = []
    solver.optimize = lambda loss, metrics: norms.append(torch.autograd.grad(loss, solver.model.head.bias)[0])

    def stage() -> None:
        solver.model.train()
        assert set(solver.run_step(0, batch(solver), {})) == {
            "d_msstftd",
            "adv_msstftd",
            "feat_msstftd",
            "loss",
        }

    solver.run_stage("train", stage)
    assert norms[0].isfinite().all() and norms[0].norm() > 0


def test_it_resumes_exactly(make_solver: MakeSolver) -> None:
    solver = make_solver("vocoder")
    train(solver)
    stored = copy.deepcopy(solver.state_dict())
    whole = train(solver)
    assert "adv_msstftd" in whole[0]
    again = make_solver("vocoder")
    torch.rand(5)  # whatever was drawn in between
    again.load_state_dict(stored)
    assert train(again) == whole
    for name, value in solver.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    for one, other in zip(judges(solver), judges(again), strict=True):
        assert torch.equal(one, other)


def test_from_nothing_to_a_model_that_sounds_with_it(make_solver: MakeSolver) -> None:
    solver = make_solver("vocoder")
    solver.run()
    *_, last = json.loads((solver.folder / "history.json").read_text())
    for way in ("", "griffin_lim/"):
        scores = {key: last["evaluate"][f"{way}{key}"] for key in ("l1", "convergence", "onset_f25")}
        assert all(0 <= value <= 1 for value in scores.values())
        assert last["evaluate"][f"{way}seconds_per_second"] > 0
    assert len(list((solver.folder / "samples").rglob("*.wav"))) == 4  # two, and two references
    kept = load_vocoder(solver.folder)
    assert kept.refinement == 1
    raw = solver.model.state_dict()
    assert any(
        not torch.equal(value, raw[name]) for name, value in kept.state.items()
    )  # the averaged weights

    model = make_solver("pn_diffusion", "vocoder.name=vocos", f"vocoder.checkpoint={solver.folder}")
    assert model.vocoder_source == str(solver.folder)
    sound = model.inference()
    assert isinstance(sound, PNDiffusion) and sound.trained_vocoder is not None
    wav = batch(model)[0]
    assert sound.reconstruct(wav[0, 0]).shape == wav[0, 0].shape
    other = make_solver(
        "pn_diffusion", "vocoder.name=vocos", f"vocoder.checkpoint={solver.folder}", "vocoder.refinement=0"
    )
    assert other.inference().trained_vocoder.refinement == 0

    finer = make_solver("vocoder", "vocoder.input=autoencoded", f"continue_from=//pretrained/{solver.folder}")
    finer.restore()
    for name, value in kept.state.items():
        assert torch.equal(finer.model.state_dict()[name], value)


@pytest.mark.parametrize(
    ("solver", "overrides", "message"),
    [
        ("vocoder", ["optim.accumulate=2"], "optim.accumulate=2"),
        ("vocoder", ["vocoder.input=latent"], "vocoder.input=latent: give mel or autoencoded"),
        ("vocoder", [f"losses.{name}=0" for name in ("picture", "msspec", "convergence")], "have weight 0"),
        ("pn_diffusion", ["vocoder.name=hifigan"], "hifigan"),
    ],
)
def test_a_wrong_configuration_is_named(
    make_solver: MakeSolver, solver: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_solver(solver, *overrides)
