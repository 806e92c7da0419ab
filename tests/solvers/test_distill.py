"""A tiny student of a tiny teacher, through the real solver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pn_diffusion_plugin.data.condition import POSITIVE
from pn_diffusion_plugin.errors import CheckpointError, UserError
from pn_diffusion_plugin.models.io.checkpoint import load_weights
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

MakeSolver = Callable[..., Any]


@pytest.fixture
def teacher(make_solver: MakeSolver, tmp_path: Path) -> Path:
    """A model of random weights, exported, that is used with guidance."""
    solver = make_solver("pn_diffusion", "sampling.guidance=2.0", "negative.alpha=1.0")
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in solver.model.denoiser.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return solver.inference().save_pretrained(tmp_path / "teacher")


@pytest.fixture
def make_student(make_solver: MakeSolver, teacher: Path) -> MakeSolver:
    """Builds the solver of a student of 2 steps by path of 4."""

    def make(*more: str) -> Any:
        return make_solver("pn_diffusion/distill", f"distill.teacher={teacher}", *more)

    return make


def small(*more: str) -> list[str]:
    return [
        "distill.teacher_steps=8",
        "distill.rounds=[4,2]",
        "sampling.steps=2",
        "negative.alpha=1.0",
        "optim.epochs=2",
        *more,
    ]


def stage(solver: Any, batch: Any, times: int) -> list[float]:
    losses: list[float] = []

    def run() -> None:
        solver.model.train()
        losses.extend(float(solver.run_step(0, batch, {})["loss"]) for _ in range(times))

    solver.run_stage("train", run)
    return losses


def first_batch(solver: Any) -> Any:
    solver.seed_epoch()
    return next(iter(solver.dataloaders["train"]))


def test_a_student_begins_as_its_teacher_and_learns(make_student: MakeSolver, teacher: Path) -> None:
    solver = make_student(*small("optim.lr=3e-3", "schedule.lr_scheduler=null"))
    begin = PNDiffusion.get_pretrained(teacher).dual.state_dict()
    assert all(torch.equal(value, begin[name]) for name, value in solver.model.state_dict().items())
    assert solver.guidance.g == 2.0 and len(solver.guidance.branches) == 2
    losses = stage(solver, first_batch(solver), 40)
    assert losses[-1] < 0.7 * losses[0]
    after = solver.model.state_dict()
    assert all(torch.equal(after[name], begin[name]) for name in begin if name.startswith("provider."))
    assert not torch.equal(after["denoiser.fold.weight"], begin["denoiser.fold.weight"])


@pytest.mark.parametrize("interval", [(1.0, 0.0), (0.8, 0.3)])
def test_the_target_is_the_guided_way_of_the_teacher(
    make_student: MakeSolver, teacher: Path, interval: tuple[float, float]
) -> None:
    """A student asked once goes, from the same noise, where the teacher's eight guided steps go."""
    solver = make_student(*small("distill.rounds=[1]", "sampling.steps=1", "optim.epochs=1"))
    model = PNDiffusion.get_pretrained(teacher)
    model.set_generation_params(
        sampler="ddim", steps=8, guidance_from=interval[0], guidance_until=interval[1]
    )
    solver.guidance = model.guidance_rule()
    dance = solver.dataloaders["valid"].dataset[0][1].dance
    made: list[torch.Tensor] = []
    model._to_wave = lambda z, n, seed=0: made.append(z) or torch.zeros(1, 1, n)  # type: ignore[func-returns-value]
    model.generate_from_conditions([dance], seeds=[5])

    attributes = [solver.dataloaders["valid"].dataset[0][1].to_condition_attributes()]
    provider = solver.model.provider
    with torch.no_grad():
        conditions = provider(provider.tokenize(attributes, (POSITIVE,)))
        z = torch.randn(made[0].shape, generator=torch.Generator().manual_seed(5))
        path = solver.tasks[0].teacher_timesteps(torch.tensor([999]))
        denoiser = solver._teacher_of(conditions, solver.guidance, z.shape[-1])
        target = solver.tasks[0].target(denoiser, z, path)
        assert torch.allclose(solver.schedule.to_z0(target, z, path[:, 0]), made[0], atol=1e-3)


