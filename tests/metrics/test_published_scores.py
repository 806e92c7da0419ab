"""The two published families, computed once more by plain loops on 56 synthesised clips."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.metrics.nulls import click_track

RATE = 22050


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "published_scores.py"
    spec = importlib.util.spec_from_file_location("published_scores", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def clip(seed: int, seconds: float) -> np.ndarray:
    """Clicks at random times and levels over hiss, silent for a while."""
    rng = np.random.default_rng(seed)
    wav = 10 ** rng.uniform(-4, -2) * rng.standard_normal(round(seconds * RATE))
    for start in np.sort(rng.uniform(0, seconds, rng.integers(1, 14))):
        at = int(start * RATE)
        hit = click_track(2000, RATE, first=0) * rng.uniform(0.02, 1)
        wav[at : at + 2000] += hit[: len(wav) - at]
    return np.clip(wav, -1, 1).astype(np.float32)


def test_plain_loops_give_the_same_to_a_billionth(
    benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / name for name in ("reference", "a", "b")]
    for i in range(28):
        for k, folder in enumerate(folders):
            folder.mkdir(exist_ok=True)
            seconds = (3.0, 3.2, 2.56)[i % 3] + (0.5 if k == 1 else 0)  # a longer one is cut
            wav = (
                np.zeros(round(seconds * RATE), np.float32)
                if (i, k) == (5, 2)
                else clip(100 * k + i, seconds)
            )
            soundfile.write(folder / f"{i:02d}.wav", wav, RATE)
    found = benchmark.compare(folders[0], folders[1:])
    assert found["clips"] == 56 and found["largest_difference"] < 1e-9
    table = found["package"]
    assert table.keys() == found["plain"].keys() and len(table) == 7
    assert 0.2 < table["loris_f1"] < 0.98 and table["loris_csd"] > 0.05  # nothing trivial

    output = tmp_path / "numbers.json"
    monkeypatch.setattr(sys, "argv", ["x", *map(str, folders), "-o", str(output)])
    benchmark.main()
    assert "56 clips, largest difference" in capsys.readouterr().out and output.exists()


def test_the_comparison_can_fail(benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(2):
        for folder in ("reference", "a"):
            (tmp_path / folder).mkdir(exist_ok=True)
            soundfile.write(tmp_path / folder / f"{i}.wav", clip(i, 3.0), RATE)
    monkeypatch.setattr(benchmark, "plain_scores", lambda *_: dict.fromkeys(("loris_bcs", "loris_bhs"), 0.3))
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "reference"), str(tmp_path / "a")])
    with pytest.raises(SystemExit):
        benchmark.main()
