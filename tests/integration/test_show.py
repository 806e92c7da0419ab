"""`dora run … show=true` tells what a model is without making or needing anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_experiment import program, run

pytestmark = pytest.mark.integration


def test_the_papers_configuration_is_shown_without_corpus_autoencoder_or_weights(tmp_path: Path) -> None:
    place = tmp_path / "é 舞 (a), b=c 'd' + @ {e} [f]"  # Hydra's grammar gives a meaning to each of these
    made = {"PN_DIFFUSION_OUTPUTS": str(place / "outputs"), "AUDIOCRAFT_DORA_DIR": str(place / "dora")}
    result = run(program("dora"), "run", "solver=pn_diffusion/paper", "show=true", **made)
    assert result.returncode == 0, result.stderr[-2000:]
    text = result.stdout + result.stderr
    assert "U-Net and dance encoder" in text and "166.418" in text and "30.117" in text
    assert (place / "dora" / "xps").is_dir() and not (place / "outputs" / "corpora").exists()
    assert not list(tmp_path.rglob("checkpoint.th"))