def test_a_round_teaches_the_next_one(make_student: MakeSolver) -> None:
    solver = make_student(*small("optim.updates_per_epoch=2", "schedule.lr_scheduler=null"))
    assert [solver.round_of(epoch) for epoch in (1, 2)] == [0, 1]
    first = {name: value.clone() for name, value in solver.teacher.state_dict().items()}
    rows: list[int] = []
    solver.teacher.unet.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    solver.evaluate = solver.generate = lambda: {}  # the music is another test's matter
    solver.run_epoch()
    solver.commit(save_checkpoints=False)
    assert set(rows) == {2 * 2}  # two clips a batch, under their dance and under none
    learnt = {name: value.clone() for name, value in solver.ema.state["model"].items()}
    rows.clear()
    solver.run_epoch()
    assert set(rows) == {2}  # the student of the first round needs no guidance
    taught = solver.teacher.state_dict()
    assert all(torch.equal(taught[name], learnt[f"denoiser.{name}"]) for name in taught)
    assert any(not torch.equal(taught[name], first[name]) for name in taught)


def test_a_checkpoint_is_a_model_that_knows_its_steps(
    make_student: MakeSolver, teacher: Path, tmp_path: Path
) -> None:
    solver = make_student(*small())
    solver.evaluate = solver.generate = lambda: {}
    with pytest.warns() as warned:
        solver.run_epoch()
        solver.commit()
        PNDiffusion.get_pretrained(solver.folder).save_pretrained(tmp_path / "student")
        config = yaml.safe_load((tmp_path / "student" / "config.yaml").read_text())
        student = PNDiffusion.get_pretrained(tmp_path / "student")
        assert not [w for w in warned if "distilled" in str(w.message)]
        student.set_generation_params(precision="bfloat16")
        assert not [w for w in warned if "distilled" in str(w.message)]
        student.set_generation_params(steps=5)
    assert [w for w in warned if "distilled for ddim, 2 steps and guidance 1" in str(w.message)]
    assert config["distill"]["rounds"] == [4, 2] and student.params.guidance == 1
    assert torch.equal(load_weights(solver.folder).vae["latent_std"], load_weights(teacher).vae["latent_std"])
    assert torch.load(solver.folder / "checkpoint.th", weights_only=True)["vae_source"] == str(teacher)


@pytest.mark.parametrize(
    "override, error, message",
    [
        ("unet.layers_per_block=2", CheckpointError, "unet.layers_per_block=1 and this experiment has 2"),
        ("distill.teacher_steps=6", UserError, r"\[6, 4, 2\]: student steps 4, teacher steps 6"),
        ("sampling.steps=4", UserError, "sampling.steps=4: a distilled student needs steps=2"),
        ("sampling.guidance=2.0", UserError, "sampling.guidance=2.0: a distilled student needs guidance=1"),
        ("optim.epochs=1", UserError, "optim.epochs=1 for 2 rounds"),
        ("distill.teacher=nobody", CheckpointError, "no checkpoint 'nobody'"),
    ],
)
def test_what_cannot_be_distilled_is_said(
    make_student: MakeSolver, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_student(*small(override))


def test_a_student_learns_the_styles_of_its_teacher(make_solver: MakeSolver, tmp_path: Path) -> None:
    """Of clips with their styles, and with the guidance of the style that the teacher is used with."""
    styles = 'conditioning.styles=["house","disco","hiphop","pop","robot","latin"]'
    guidance = ["sampling.guidance=1.0", "sampling.guidance_style=2.0"]
    solver = make_solver("pn_diffusion", styles, *guidance, "negative.alpha=1.0")
    torch.nn.init.normal_(solver.model.provider.style.embedding.weight)
    teacher = solver.inference().save_pretrained(tmp_path / "teacher")
    student = make_solver(
        "pn_diffusion/distill",
        f"distill.teacher={teacher}",
        *small(styles, "conditioning.style_dropout=0.0"),
    )
    assert student.guidance.branches == ("positive", "unstyled")
    seen: dict[str, torch.Tensor] = {}
    for name, unet in (("teacher", student.teacher.unet), ("student", student.model.denoiser.unet)):
        unet.register_forward_pre_hook(
            lambda _, args, kwargs, name=name: seen.update({name: kwargs["class_labels"].detach()}),
            with_kwargs=True,
        )
    losses = stage(student, first_batch(student), 2)
    assert len(losses) == 2
    assert torch.equal(seen["teacher"][:2], seen["student"]) and seen["student"].any(dim=1).all()
    assert not seen["teacher"][2:].any()
