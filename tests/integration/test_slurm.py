"""A Dora grid on SLURM, as far as that goes without one: `sbatch` only says that it has taken the job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from tiny_experiment import REPOSITORY, program, run

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """Environment of a cluster that takes jobs and never runs them, whose teams file names a partition."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "srun", "squeue", "sacct"):
        said = "Submitted batch job $$" if name == "sbatch" else ""
        (programs / name).write_text(f"#!/bin/sh\necho {said}\n")
        (programs / name).chmod(0o755)
    teams = yaml.safe_load((REPOSITORY / "config" / "teams" / "default.yaml").read_text())
    for place in teams.values():
        place["partitions"] = {"global": "fast", "team": "fast"}
    (tmp_path / "teams.yaml").write_text(yaml.safe_dump(teams))
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "AUDIOCRAFT_CONFIG": str(tmp_path / "teams.yaml"),
        "AUDIOCRAFT_DORA_DIR": str(tmp_path / "dora"),
    }


@pytest.mark.slow
def test_a_grid_is_submitted_with_what_the_configuration_asks_for(cluster: dict[str, str]) -> None:
    command, cells = [program("dora"), "grid", "--no_monitoring"], ["mini.alpha", "alpha=0.3"]
    listed = run(*command, "--dry_run", *cells, **cluster)
    assert listed.returncode == 0, listed.stderr[-3000:]
    dora = Path(cluster["AUDIOCRAFT_DORA_DIR"])
    assert not list(dora.rglob("*submission*"))

    submitted = run(*command, *cells, **cluster)
    assert submitted.returncode == 0, submitted.stderr[-3000:]
    scripts = sorted({path.resolve() for path in dora.rglob("*submission*.sh")})
    texts = [path.read_text() for path in scripts]
    assert texts
    for text in texts:
        for line in ("partition=fast", "gres=gpu:1", "mem=40GB", "cpus-per-task=8", "time=1440", "nodes=1"):
            assert f"#SBATCH --{line}\n" in text
        assert "None" not in text and "submitit.core._submit" in text
