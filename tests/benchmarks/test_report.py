"""The page of results, profiles by group, and losses compared over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import profile_groups
from benchmarks.bench_loss import draw, summary
from benchmarks.bench_report import machine, page


def row(name: str, seconds: float, flops: int, ratio: float, peak_mb: float = 1024.0) -> dict[str, Any]:
    return {
        "name": name,
        "seconds": seconds,
        "stages": {"denoising": 0.5 * seconds, "decoding": 0.5 * seconds},
        "ratio": {"median": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio},
        "counts": {"flops": flops, "parts": {"U-Net": {"calls": 3, "rows": 3, "flops": flops // 2}}},
        "peak_mb": peak_mb,
    }


def curves(reference: list[float], ours: list[float]) -> list[dict[str, Any]]:
    return [
        {"procedure": name, "seed": seed, "losses": [9.0, 9.0, loss], "valid": 2 * loss}
        for name, losses in (("reference procedure", reference), ("ours", ours))
        for seed, loss in enumerate(losses)
    ]


def test_a_page_of_all_sections() -> None:
    rows = [
        row("reference, 1000 steps", 100.0, 2 * 10**12, 1.0),
        row("reference, 50 steps", 50.0, 10**12, 0.5),
        row("ours", 1.0, 10**10, 0.01, 512.0),
    ]
    text = page(
        {
            "machine": machine(threads=2),
            "training": {"size": "paper", "batch_size": 4, "rows": rows},
            "sampling": {"size": "paper", "seconds": 5.0, "rows": rows},
            "loss": {"updates": 300, "summary": summary(curves([1.0, 1.2, 1.1], [1.1, 1.0, 1.3]))},
            "profile": {"tables": {"an update": {"reference": {"convolution": 3.0, "attention": 1.0}}}},
        }
    )
    assert f"torch {torch.__version__}" in text and "2 threads" in text
    assert (
        "| ours | 1.00 | 0.50 | 0.50 | 0.0100 [0.0090, 0.0110] (1/100) | 0.0200 (1/50) | 0.50 | 0.50 |"
        in text
    )
    assert "| ours | 10.0 | 0.0050 (1/200) | 5.0 | 0.0050 (1/200) | 3 |" in text  # a clip of sampling
    assert "| ours | 2.5 | 0.0050 (1/200) | 1.2 | 0.0050 (1/200) | 3 |" in text  # one of 4 in training
    assert "| convolution | 3.00 s (75%) |" in text and "| **whole** | **4.00 s** |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_seed_noise() -> None:
    """Means that differ by less than two standard errors of the difference are within noise."""
    alike = summary(curves([1.0, 1.2, 1.1], [1.1, 1.0, 1.3]))
    assert alike["train"]["within_noise"] and alike["valid"]["within_noise"]
    assert alike["train"]["means"]["ours"] == pytest.approx(3.4 / 3)
    assert alike["valid"]["difference"] == pytest.approx(2 * (3.4 / 3 - 1.1))
    apart = summary(curves([1.0, 1.01, 1.02], [1.5, 1.51, 1.52]))
    assert not apart["train"]["within_noise"]
    assert apart["train"]["standard_error"] == pytest.approx((2 * 0.01**2 / 3) ** 0.5)


def test_operators_by_group() -> None:
    """What an optimiser calls counts as the optimiser's, whatever it is."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 6 * 6, 4))
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)

    def update() -> None:
        model(torch.ones(4, 3, 8, 8)).square().sum().backward()
        optimizer.step()

    update()
    groups = profile_groups.profiled(update)
    assert {"convolution", "matrix product", "optimiser, average"} <= set(groups)
    assert set(groups) <= set(profile_groups.ORDER)
    alone = profile_groups.profiled(optimizer.step)
    assert set(alone) <= {profile_groups.OPTIMISER, profile_groups.REST}


def test_pictures(tmp_path: Path) -> None:
    profile_groups.draw(
        tmp_path / "profile.png",
        "an update",
        {"reference": {"convolution": 3.0, "attention": 1.0}, "ours": {"compiled kernels": 0.1}},
    )
    draw(tmp_path / "loss.png", curves([1.0, 1.2, 1.1], [1.1, 1.0, 1.3]))
    for file in tmp_path.glob("*.png"):
        assert file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size < 200_000
