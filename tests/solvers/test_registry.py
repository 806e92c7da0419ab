"""Which class `solver` names: this package's, or audiocraft's own."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from audiocraft.solvers.musicgen import MusicGenSolver
from omegaconf import OmegaConf

from pn_diffusion_plugin import solvers
from pn_diffusion_plugin.solvers.base import PluginSolver
from pn_diffusion_plugin.train import main


@pytest.mark.parametrize("name", solvers.SOLVERS)
def test_every_name_is_a_class(name: str) -> None:
    module, solver = solvers.SOLVERS[name]
    assert issubclass(
        getattr(importlib.import_module(f"pn_diffusion_plugin.solvers.{module}"), solver), PluginSolver
    )


def test_every_recipe_names_a_solver(repository: Path) -> None:
    folder = repository / "config" / "solver"
    recipes = [str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")]
    found = {
        recipe: main.get_xp([f"solver={recipe}"]).cfg.solver for recipe in recipes if recipe != "default"
    }
    assert set(found.values()) == set(solvers.SOLVERS)
    assert found["pn_diffusion/distill"] == "distill" and found["pn_diffusion/ours"] == "pn_diffusion"


def test_a_recipe_of_an_earlier_version_is_still_distilled() -> None:
    assert solvers.solver_name(OmegaConf.create({"solver": "pn_diffusion", "distill": {}})) == "distill"
    assert solvers.solver_name(OmegaConf.create({"solver": "pn_diffusion"})) == "pn_diffusion"


def test_other_names_are_audiocrafts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MusicGenSolver, "__init__", lambda self, cfg: None)  # needs a language model
    assert type(solvers.get_solver(OmegaConf.create({"solver": "musicgen"}))) is MusicGenSolver
    with pytest.raises(KeyError, match="nothing"):
        solvers.get_solver(OmegaConf.create({"solver": "nothing"}))
