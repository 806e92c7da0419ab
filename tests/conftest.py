"""What every test stands on: few threads, fixed seeds, and nothing written outside a temporary folder."""

from __future__ import annotations

import logging
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

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

SEED = 2036


def pytest_configure(config: pytest.Config) -> None:
    """Make hypothesis draw the same examples on every run, without a time limit or a folder of its own."""
    from hypothesis import settings

    settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
    settings.load_profile("repeatable")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove everything the tests wrote."""
    _SCRATCH.cleanup()


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
    from pn_diffusion_plugin.data.corpora.mini import MiniSpec, write_clip
    from pn_diffusion_plugin.data.video import read_frames, write_video

    folder = tmp_path_factory.mktemp("pair")
    spec = MiniSpec(train=1, valid=1, test=2, seconds=2.6)
    alone = [read_frames(write_clip(spec, "test", number, folder), 25) for number in range(2)]
    write_video(folder / "pair.mp4", (np.concatenate(both, axis=1) for both in zip(*alone, strict=True)), 25)
    return folder / "pair.mp4"


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared corpus of 6 / 2 / 2 clips."""
    from tiny_experiment import build_corpus

    return build_corpus(tmp_path_factory.mktemp("prepared") / "corpus")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """The command `pn-diffusion` silences warnings of its process; the next test wants to see them."""
    yield
    logging.disable(logging.NOTSET)
