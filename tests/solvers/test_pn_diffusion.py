from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from audiocraft.modules.conditioners import BaseConditioner, ConditioningProvider

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE
from pn_diffusion_plugin.data.features.feature_file import load_features, save_features
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.errors import CheckpointError, CorpusError, FeatureFileError, UserError
from pn_diffusion_plugin.models.io.checkpoint import load_experiment, load_weights
from pn_diffusion_plugin.paths import config_dir
from pn_diffusion_plugin.solvers.distributed import ClipAverages, Share
from pn_diffusion_plugin.solvers.pn_diffusion import update_by_timestep
from pn_diffusion_plugin.train import main

MakeSolver = Callable[..., Any]


def first_batch(solver: Any) -> Any:
    solver.seed_epoch()
    return next(iter(solver.dataloaders["train"]))


def train_on(solver: Any, batch: Any, times: int = 1) -> list[dict[str, Any]]:
    """Metrics of updates on one batch, with the same noise and timesteps each time."""
    metrics: list[dict[str, Any]] = []

    def stage() -> None:
        solver.model.train()
        for _ in range(times):
            torch.manual_seed(0)
            metrics.append(solver.run_step(0, batch, {}))

    solver.run_stage("train", stage)
    return metrics


def test_a_batch_can_be_learned_by_heart(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", "optim.lr=1e-2", "schedule.lr_scheduler=null")
    losses = [float(metrics["loss"]) for metrics in train_on(solver, first_batch(solver), 60)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    "alpha, latent, streams",
    [(0.6, "mirrored", 2), (0.6, "shared", 2), (0.6, "contrast", 1), (1.0, "mirrored", 1)],
)
def test_the_objective_is_the_one_that_the_config_names(
    make_solver: MakeSolver, alpha: float, latent: str, streams: int
) -> None:
    solver = make_solver("pn_diffusion", f"negative.alpha={alpha}", f"negative.latent={latent}")
    rows: list[int] = []
    solver.model.denoiser.unet.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    (metrics,) = train_on(solver, first_batch(solver))
    assert rows == [2 * streams]
    assert ("loss_negative" in metrics) == (alpha < 1)
    expected = metrics["loss_positive"]
    if alpha < 1:
        sign = -1 if latent == "contrast" else 1
        expected = alpha * expected + sign * (1 - alpha) * metrics["loss_negative"]
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=1e-5)


RECIPES = [path.stem for path in sorted((config_dir() / "solver" / "pn_diffusion").glob("*.yaml"))]


@pytest.mark.parametrize("recipe", ["pn_diffusion", *(f"pn_diffusion/{name}" for name in RECIPES)])
def test_recipes_train_with_the_negative_stream(recipe: str) -> None:
    """But for a student, whose target is the teacher's output, and the weights that ship, which are older."""
    without = {"pn_diffusion/distill", "pn_diffusion/bundled"}
    assert (main.get_xp([f"solver={recipe}"]).cfg.negative.alpha < 1) == (recipe not in without)


def test_the_default_logs_the_losses_of_both_streams(make_solver: MakeSolver) -> None:
    default = main.get_xp([]).cfg.negative
    solver = make_solver("pn_diffusion", *(f"negative.{key}={value}" for key, value in default.items()))
    (metrics,) = train_on(solver, first_batch(solver))
    positive, negative = float(metrics["loss_positive"]), float(metrics["loss_negative"])
    expected = default.alpha * positive - (1 - default.alpha) * negative
    assert positive > 0 and negative > 0 and float(metrics["loss"]) == pytest.approx(expected, rel=0.2)


def test_with_shared_latents_only_the_positive_stream_is_dropped(make_solver: MakeSolver) -> None:
    dropped = torch.tensor([True, False])

    def streams(*overrides: str) -> set[str]:
        return set(make_solver("pn_diffusion", *overrides).objective.dropped_streams(dropped))

    assert streams() == {POSITIVE, NEGATIVE}
    assert streams("negative.latent=shared") == streams("negative.alpha=1") == {POSITIVE}


