"""PN-Diffusion over scores: `solver=pn_diffusion/score`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pn_diffusion_plugin.data.features.feature_file import load_features
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.data.score.files import read_scores
from pn_diffusion_plugin.data.score.image import encode_score
from pn_diffusion_plugin.errors import CorpusError, UserError
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

MakeSolver = Callable[..., Any]
SCORES = ("mel.n_mels=64", "unet.channels=[16,16]", "sampling.steps=2")


def test_segments_are_images_of_scores_with_their_style(make_solver: MakeSolver, tiny_corpus: Path) -> None:
    solver = make_solver("pn_diffusion/score", *SCORES)
    dataset, hop = solver.dataloaders["train"].dataset, 512 / 22050
    dataset.start_epoch(1)
    styles = set()
    for index in range(40):
        image, info = dataset[index]
        songs = read_scores(CorpusPaths(tiny_corpus).scores(info.name))
        song = songs[round(info.seek_time / 0.2) % len(songs)]
        wanted = encode_score(song.between(info.seek_time, 2.56), image.shape[-1], hop)
        assert image.shape[:2] == (1, 64) and info.genre == song.style
        np.testing.assert_allclose(image[0].numpy(), wanted, atol=1e-6)
        styles.add(info.genre)
        assert info.to_condition_attributes().text["genre"] == song.style
    assert len(styles) > 4
    image, info = solver.dataloaders["valid"].dataset[0]
    assert info.genre == read_scores(CorpusPaths(tiny_corpus).scores(info.name))[0].style
    sound, _ = solver.dataloaders["evaluate"].dataset[0]
    assert sound.shape[-1] > 1000  # references are heard, not read


def test_an_epoch_trains_and_the_model_composes_plays_and_is_exported(
    make_solver: MakeSolver, tiny_corpus: Path, tmp_path: Path
) -> None:
    more = ("optim.epochs=1", "optim.updates_per_epoch=3", "dataset.generate.num_samples=2")
    solver = make_solver("pn_diffusion/score", *SCORES, *more)
    solver.run()
    assert (solver.folder / "evaluate" / "report.json").is_file()
    state = solver.folder / "checkpoint.th"
    model = PNDiffusion.get_pretrained(state)
    assert model.writes_scores and "funk" in model.styles
    features = load_features(CorpusPaths(tiny_corpus).features("mini-test-0000"))
    model.set_generation_params(style="funk", key="D minor")
    (score,) = model.compose_from_features([features], [3])
    assert (score.style, score.tonic, score.seconds) == ("funk", 2, 6.0)
    (wave,) = model.generate_from_features([features], [3])
    assert wave.shape == (1, 6 * 22050)
    folder = model.save_pretrained(tmp_path / "export")
    again = PNDiffusion.get_pretrained(folder)
    again.set_generation_params(style="funk", key="D minor")
    assert again.compose_from_features([features], [3]) == [score]
    torch.testing.assert_close(again.generate_from_features([features], [3])[0], wave)


def test_a_batch_of_scores_is_learned(make_solver: MakeSolver) -> None:
    solver = make_solver("pn_diffusion/score", *SCORES, "optim.lr=3e-3", "schedule.lr_scheduler=null")
    solver.seed_epoch()
    batch, losses = next(iter(solver.dataloaders["train"])), []

    def stage() -> None:
        solver.model.train()
        for _ in range(60):
            torch.manual_seed(0)
            losses.append(float(solver.run_step(0, batch, {})["loss_positive"]))

    solver.run_stage("train", stage)
    assert losses[-1] < 0.7 * losses[0]


def test_corpora_without_scores_and_other_rows_are_refused(make_solver: MakeSolver, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"n_mels=16.*64"):
        make_solver("pn_diffusion/score", "mel.n_mels=16")
    with pytest.raises(UserError, match="mel or score"):
        make_solver("pn_diffusion", "music.representation=midi")
    solver = make_solver("pn_diffusion/score", *SCORES)
    dataset = solver.dataloaders["train"].dataset
    dataset.scores.file = lambda meta: tmp_path / "none.json"
    with pytest.raises(CorpusError, match=r"music\.representation=mel"):
        dataset[0]
