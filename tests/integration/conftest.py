"""One tiny experiment, run by the real command, for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_experiment import (
    EPOCHS,
    Experiment,
    experiments,
    overrides,
    program,
    run,
)


@pytest.fixture(scope="session")
def experiment(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """PN-Diffusion trained from nothing."""
    dora = tmp_path_factory.mktemp("dora")
    arguments = [item for item in overrides(tiny_corpus) if not item.startswith("optim.epochs=")]
    arguments.append(f"optim.epochs={EPOCHS}")
    result = run(program("dora"), "run", *arguments, AUDIOCRAFT_DORA_DIR=str(dora))
    assert result.returncode == 0, result.stderr[-3000:]
    (folder,), (vae,) = experiments(dora, "pn_diffusion"), experiments(dora, "mel_vae")
    return Experiment(arguments, dora, folder, vae, result.stdout + result.stderr)


@pytest.fixture(scope="session")
def exported(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment's model, exported by its signature."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    result = run(
        program("pn-diffusion"),
        "export",
        experiment.folder.name,
        "-o",
        str(folder),
        AUDIOCRAFT_DORA_DIR=str(experiment.dora),
    )
    assert result.returncode == 0, result.stderr
    return folder
