"""What all solvers have in common: a batch in parts, loss scaling, compiling, exact resuming."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from audiocraft.optim.ema import ModuleDictEMA
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader

from pn_diffusion_plugin.errors import CheckpointError, UserError
from pn_diffusion_plugin.solvers.base import ForeachEMA

MakeSolver = Callable[..., Any]


def train(solver: Any, epochs: int = 1) -> list[dict[str, float]]:
    """Train and valid stages of some epochs; their metrics."""
    measured = []
    for _ in range(epochs):
        solver.seed_epoch()
        measured.append(solver.run_stage("train", solver.train))
        with torch.no_grad():
            measured.append(solver.run_stage("valid", solver.valid))
        solver.history.append({})  # the next epoch's number
        solver._start_epoch()
    return measured


def weights(solver: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in solver.model.state_dict().items()}


@pytest.mark.parametrize("kind", ["pn_diffusion", "mel_vae"])
def test_a_batch_in_parts_gives_the_same_update(make_solver: MakeSolver, kind: str) -> None:
    options = ["dataset.batch_size=8", "schedule.lr_scheduler=null"]
    measured, learned = [], []
    for parts in (1, 4):
        solver = make_solver(kind, *options, f"optim.accumulate={parts}")
        start = weights(solver)
        rows: list[int] = []
        module = solver.model.denoiser.unet if kind == "pn_diffusion" else solver.model.autoencoder.encoder
        module.register_forward_hook(lambda _, args, out, rows=rows: rows.append(len(args[0])))
        measured.append(train(solver, epochs=2))
        learned.append(weights(solver))
        streams = 2 if kind == "pn_diffusion" else 1
        assert rows[: 2 * parts] == [8 * streams // parts] * 2 * parts  # two updates
    assert any(not torch.equal(value, start[name]) for name, value in learned[0].items())
    for one, other in zip(*measured, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {"duration"}:
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-5), name
    for name, value in learned[0].items():
        # Adam divides a tiny gradient by its own size, and its rounding with it.
        assert torch.allclose(value.float(), learned[1][name].float(), rtol=1e-4, atol=1e-4), name


def test_in_parts_too_an_experiment_resumes_exactly(make_solver: MakeSolver) -> None:
    options = ["dataset.batch_size=4", "optim.accumulate=2", "conditioning.dropout=0.5"]
    solver = make_solver("pn_diffusion", *options)
    train(solver)
    stored = copy.deepcopy(solver.state_dict())
    whole = train(solver)
    again = make_solver("pn_diffusion", *options)
    torch.rand(5)  # whatever was drawn in between
    again.load_state_dict(stored)
    resumed = train(again)
    for one, other in zip(whole, resumed, strict=True):
        assert {**one, "duration": 0} == {**other, "duration": 0}
    assert all(torch.equal(value, solver.model.state_dict()[name]) for name, value in weights(again).items())


def test_loss_scaling_changes_no_update_and_leaves_out_what_overflows(make_solver: MakeSolver) -> None:
    learned = []
    for scale in (None, 1024.0):
        solver = make_solver("mel_vae", "schedule.lr_scheduler=null")
        assert not solver.loss_scaler.is_enabled() and "loss_scaler" not in solver.state_dict()
        if scale is not None:
            solver.loss_scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        train(solver)
        learned.append(weights(solver))
    for name, value in learned[0].items():
        assert torch.allclose(value, learned[1][name], rtol=1e-4, atol=1e-6), name

    before, metrics = weights(solver), {}
    weight = next(solver.model.parameters())
    solver.optimize((weight * torch.tensor(float("inf"))).sum(), metrics)
    assert all(torch.equal(value, before[name]) for name, value in weights(solver).items())
    assert solver.loss_scaler.get_scale() == 512 and "grad_norm" not in metrics


def test_a_compiled_u_net_learns_the_same_under_the_same_names(
    make_solver: MakeSolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_solver("pn_diffusion", "optim.updates_per_epoch=1")
    expected, names = train(plain), set(plain.state_dict()["model"])
    compiled = make_solver(
        "pn_diffusion", "optim.updates_per_epoch=1", "compile.use=true", "compile.backend=eager"
    )
    assert compiled.xp.sig == plain.xp.sig  # how fast it runs is no part of what it is
    assert compiled.model.denoiser.unet._compiled_call_impl is not None
    measured = train(compiled)
    for one, other in zip(expected, measured, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert set(compiled.state_dict()["model"]) == names

    # Music is made in other lengths and batches: nothing is compiled for them.
    monkeypatch.setattr(torch._dynamo.config, "error_on_recompile", True)
    denoiser = compiled.model.denoiser
    z = torch.zeros(3, denoiser.latent_channels, denoiser.latent_rows, 2 * compiled.sequence.latent_columns)
    dance = torch.zeros(3, 130, len(denoiser.null_token)), torch.ones(3, 130, dtype=torch.bool)
    with torch.no_grad():
        compiled.run_stage("generate", lambda: {"rows": len(denoiser(z, torch.zeros(3), dance))})
        with pytest.raises(torch._dynamo.exc.RecompileError):
            denoiser(z, torch.zeros(3), dance)


def test_what_cannot_be_run_is_told(make_solver: MakeSolver) -> None:
    with pytest.raises(UserError, match="fsdp.use=true: audiocraft's FSDP wrapper"):
        make_solver("mel_vae", "fsdp.use=true")
    with pytest.raises(UserError, match=r"a batch of 6 cannot be divided into 4 equal parts \(1 workers"):
        make_solver("mel_vae", "dataset.batch_size=6", "optim.accumulate=4")


class Reads(TorchDispatchMode):
    """Counts how often a number is taken from a tensor: on a GPU everything would wait for it."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("alpha", [1.0, 0.6])