def test_the_random_numbers_of_a_step_keep_their_order(make_solver: MakeSolver) -> None:
    """A run of an earlier version, resumed, goes on with the same timesteps, noise and dropped clips."""
    solver = make_solver("pn_diffusion")
    draws = solver._step_noise(3, 5, Share(0, 1, 4))
    seed = int(np.random.SeedSequence([solver.cfg.seed, 3, 5]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(seed)
    assert torch.equal(draws.t, solver.schedule.sample_timesteps(4, generator=generator))
    assert torch.equal(draws.eps, torch.randn(draws.eps.shape, generator=generator))
    assert torch.equal(draws.posterior, torch.randn(draws.eps.shape, generator=generator))
    dropout = solver.cfg.conditioning.dropout
    assert torch.equal(draws.dropped, torch.rand(4, generator=generator) < dropout)


def test_the_provider_that_is_trained_is_audiocrafts(make_solver: MakeSolver) -> None:
    provider = make_solver("pn_diffusion").model.provider
    assert isinstance(provider, ConditioningProvider) and isinstance(provider.dance, BaseConditioner)


def test_clips_are_dropped_one_by_one(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", "conditioning.dropout=0.5")
    assert 10 < solver._step_noise(1, 0, Share(0, 1, 64)).dropped.sum() < 54


@pytest.mark.parametrize("latent", ["mirrored", "contrast", "drawn"])
def test_a_step_draws_the_same_numbers_however_it_is_divided(make_solver: MakeSolver, latent: str) -> None:
    solver = make_solver("pn_diffusion", f"negative.latent={latent}")
    alone = solver._step_noise(1, 3, Share(0, 1, 4))
    for rank in range(2):
        share = solver._step_noise(1, 3, Share(rank, 2, 4))
        for mine, of_all in zip(share[:-1], alone[:-1], strict=True):
            assert torch.equal(mine, of_all[rank::2])
        for name, of_all in alone.objective.items():
            assert torch.equal(share.objective[name], of_all[rank::2])
    assert not torch.equal(solver._step_noise(1, 4, Share(0, 1, 4)).eps, alone.eps)


def test_diagnostics_of_a_stage(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", "negative.cue=shifted")
    with torch.no_grad():
        solver._start_epoch()
        metrics = solver.run_stage("valid", solver.valid)
    quarters = [f"{name}_quarter{q}" for name in ("loss_positive", "loss_negative") for q in (1, 2, 3, 4)]
    assert set(quarters) & set(metrics) and {"cosine_pn", "influence", "loss_other_dance"} <= set(metrics)
    assert metrics["influence"] > 0
    seen = [metrics[name] for name in quarters[:4] if name in metrics]
    assert min(seen) <= metrics["loss_positive"] <= max(seen)


@pytest.mark.parametrize(
    "settings",
    [
        ["negative.cue=mismatched"],
        ["negative.music=reversed", "negative.branch_flag=true"],
        ["negative.cue=shifted", "negative.latent=shared"],
        ["negative.latent=contrast"],
        ["negative.latent=contrast", "negative.cue=shifted"],
        ["negative.latent=contrast", "negative.cue=mismatched"],
        ["negative.latent=drawn", "negative.branch_flag=true", "negative.alpha=0.5"],
        ["negative.latent=comparison", "negative.cue=shifted"],
    ],
)
def test_every_kind_of_negative_trains_and_guides(make_solver: MakeSolver, settings: list[str]) -> None:
    solver = make_solver("pn_diffusion", *settings, "sampling.negative_guidance=1")
    (metrics,) = train_on(solver, first_batch(solver))
    assert torch.isfinite(torch.as_tensor(metrics["loss_negative"]))
    if "negative.cue=mismatched" in settings:
        assert solver.model.other_dance.motion.abs().sum() > 0
    _, infos = first_batch(solver)
    (features, *_) = [load_features(Path(info.features)) for info in infos]
    guided = solver.inference().generate_from_features([features], [0])[0]
    plain = make_plain(solver).generate_from_features([features], [0])[0]
    assert guided.shape == plain.shape and not torch.allclose(guided, plain, atol=1e-4)


def test_a_stored_dance_is_kept_with_the_weights(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", "optim.epochs=1", "negative.cue=mismatched")
    solver.run()  # through the averaging of weights, validation and the checkpoint
    kept = load_weights(solver.folder).model
    assert torch.equal(kept["other_dance.motion"], solver.model.other_dance.motion)
    assert solver.model.other_dance.condition().detected.dtype == torch.bool


def make_plain(solver: Any) -> Any:
    model = solver.inference()
    model.set_generation_params(negative_guidance=0.0)
    return model


def test_validation_gives_the_same_number_each_time(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion")
    with torch.no_grad():
        losses = []
        for _ in range(2):
            solver._start_epoch()  # forgets that this epoch was validated
            losses.append(solver.run_stage("valid", solver.valid)["loss"])
    assert losses[0] == losses[1]


def test_features_are_normalised_by_the_training_set(make_solver: MakeSolver, tiny_corpus: Path) -> None:
    encoder = make_solver("pn_diffusion").model.provider.dance.encoder
    paths = CorpusPaths(tiny_corpus)
    train = [load_features(paths.features(n)) for n in paths.clip_names() if "train" in n]
    visual = torch.cat([torch.from_numpy(f.visual) for f in train])
    assert torch.allclose(encoder.visual_norm.mean, visual.mean(dim=0), atol=1e-5)
    moved = torch.cat(
        [
            encoder.motion_norm(encoder.motion_features(torch.from_numpy(f.keypoints)[None], 25.0)).flatten(
                0, 2
            )
            for f in train
        ]
    )
    assert moved.mean(dim=0).abs().max() < 0.05
    assert moved.std(dim=0).tolist() == pytest.approx([1.0] * moved.shape[1], abs=0.1)


def test_latents_of_the_frozen_autoencoder_cover_the_segment(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion")
    wav, _ = first_batch(solver)
    assert wav.shape == (2, 1, 56448)
    assert solver.encode(wav).shape == (2, 2, 8, 56)
    assert not any(p.requires_grad for p in solver.vae.parameters())
    assert "vae" not in solver.state_dict()


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("negative.cue=backwards", UserError, "negative.cue='backwards'"),
        ("sampling.sampler=euler", UserError, "sampler is euler: give one of"),
        ("vae.checkpoint=outputs/nothing", CheckpointError, "no checkpoint 'outputs/nothing'"),
        ("mel.f_max=8000", CheckpointError, "was trained with mel=.*'f_max': None.*: use the same values"),
        ("mel_vae.latent_channels=3", CheckpointError, "was trained with mel_vae=.*: use the same values"),
        (
            "features.pose_fps=30",
            FeatureFileError,
            r"mini-train-\d+\.safetensors was made .*pose_fps is 25.0, not 30",
        ),
        ("features.visual_encoder=i3d_r50", FeatureFileError, "visual_encoder is"),
    ],
)
def test_a_wrong_configuration_is_named_before_the_training(
    make_solver: MakeSolver, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_solver("pn_diffusion", override)


def test_a_missing_corpus_is_named(make_solver: MakeSolver, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=re.escape(str(tmp_path / "none"))):
        make_solver("pn_diffusion", corpus=tmp_path / "none")


def test_a_damaged_feature_file_is_named(make_solver: MakeSolver, tiny_corpus: Path, tmp_path: Path) -> None:
    import shutil

    corpus = shutil.copytree(tiny_corpus, tmp_path / "corpus")
    path = CorpusPaths(corpus).features("mini-train-0003")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FeatureFileError, match=re.escape(f"{path} is not a complete feature file")):
        make_solver("pn_diffusion", corpus=corpus)
    features = load_features(CorpusPaths(tiny_corpus).features("mini-train-0003"))
    header = features.header.__class__(**{**vars(features.header), "schema": 99})
    save_features(path, features.__class__(header, **features.streams))
    with pytest.raises(FeatureFileError, match=re.escape(f"{path} has schema 99")):
        make_solver("pn_diffusion", corpus=corpus)


def test_an_experiment_resumes_and_is_continued_by_others(make_solver: MakeSolver) -> None:
    first = make_solver("pn_diffusion", "optim.epochs=1")
    first.run()
    folder, sig = first.folder, first.xp.sig
    state = load_experiment(folder, "pn_diffusion")  # with weights_only: nothing but plain containers
    assert state["xp.cfg"]["negative"]["alpha"] == 0.6
    kept = load_weights(folder).model
    assert any(not torch.equal(kept[name], value) for name, value in first.model.state_dict().items())  # EMA

    (folder / "history.json").write_text("[]")  # as if killed right after the checkpoint was written
    again = make_solver("pn_diffusion", "optim.epochs=1")
    assert again.folder == folder
    again.run()
    assert again.epoch == 2
    assert len(json.loads((folder / "history.json").read_text())) == 1

    for source in (f"//sig/{sig}", f"//pretrained/{folder}"):
        other = make_solver("pn_diffusion", "optim.lr=5e-4", f"continue_from={source}")
        other.restore()
        assert other.epoch == 1
        assert all(torch.equal(value, kept[name]) for name, value in other.model.state_dict().items())


@pytest.mark.parametrize("batch_size", [1, 2])
def test_generate_gives_clip_i_the_seed_of_evaluate(make_solver: MakeSolver, batch_size: int) -> None:
    """`seed + i`, however many clips a batch has: equal dances get different music."""
    solver = make_solver("pn_diffusion", f"+dataset.generate.batch_size={batch_size}")
    solver.run_stage("generate", solver.generate)
    dances = [info.dance for _, infos in solver.dataloaders["generate"] for info in infos]
    seeds = range(solver.cfg.seed, solver.cfg.seed + len(dances))
    expected = solver.inference().generate_from_conditions(dances, seeds)
    found = [soundfile.read(path)[0] for path in (solver.folder / "samples" / "1").glob("*.wav")]
    assert len(found) == len(dances) == 4
    for wav in expected:
        wanted = wav[0].numpy() / np.abs(wav[0].numpy()).max()
        errors = [np.abs(one / np.abs(one).max() - wanted[: len(one)]).max() for one in found]
        assert sorted(errors)[0] < 1e-2 < sorted(errors)[1]


def test_stages_run_by_themselves(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", "dataset.generate.num_samples=1", "execute_inplace=true")
    solver.run_one_stage("generate")
    assert len(list((solver.folder / "samples").rglob("*.wav"))) == 2  # made and reference


def test_losses_stand_under_the_quarter_of_their_timestep() -> None:
    averages = ClipAverages()
    losses = {"loss": torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])}
    update_by_timestep(averages, losses, torch.tensor([0, 249, 250, 750, 999]), 1000)
    update_by_timestep(averages, {"loss": torch.tensor([3.0])}, torch.tensor([100]), 1000)
    assert averages.compute() == {
        "loss_quarter1": pytest.approx(2.0),
        "loss_quarter2": 4.0,
        "loss_quarter4": 12.0,
    }
    assert ClipAverages().compute() == {}


STYLES = 'conditioning.styles=["house","disco","hiphop"]'


def test_styles_change_no_other_random_number(make_solver: MakeSolver) -> None:
    """Their dropout is drawn last, so that a resumed run of an earlier version goes on with the same numbers."""
    share = Share(0, 1, 4)
    for latent in ("contrast", "drawn"):
        plain = make_solver("pn_diffusion", f"negative.latent={latent}")
        before, weights = plain._step_noise(2, 7, share), plain.model.state_dict()
        assert not before.style_dropped.any()
        solver = make_solver("pn_diffusion", f"negative.latent={latent}", STYLES)
        after = solver._step_noise(2, 7, share)
        for name in ("t", "eps", "posterior", "dropped", "cue"):
            assert torch.equal(getattr(before, name), getattr(after, name))
        assert all(torch.equal(value, after.objective[name]) for name, value in before.objective.items())
        own = solver.model.state_dict()
        assert own.keys() - weights.keys() == {"provider.conditioners.style.embedding.weight"}
        assert all(torch.equal(own[name], value) for name, value in weights.items())


def test_styles_are_dropped_clip_by_clip(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", STYLES, "conditioning.style_dropout=0.3", "conditioning.dropout=0.3")
    draws = solver._step_noise(1, 0, Share(0, 1, 4000))
    assert 0.27 < draws.style_dropped.float().mean() < 0.33
    both = (draws.style_dropped & draws.dropped).float().mean()
    assert 0.07 < both < 0.11  # independent of the dance's
    assert torch.equal(draws.style_dropped, solver._step_noise(1, 0, Share(0, 1, 4000)).style_dropped)
    assert torch.equal(draws.style_dropped[1::2], solver._step_noise(1, 0, Share(1, 2, 4000)).style_dropped)


@pytest.mark.parametrize("latent", ["mirrored", "contrast", "drawn"])
def test_styles_are_learned_and_dropped_in_training_only(make_solver: MakeSolver, latent: str) -> None:
    solver = make_solver(
        "pn_diffusion", f"negative.latent={latent}", STYLES, "conditioning.style_dropout=1.0", "optim.lr=1e-2"
    )
    style = solver.model.provider.style
    assert isinstance(style, BaseConditioner) and style.names == ("house", "disco", "hiphop")
    seen: list[torch.Tensor] = []
    solver.model.denoiser.unet.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["class_labels"].detach().clone()), with_kwargs=True
    )
    with torch.no_grad():
        style.embedding.weight[1:] = 1.0
    train_on(solver, first_batch(solver))
    assert not seen[-1].any()
    seen.clear()
    with torch.no_grad():
        solver._start_epoch()
        solver.run_stage(
            "valid", solver.valid
        )  # disco and hiphop; their dances are exchanged, not their styles
    assert all(rows.any(dim=1).all() for rows in seen)


def test_a_style_learns_from_its_clips(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", STYLES, "conditioning.style_dropout=0", "schedule.lr_scheduler=null")
    batch = first_batch(solver)
    names = solver.model.provider.style.names
    labels = {names.index(info.genre) + 1 for info in batch[1] if info.genre in names}
    train_on(solver, batch)
    changed = solver.model.provider.style.embedding.weight.detach().any(dim=1)
    assert {int(label) for label in changed.nonzero()} == labels


def test_a_run_with_styles_resumes(make_solver: MakeSolver) -> None:
    settings = (
        "optim.epochs=2",
        "optim.updates_per_epoch=3",
        STYLES,
        "sampling.style=disco",
        "sampling.guidance_style=2",
    )
    first = make_solver("pn_diffusion", *settings)
    first.evaluate = first.generate = lambda: {}
    first.run_epoch()
    first.commit()
    first.run_epoch()  # without an interruption
    kept = load_weights(first.folder)
    assert kept.config["conditioning"]["styles"] == ["house", "disco", "hiphop"]
    again = make_solver("pn_diffusion", *settings)
    again.evaluate = lambda: {}
    generate, again.generate = again.generate, lambda: {}
    again.restore()
    assert again.epoch == 2
    again.run_epoch()
    assert again.model.provider.style.embedding.weight.any()
    for name, value in first.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    model = again.inference()
    assert model.styles == ("house", "disco", "hiphop") and model.guidance_rule().s == 2
    again.commit()
    again.run_stage("generate", generate)
    assert list((again.folder / "samples").rglob("*.wav"))


def test_an_unknown_style_is_named_before_the_training(make_solver: MakeSolver) -> None:
    with pytest.raises(UserError, match="style is polka: give one of any, house, disco, hiphop"):
        make_solver("pn_diffusion", STYLES, "sampling.style=polka")
