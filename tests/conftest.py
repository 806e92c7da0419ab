"""What every test stands on: few threads, fixed seeds, and nothing written outside a temporary folder."""

from __future__ import annotations

import logging
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Before anything imports torch, audiocraft or the package: they read these once.
# Child processes inherit them.
_SCRATCH = tempfile.TemporaryDirectory(prefix="pn-diffusion-tests-", ignore_cleanup_errors=True)
os.environ.update(
    AUDIOCRAFT_DORA_DIR=os.path.join(_SCRATCH.name, "dora"),
    PN_DIFFUSION_OUTPUTS=os.path.join(_SCRATCH.name, "outputs"),
    HYPOTHESIS_STORAGE_DIRECTORY=os.path.join(_SCRATCH.name, "hypothesis"),
    HF_HUB_OFFLINE="1",
    MPLBACKEND="Agg",
)
# Small tensors: more threads only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARE_AN_EXPERIMENT = {
    "test_commands",
    "test_distributed",
    "test_training",
    "test_vocoder",
}  # files of integration/

SEED = 2036


def compile_detectors() -> None:
    """Fill numba's cache, which is shared: workers that compile librosa's functions at the same time may crash."""
    from pn_diffusion_plugin.metrics.beats import music_events

    clicks = np.zeros(4 * 22050, np.float32)
    clicks[::11025] = 1
    music_events(clicks, 22050)


def pytest_configure(config: pytest.Config) -> None:
    """Make hypothesis draw the same examples on every run, without a time limit or a folder of its own."""
    from hypothesis import settings

    settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
    settings.load_profile("repeatable")
    if getattr(config.option, "numprocesses", None):  # in the process that starts the workers
        compile_detectors()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove everything the tests wrote."""
    _SCRATCH.cleanup()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker for each file, and one for all files that share a trained experiment, so that it is trained once."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "experiment" if Path(file).stem in SHARE_AN_EXPERIMENT else file

    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Start each test from the same state of the global generators (torch's only where it is in use)."""
    random.seed(SEED)
    np.random.seed(SEED)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(SEED)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root folder of the checkout the tests belong to."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 2.6 s: two dancers side by side."""
    from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
    from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
    from pn_diffusion_plugin.data.video.read import read_frames
    from pn_diffusion_plugin.data.video.write import write_video

    folder = tmp_path_factory.mktemp("pair")
    spec = MiniSpec(train=1, valid=1, test=2, seconds=2.6)
    alone = [read_frames(write_clip_video(spec.plan("test", number), folder), 25) for number in range(2)]
    write_video(folder / "pair.mp4", (np.concatenate(both, axis=1) for both in zip(*alone, strict=True)), 25)
    return folder / "pair.mp4"


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared corpus of 6 / 2 / 2 clips."""
    from tiny_experiment import build_corpus

    return build_corpus(tmp_path_factory.mktemp("prepared") / "corpus")


@pytest.fixture(scope="session")
def tiny_vae(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment's folder with an autoencoder of random weights and a measured scale."""
    import torch
    from tiny_experiment import vae_overrides

    from pn_diffusion_plugin._compat import plain
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


@pytest.fixture
def make_solver(
    tiny_corpus: Path, tiny_vae: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Builds the solver of an experiment; further arguments are overrides."""
    from tiny_experiment import overrides, vae_overrides, vocoder_overrides

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


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> None:
    """Undo what commands, servers and libraries configured in earlier tests of this process."""
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)
    for handler in logging.root.handlers:
        handler.setLevel(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("pn_diffusion_plugin") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            if logger.level:
                logger.setLevel(logging.NOTSET)