def test_a_step_waits_for_nothing(
    make_solver: MakeSolver, monkeypatch: pytest.MonkeyPatch, alpha: float
) -> None:
    reads = {}
    for steps in (4, 12):
        options = [f"optim.updates_per_epoch={steps}", "logging.log_updates=0", "benchmark_no_load=true"]
        solver = make_solver("pn_diffusion", f"negative.alpha={alpha}", *options)
        solver.seed_epoch()
        batch = next(iter(solver.dataloaders["train"]))  # reading clips is the CPU's
        monkeypatch.setattr(DataLoader, "__iter__", lambda _, batch=batch: iter([batch]))
        with Reads() as seen:
            solver.run_stage("train", solver.train)
        monkeypatch.undo()
        reads[steps] = seen.count
    assert reads[4] == reads[12] > 0  # what an epoch measured is read at its end


def test_channels_last_and_the_fused_optimiser_change_nothing_but_the_time(make_solver: MakeSolver) -> None:
    learned = []
    for fast in ("false", "true"):
        solver = make_solver(
            "pn_diffusion", f"channels_last={fast}", f"optim.adam.fused={fast}", "schedule.lr_scheduler=null"
        )
        train(solver)
        learned.append(solver.model.state_dict())
        assert solver.optimizer.defaults["fused"] is (fast == "true")
    convolution = solver.model.denoiser.unet.mid_block.resnets[0].conv1.weight
    assert convolution.is_contiguous(memory_format=torch.channels_last)
    for name, value in learned[0].items():
        torch.testing.assert_close(learned[1][name], value, atol=2e-4, rtol=1e-3)


def test_audiocrafts_own_optimiser_needs_no_fused_kernel(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion", "optim.optimizer=dadam")
    assert type(solver.optimizer).__name__ == "DAdaptAdam"


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)  # a buffer of floats and one of integers
        self.register_buffer("derived", torch.ones(2), persistent=False)


@pytest.mark.parametrize("unbias", [True, False])
def test_it_is_audiocrafts_average(unbias: bool) -> None:
    model = torch.nn.ModuleDict({"model": Model()})
    ours, theirs = (
        kind(model, decay=0.9, unbias=unbias, device="cpu") for kind in (ForeachEMA, ModuleDictEMA)
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(7):
        for value in (*model.parameters(), model["model"].norm.running_mean):
            value.data.add_(torch.randn_like(value))
        ours.step()
        theirs.step()
    expected, found = theirs.state_dict(), ours.state_dict()
    assert found["count"] == expected["count"]
    assert found["state"]["model"].keys() == expected["state"]["model"].keys()
    for key, value in expected["state"]["model"].items():
        torch.testing.assert_close(found["state"]["model"][key], value)


def test_it_goes_on_from_a_state() -> None:
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"model": Model()})
    first = ForeachEMA(model, decay=0.9, device="cpu")
    first.step()
    second = ForeachEMA(model, decay=0.9, device="cpu")
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for value in model.parameters():
        value.data.add_(1)
    first.step()
    second.step()
    for key, value in first.state["model"].items():
        assert torch.equal(second.state["model"][key], value)


def files(solver: Any) -> tuple[Path, Path, Path]:
    """The checkpoint, the one being written, and audiocraft's mark that this is done."""
    file = solver.checkpoint_path()
    return file, Path(f"{file}.tmp"), Path(f"{file}.tmp.done")


def test_a_torn_successor_does_not_take_the_place_of_a_good_checkpoint(make_solver: MakeSolver) -> None:
    """The disk was full at the last bytes: audiocraft has marked the file as done."""
    solver = make_solver("mel_vae")
    solver.save_checkpoints()
    file, temporary, mark = files(solver)
    good = file.read_bytes()
    temporary.write_bytes(good[:-100])
    mark.touch()
    again = make_solver("mel_vae")
    assert again.restore()
    assert file.read_bytes() == good
    assert not temporary.exists() and not mark.exists()


def test_a_whole_successor_does(make_solver: MakeSolver) -> None:
    """It was killed between the last byte and the renaming."""
    solver = make_solver("mel_vae")
    solver.save_checkpoints()
    file, temporary, mark = files(solver)
    state = torch.load(file, weights_only=True)
    state["history"] = [{"train": {"loss": 1.0}}]
    torch.save(state, temporary)
    mark.touch()
    again = make_solver("mel_vae")
    assert again.restore() and again.history == state["history"]
    assert not temporary.exists() and not mark.exists()


def test_a_changed_checkpoint_is_refused_and_kept(make_solver: MakeSolver) -> None:
    solver = make_solver("mel_vae")
    solver.save_checkpoints()
    file, *_ = files(solver)
    content = bytearray(file.read_bytes())
    value = max(solver.model.state_dict().values(), key=torch.numel)
    content[content.index(value.numpy().tobytes())] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged .*: delete it to start the experiment again"):
        make_solver("mel_vae").restore()
    assert file.read_bytes() == bytes(content)
