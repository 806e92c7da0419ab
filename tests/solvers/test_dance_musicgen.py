from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_experiment import codec_overrides, musicgen_overrides

from pn_diffusion_plugin._compat import plain
from pn_diffusion_plugin.data.condition import POSITIVE
from pn_diffusion_plugin.data.features.feature_file import load_features
from pn_diffusion_plugin.errors import CheckpointError, UserError
from pn_diffusion_plugin.models.musicgen.codec import CODEC_KEYS, build_codec
from pn_diffusion_plugin.models.musicgen.dance_musicgen import DanceMusicGen
from pn_diffusion_plugin.solvers.distributed import Share


@pytest.fixture(scope="session")
def tiny_codec(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment's folder with a codec of random weights."""
    from pn_diffusion_plugin.train import main

    cfg = plain(main.get_xp(codec_overrides(tiny_corpus)).cfg)
    torch.manual_seed(1)
    codec = build_codec({key: cfg[key] for key in CODEC_KEYS})
    for name, buffer in codec.model.named_buffers():
        if name.endswith("embed"):
            torch.nn.init.normal_(buffer)
    folder = tmp_path_factory.mktemp("codec")
    state = {"xp.cfg": cfg, "best_state": {"model": codec.model.state_dict()}}
    torch.save(state, folder / "checkpoint.th")
    return folder


@pytest.fixture
def solver_of(
    tiny_corpus: Path, tiny_codec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Builds the solver of the baseline or its codec; further arguments are overrides."""
    from contextlib import ExitStack

    from pn_diffusion_plugin.train import get_solver, main

    monkeypatch.setattr(main.dora, "dir", tmp_path / "dora")
    with ExitStack() as stack:

        def make(kind: str, *more: str) -> Any:
            if kind == "compression":
                argv = codec_overrides(tiny_corpus)
            else:
                argv = musicgen_overrides(tiny_corpus, f"codec.checkpoint={tiny_codec}")
            xp = main.get_xp([*argv, *more, f"label={tmp_path.name}"])
            stack.close()
            stack.enter_context(xp.enter())
            return get_solver(xp.cfg)

        yield make


def train_on(solver: Any, times: int) -> list[dict[str, float]]:
    """Metrics of updates on one batch."""
    solver.seed_epoch()
    batch = next(iter(solver.dataloaders["train"]))
    metrics: list[dict[str, float]] = []

    def stage() -> None:
        solver.model.train()
        for index in range(times):
            step = solver.run_step(index, batch, {})
            metrics.append({name: float(value) for name, value in step.items()})

    solver.run_stage("train", stage)
    return metrics


def test_the_codes_of_a_batch_can_be_learned_by_heart(solver_of: Any) -> None:
    solver = solver_of(
        "dance_musicgen", "optim.lr=2e-2", "schedule.lr_scheduler=null", "conditioning.dropout=0.1"
    )
    metrics = train_on(solver, 60)
    assert metrics[-1]["ce"] < 0.4 * metrics[0]["ce"]
    last = metrics[-1]
    codebooks = solver.compression_model.num_codebooks
    assert last["ce"] == pytest.approx(sum(last[f"ce_q{q}"] for q in (1, 2)) / codebooks, rel=1e-5)


def test_gradients_reach_the_dance_encoder(solver_of: Any) -> None:
    solver = solver_of("dance_musicgen", "conditioning.dropout=0.5", "dataset.batch_size=4")
    before = {name: value.clone() for name, value in solver.model.named_parameters()}
    train_on(solver, 4)
    still = [name for name, value in solver.model.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_validation_draws_nothing(solver_of: Any) -> None:
    solver = solver_of("dance_musicgen", "conditioning.dropout=0.5")
    values: list[dict[str, float]] = []

    def stage() -> None:
        for seed in (1, 2):
            torch.manual_seed(seed)
            values.append(solver.common_train_valid("valid"))

    with torch.no_grad():
        solver.run_stage("valid", stage)
    assert values[0] == values[1]


def test_who_loses_its_dance_does_not_depend_on_how_a_batch_is_divided(solver_of: Any) -> None:
    solver = solver_of("dance_musicgen", "conditioning.dropout=0.5", "dataset.batch_size=4")
    wav, infos = next(iter(solver.dataloaders["train"]))
    samples = [info.to_condition_attributes() for info in infos]
    dropout = solver.model.cfg_dropout.train()

    def dropped(part: list[Any], share: Share) -> list[bool]:
        torch.manual_seed(5)
        dropout.share = share
        return [int(x.dance[POSITIVE].motion_length) == 0 for x in dropout(part)]

    whole = dropped(samples, Share(0, 1, 4))
    assert any(whole) and not all(whole)
    assert dropped(samples[1::2], Share(1, 2, 4)) == whole[1::2]


def test_what_a_checkpoint_holds_is_plain_and_makes_the_same_music(solver_of: Any, tmp_path: Path) -> None:
    solver = solver_of("dance_musicgen")
    train_on(solver, 1)
    for name in solver.best_state.states:
        solver.best_state.update(name, solver._get_state_source(name))
    torch.save(solver.state_dict(), tmp_path / "checkpoint.th")
    torch.load(tmp_path / "checkpoint.th", weights_only=True)
    again = DanceMusicGen.get_pretrained(tmp_path)
    solver.model.eval()
    (_, infos) = next(iter(solver.dataloaders["valid"]))
    clip = load_features(infos[0].features)
    a, b = (model.generate_from_features([clip], [1])[0] for model in (solver.inference(), again))
    assert torch.equal(a, b)


def test_evaluation_stands_between_null_and_ceiling_rows(solver_of: Any) -> None:
    solver = solver_of("dance_musicgen")
    metrics: dict[str, Any] = {}
    solver.run_stage("evaluate", lambda: metrics.update(solver.evaluate()))
    report = json.loads((solver.folder / "evaluate" / "report.json").read_text())
    assert {"model", "ceiling", "shuffled", "click", "silence"} <= {row["name"] for row in report["rows"]}
    assert report["rows"][0]["label"] == "MusicGen"
    assert metrics["beat_f70"] == pytest.approx(report["rows"][0]["metrics"]["beat_f70"]["mean"])
    assert metrics["ce"] > 0


def test_the_codec_learns_and_its_checkpoint_is_plain(solver_of: Any, tmp_path: Path) -> None:
    solver = solver_of("compression", "optim.lr=1e-2", "losses.msspec=0", "losses.l1=1")
    metrics = train_on(solver, 30)
    assert metrics[-1]["l1"] < 0.8 * metrics[0]["l1"]
    torch.save(solver.state_dict(), tmp_path / "checkpoint.th")
    state = torch.load(tmp_path / "checkpoint.th", weights_only=True)
    assert state["xp.cfg"]["solver"] == "compression"


def test_the_codec_can_have_adversaries(solver_of: Any) -> None:
    solver = solver_of(
        "compression", "adversarial.adversaries=[msstftd]", "msstftd.filters=2", "msstftd.n_ffts=[256]",
        "msstftd.hop_lengths=[64]", "msstftd.win_lengths=[256]",
    )  # fmt: skip
    solver.rng = torch.Generator().manual_seed(0)
    metrics = train_on(solver, 2)
    assert {"d_msstftd", "adv_msstftd", "feat_msstftd"} <= metrics[-1].keys()


@pytest.mark.parametrize(
    ("kind", "override", "error", "message"),
    [
        (
            "dance_musicgen",
            "cache.path=/somewhere",
            UserError,
            "cache.path=/somewhere: audiocraft's cache of codes",
        ),
        ("dance_musicgen", "generate.lm.top_k=-1", UserError, "top_k is -1"),
        (
            "dance_musicgen",
            "sample_rate=16000",
            UserError,
            "22050 Hz and this experiment sample_rate=16000",
        ),
        ("dance_musicgen", "codec.checkpoint=nowhere", CheckpointError, "no checkpoint"),
        ("compression", "optim.accumulate=2", UserError, "optim.accumulate=2"),
    ],
)
def test_a_wrong_configuration_is_named(
    solver_of: Any, kind: str, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        solver_of(kind, override)
