"""Training from cached latents is training from sound, only faster."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from latent_worker import ORDERS, fill
from torch import multiprocessing

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.solvers.latent_cache import weights_hash

MakeSolver = Callable[..., Any]


def batch(solver: Any, stage: str = "train") -> Any:
    solver.seed_epoch()
    return next(iter(solver.dataloaders[stage]))


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.safetensors"))}


def test_latents_from_the_cache_are_those_of_the_sound(make_solver: MakeSolver, tmp_path: Path) -> None:
    noise = None
    found = []
    for cache in ("false", "true"):
        solver = make_solver("pn_diffusion", f"latents.cache={cache}", f"latents.folder={tmp_path}")
        for stage in ("train", "valid"):
            segments, infos = batch(solver, stage)
            assert segments.dim() == (4 if cache == "true" else 3)
            shape = (len(infos), solver.vae.latent_channels)
            if noise is None:
                noise = torch.randn(*shape, solver.model.denoiser.latent_rows, solver.sequence.latent_columns)
            latents = solver.encode(segments, noise[: len(infos)])
            found.append((latents, [(info.name, info.seek_time, info.n_frames) for info in infos]))
    (train, train_infos), (valid, valid_infos), (train_c, train_infos_c), (valid_c, valid_infos_c) = found
    assert train_infos == train_infos_c and valid_infos == valid_infos_c
    torch.testing.assert_close(train_c, train, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(valid_c, valid, atol=1e-4, rtol=1e-4)


def test_posteriors_are_kept_and_not_samples_of_them(make_solver: MakeSolver, tmp_path: Path) -> None:
    solver = make_solver("pn_diffusion", "latents.cache=true", f"latents.folder={tmp_path}")
    segments, _ = batch(solver)
    first, second = (solver.encode(segments, torch.randn(2, *solver.encode(segments)[0].shape)) for _ in "ab")
    assert not torch.equal(first, second)


def test_the_autoencoder_is_asked_once_and_again_for_what_has_changed(
    make_solver: MakeSolver, tmp_path: Path, tiny_corpus: Path
) -> None:
    import shutil

    corpus = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, corpus)
    for manifest in corpus.rglob("data.jsonl"):
        manifest.write_text(manifest.read_text().replace(str(tiny_corpus), str(corpus)))
    folder = tmp_path / "latents"
    options = ("latents.cache=true", f"latents.folder={folder}")
    make_solver("pn_diffusion", *options, corpus=corpus)
    before = files(folder)
    assert len(before) == 8  # 6 training and 2 validation clips
    make_solver("pn_diffusion", *options, corpus=corpus)
    assert files(folder) == before

    wav = next(path for path in sorted((corpus / "clips").glob("*.wav")) if "train" in path.name)
    sound, rate = soundfile.read(wav)
    soundfile.write(wav, 0.5 * sound, rate)
    make_solver("pn_diffusion", *options, corpus=corpus)
    after = files(folder)
    assert {name: when for name, when in after.items() if name in before} == before
    (new,) = set(after) - set(before)
    assert new.startswith(wav.stem)

    torn = next(folder.rglob(new))
    os.truncate(torn, 1000)
    solver = make_solver("pn_diffusion", *options, corpus=corpus)
    assert torn.stat().st_size > 1000
    assert torch.isfinite(batch(solver)[0]).all()


def test_other_weights_have_another_name() -> None:
    torch.manual_seed(0)
    one, two = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert weights_hash(one) != weights_hash(two)
    two.load_state_dict(one.state_dict())
    assert weights_hash(one) == weights_hash(two)


def test_a_run_that_draws_less_than_there_is_caches_nothing(make_solver: MakeSolver, tmp_path: Path) -> None:
    options = (f"latents.folder={tmp_path}", "optim.updates_per_epoch=1", "optim.epochs=1")
    solver = make_solver("pn_diffusion", "latents.cache=auto", *options)
    assert batch(solver)[0].dim() == 3 and not files(tmp_path)


def test_segments_that_begin_anywhere_cannot_be_cached(make_solver: MakeSolver, tmp_path: Path) -> None:
    anywhere = ("dataset.train.start_every=null", f"latents.folder={tmp_path}")
    with pytest.raises(UserError, match="start_every"):
        make_solver("pn_diffusion", "latents.cache=true", *anywhere)
    assert batch(make_solver("pn_diffusion", "latents.cache=auto", *anywhere))[0].dim() == 3


def test_an_unknown_mode_is_named(make_solver: MakeSolver) -> None:
    with pytest.raises(UserError, match="latents.cache=sometimes"):
        make_solver("pn_diffusion", "latents.cache=sometimes")


def test_two_workers_fill_an_empty_cache_whoever_is_first(tiny_corpus: Path, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    multiprocessing.spawn(fill, (port, str(tiny_corpus), str(tmp_path)), nprocs=2)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for number in range(len(ORDERS)):
        assert [rank[number]["encoded"] for rank in ranks] == [3, 3], ORDERS[number]
        assert [rank[number]["readable"] for rank in ranks] == [6 * 4] * 2, ORDERS[number]
