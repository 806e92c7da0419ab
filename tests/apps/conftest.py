"""One tiny evaluation for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_evaluation import HOSTILE, build_corpus, build_evaluation


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of three dances."""
    return build_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with report.json and waves, one of whose labels is hostile."""
    return build_evaluation(tmp_path_factory.mktemp("evaluation") / "tiny", HOSTILE)
