"""The short form of benchmarks/soak.py: nothing grows, nothing is mixed up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import soak  # noqa: E402
from tiny_model import tiny_model  # noqa: E402

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return soak.make_dances(tmp_path_factory.mktemp("dances"), 2.6, 4)


def test_twenty_pieces_by_one_process(dances: list[Path], tmp_path: Path) -> None:
    grown = soak.growth(soak.by_one_process(tiny_model(), dances, 20, tmp_path))
    assert grown["rss_mb"]["last_third"] < 1.1 * grown["rss_mb"]["first_third"]
    for name in ("open_files", "children", "threads", "temporary_files"):
        assert grown[name]["last_third"] <= grown[name]["first_third"] + 0.5, name


def test_twenty_pieces_for_four_people(dances: list[Path], tmp_path: Path) -> None:
    model = tiny_model()
    report = soak.soak_page(model, str(model.save_pretrained(tmp_path / "model")), dances, 20, tmp_path)
    assert report["served"] == report["right"] == 20
    grown = report["growth"]
    assert grown["rss_mb"]["last_third"] < 1.15 * grown["rss_mb"]["first_third"]
    assert grown["children"]["most"] == 0


def test_growth_is_told_from_none() -> None:
    samples = [soak.Sample(100 + 0.5 * n, 20, 0, 8, n % 2) for n in range(100)]
    grown = soak.growth(samples)
    assert grown["rss_mb"]["per_100"] == pytest.approx(50) and grown["open_files"][
        "per_100"
    ] == pytest.approx(0)
    assert grown["rss_mb"]["last_third"] - grown["rss_mb"]["first_third"] == pytest.approx(30)
