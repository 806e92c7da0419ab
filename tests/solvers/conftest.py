"""Solvers of tiny experiments, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_experiment import overrides, vae_overrides, vocoder_overrides

MakeSolver = Callable[..., Any]


@pytest.fixture(scope="session")
def tiny_vae(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment's folder with an autoencoder of random weights and a measured scale."""
    from pn_diffusion_plugin.models import builders
    from pn_diffusion_plugin.train import main

    cfg = main.get_xp(vae_overrides(tiny_corpus)).cfg
    torch.manual_seed(1)
    vae = builders.build_vae(cfg)
    vae.latent_std.fill_(0.3)
    folder = tmp_path_factory.mktemp("vae")
    config = {key: plain(cfg[key]) for key in builders.VAE_KEYS}
    state = {"xp.cfg": {**config, "solver": "mel_vae"}, "best_state": {"model": vae.state_dict()}}
    torch.save(state, folder / "checkpoint.th")
    return folder


def plain(value: Any) -> Any:
    from pn_diffusion_plugin._compat import plain

    return plain(value)


@pytest.fixture
def make_solver(
    tiny_corpus: Path, tiny_vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeSolver]:
    """Builds the solver of an experiment; further arguments are overrides."""
    from pn_diffusion_plugin.train import get_solver, main

    monkeypatch.setattr(main.dora, "dir", tmp_path / "dora")
    with ExitStack() as stack:

        def make(kind: str, *more: str, corpus: Path = tiny_corpus) -> Any:
            common = [*more, f"label={tmp_path.name}"]
            if kind == "mel_vae":
                argv = [*vae_overrides(corpus), *common]
            elif kind == "vocoder":
                argv = [*vocoder_overrides(corpus), f"vae.checkpoint={tiny_vae}", *common]
            else:
                argv = overrides(corpus, f"vae.checkpoint={tiny_vae}", *common)
                argv[0] = f"solver={kind}"
            xp = main.get_xp(argv)
            stack.close()
            stack.enter_context(xp.enter())
            return get_solver(xp.cfg)

        yield make
