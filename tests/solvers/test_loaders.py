"""The cache of latents gives what the audio gives; statistics of the encoder's inputs on the training clips."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from latent_worker import ORDERS, fill
from torch import multiprocessing

from pn_diffusion_plugin.data.dataset import DanceDataset
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec, load_features, save_features
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.modules.dance_encoder import DanceEncoder
from pn_diffusion_plugin.solvers.loaders import fit_statistics, training_features, weights_hash

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


def measured(root: Path) -> DanceEncoder:
    encoder = DanceEncoder(
        visual_dim=1024, visual_out=None, motion_dim=4, motion_inputs=("position", "velocity")
    )
    fit_statistics(encoder, DanceDataset.from_meta(root / "egs" / "train", shuffle=False), FeatureSpec())
    return encoder


def test_places_between_detections_count_for_nothing(tiny_corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, root)
    for places in (0.5, 100.0):
        for file in (root / "features").glob("*.safetensors"):
            features = load_features(file)
            keypoints, detected = features.keypoints.copy(), features.detected.copy()
            detected[20:40] = False
            keypoints[20:40, :, :2] = places
            header = replace(features.header, detected_share=float(detected.mean()))
            streams = {**features.streams, "keypoints": keypoints, "detected": detected}
            save_features(file, Features(header, **streams))
        encoder = measured(root)
        if places == 0.5:
            expected = encoder.motion_norm.mean.clone(), encoder.motion_norm.std.clone()
    torch.testing.assert_close((encoder.motion_norm.mean, encoder.motion_norm.std), expected)
    assert encoder.motion_norm.std.max() < 100


def test_they_are_those_of_the_training_clips(tiny_corpus: Path) -> None:
    dataset = DanceDataset.from_meta(tiny_corpus / "egs" / "train", shuffle=False)
    clips = list(training_features(dataset, FeatureSpec()))
    assert len(clips) == 6
    encoder = measured(tiny_corpus)
    visual = np.concatenate([clip.visual for clip in clips])
    assert encoder.visual_norm.mean.numpy() == pytest.approx(visual.mean(axis=0), abs=1e-5)
