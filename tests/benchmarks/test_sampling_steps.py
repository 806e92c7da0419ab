"""Cells of the steps benchmark: made, kept, compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_experiment import build_corpus
from tiny_model import tiny_model

from benchmarks.sampling_steps import (
    FRECHET,
    RUN_LONG,
    SCORES,
    Cell,
    draw,
    holds,
    make_cell,
    parameters,
    read_cell,
    render,
    write_cell,
)
from pn_diffusion_plugin.metrics.corpus import read_split
from pn_diffusion_plugin.metrics.embedding import Embedder


def cell(name: str, f: float, far: float = 0.0, evaluations: int = 8) -> Cell:
    """Twelve clips of the score `f`, whose music lies `far` from the reference's."""
    scores = {score: np.full(12, f) + np.linspace(-0.1, 0.1, 12) for score in SCORES}
    points = np.random.default_rng(0).standard_normal((12, 6, 200))
    points[..., 0] += far
    return Cell(name, scores, points, evaluations, 1.5)


def test_a_name_says_how_to_sample() -> None:
    assert parameters("unipc,6") == {"sampler": "unipc", "steps": 6}
    wanted = {"sampler": "ddim", "steps": 4, "guidance": 1.5, "precision": "bfloat16"}
    assert parameters("ddim,4,guidance=1.5,precision=bfloat16") == wanted


def test_a_cell_is_made_and_kept(tmp_path: Path) -> None:
    model = tiny_model({"sample_rate": 22050, "mel.n_fft": 1024, "mel.hop_length": 512})
    clips = read_split(build_corpus(tmp_path / "corpus") / "egs/valid", 1)
    before = model.params
    made = make_cell(model, "dpm++,3,guidance=2", clips, Embedder())
    assert model.params == before
    assert made.evaluations == 6  # three steps, two branches
    assert made.embedding.shape[0] == 1 and made.embedding.shape[2] == 200
    assert all(values.shape == (1,) for values in made.scores.values())
    write_cell(made, tmp_path / "cell.npz")
    again = read_cell(tmp_path / "cell.npz")
    assert (again.name, again.evaluations, again.seconds) == (made.name, 6, made.seconds)
    assert np.array_equal(again.embedding, made.embedding)
    assert np.array_equal(again.scores["beat_f70"], made.scores["beat_f70"])


@pytest.mark.parametrize(
    "f, far, held", [(0.8, 0.0, True), (0.9, 0.0, True), (0.7, 0.0, False), (0.8, 20.0, False)]
)
def test_what_is_not_worse_than_the_references_interval_holds(f: float, far: float, held: bool) -> None:
    long = cell(RUN_LONG, 0.8)
    reference = cell("music", 0.8, 1.0).embedding
    values, wanted = cell("unipc,4", f, far).values(reference), long.values(reference)
    assert holds(values, wanted) == held
    assert values[FRECHET]["mean"] > wanted[FRECHET]["mean"] or far == 0


def test_the_table_and_the_picture_show_every_cell(tmp_path: Path) -> None:
    cells = [cell(RUN_LONG, 0.8, 0.0, 2000), cell("ddim,4", 0.8), cell("unipc,2", 0.6, 0.0, 4)]
    reference = cell("music", 0.8, 1.0).embedding
    lines = render(cells, reference, "Three cells.", "python …", "curve.png").splitlines()
    rows = [line for line in lines if line.startswith(("| ddpm", "| ddim", "| unipc"))]
    assert [row.split(" | ")[0] for row in rows] == ["| ddpm,1000", "| ddim,4", "| unipc,2"]
    assert [row.split(" | ")[-1] for row in rows] == ["yes |", "yes |", "no |"]
    assert "0.80 [0.77, 0.83]" in rows[1]
    draw(cells, reference, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
