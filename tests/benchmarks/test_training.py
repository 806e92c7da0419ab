"""An update by the reference procedure and by the solver: the same loss, less work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_experiment import build_corpus, overrides

from benchmarks.bench_training import ReferenceUpdate, SolverUpdate, build_vae_checkpoint
from benchmarks.configs import composed
from benchmarks.counts import Counts
from benchmarks.procedure_sampling import STREAMS
from pn_diffusion_plugin.models.io.summary import diffusion_parts

CLIPS = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def argv(folder: Path) -> list[str]:
    """A tiny experiment with a negative stream; its autoencoder has random weights."""
    tiny = overrides(
        build_corpus(folder / "corpus"),
        "dataset.train.start_every=3",
        f"latents.folder={folder / 'latents'}",
        "optim.updates_per_epoch=1",
    )
    return [*tiny, f"vae.checkpoint={build_vae_checkpoint(folder / 'vae', composed(tiny))}"]


@pytest.fixture(scope="module")
def reference(argv: list[str], folder: Path) -> ReferenceUpdate:
    return ReferenceUpdate(argv, folder)


@pytest.fixture(scope="module")
def ours(argv: list[str], folder: Path) -> SolverUpdate:
    return SolverUpdate([*argv, "latents.cache=true"], folder)


@pytest.fixture(scope="module")
def counts(reference: ReferenceUpdate, ours: SolverUpdate) -> tuple[Counts, Counts]:
    return reference.count(), ours.count()


def test_the_same_loss_for_the_same_draws(argv: list[str], folder: Path) -> None:
    """Two solvers of one seed have the same weights; one steps by the procedure, the other by itself."""
    update = ReferenceUpdate(argv, folder)
    batch = next(iter(update.solver.dataloaders["train"]))
    wav, infos = batch
    solver = SolverUpdate([*argv, "latents.cache=true"], folder).solver
    draws = solver._step_noise(1, 0, solver.share(CLIPS))
    solver._step_noise = lambda *_: draws
    found: dict[str, Any] = {}
    solver.run_stage("train", lambda: found.update(solver.run_step(0, batch, {})))
    tokenized = update.solver.model.provider.tokenize([i.to_condition_attributes() for i in infos], STREAMS)
    loss = update.reference.loss(wav, tokenized, draws, update.solver._mask(infos))
    assert loss.item() == pytest.approx(float(found["loss"]), rel=1e-5)


def test_calls(counts: tuple[Counts, Counts]) -> None:
    reference, ours = counts
    calls = [{name: use.calls for name, use in one.parts.items()} for one in counts]
    assert calls[0] == {"U-Net": 2, "ST-GCN": 2, "VAE encoder": 1, "VAE decoder": 0}
    assert calls[1] == {"U-Net": 1, "ST-GCN": 1, "VAE encoder": 0, "VAE decoder": 0}
    assert reference.parts["U-Net"].rows == ours.parts["U-Net"].rows == 2 * CLIPS


def test_what_is_saved_is_the_encoding(reference: ReferenceUpdate, counts: tuple[Counts, Counts]) -> None:
    """The mel's filters, the encoder, and the 1 x 1 convolution behind it: nothing else differs."""
    by_reference, by_ours = counts
    assert by_reference.parts["U-Net"].flops == by_ours.parts["U-Net"].flops > 0
    mel, sequence, channels = reference.reference.mel, reference.reference.sequence, 2
    filters = 2 * CLIPS * mel.n_mels * (mel.n_fft // 2 + 1) * sequence.mel_frames
    rows = mel.n_mels // sequence.latent_factor
    moments = 2 * CLIPS * (2 * channels) ** 2 * rows * sequence.latent_columns
    saved = by_reference.flops - by_ours.flops
    assert saved == by_reference.parts["VAE encoder"].flops + filters + moments


def test_an_update_changes_weights_and_average(reference: ReferenceUpdate) -> None:
    weight = reference.solver.model.denoiser.unet.conv_in.weight
    average = reference.reference.average["denoiser.unet.conv_in.weight"]
    before = weight.detach().clone(), average.clone()
    stages = reference.run()
    assert list(stages) == ["update"] and stages["update"] > 0
    assert not torch.equal(weight, before[0]) and not torch.equal(average, before[1])


def test_the_published_size_costs_two_fifths() -> None:
    """FLOPs a sample with cached latents, by what the parts cost (forward, and twice that backward)."""
    parts = {part.name: part.flops for part in diffusion_parts(composed(["solver=pn_diffusion/paper"]))}
    passes = 3 * 2 * parts["U-Net and dance encoder"]
    assert parts["a training sample, 2 streams"] == passes + parts["autoencoder, encoding"]
    assert passes / parts["a training sample, 2 streams"] < 0.42
