"""Which evaluations make a curve, and where its points are."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_evaluation import as_experiment

from pn_diffusion_plugin.apps.report import curves
from pn_diffusion_plugin.apps.report.blocks import Figure, Text
from pn_diffusion_plugin.apps.report.curves import alpha, curve_blocks, network_evaluations
from pn_diffusion_plugin.apps.report.sources import Source, read_sources


@pytest.mark.parametrize(
    "sampling, expected",
    [
        ({"steps": 30, "guidance": 1.0, "negative_guidance": 0.0}, 30),
        ({"steps": 30, "guidance": 2.0, "negative_guidance": 0.0}, 60),
        ({"steps": 30, "guidance": 1.0, "negative_guidance": 0.5}, 60),
        ({"steps": 30, "guidance": 2.0, "negative_guidance": 0.5}, 90),
        ({"steps": 7}, 7),
        ({}, None),
    ],
)
def test_network_evaluations(sampling: dict[str, float], expected: float | None) -> None:
    assert network_evaluations({"sampling": sampling}) == expected


def experiments(evaluation: Path, folder: Path, settings: list[dict[str, object]]) -> list[Source]:
    """Experiments whose strict F is ten per cent times their number."""
    for number, one in enumerate(settings):
        as_experiment(evaluation, folder / f"run{number}", {"beat_f70": number / 10}, **one)
    return read_sources([str(folder / f"run{number}") for number in range(len(settings))])


def test_each_combination_of_other_settings_has_its_curve(
    evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: list[dict[str, object]] = [
        {"negative__alpha": a, "negative__latent": latent}
        for latent in ("mirrored", "shared")
        for a in (0.2, 0.6, 1)
    ]
    drawn = {}
    real = curves.curve_figure

    def spy(points, *arguments, **options):  # looks at what is drawn, and draws it
        drawn.update(points)
        return real(points, *arguments, **options)

    monkeypatch.setattr(curves, "curve_figure", spy)
    blocks = curve_blocks(
        experiments(evaluation, tmp_path, settings), alpha, ["negative.alpha"], "α", ("beat_f70",)
    )
    assert [type(block) for block in blocks] == [Figure, Text] and "negative.latent" in blocks[1].text
    (points,) = drawn.values()
    assert [(p.x, p.mean, p.series) for p in points] == [
        (0.2, 0.0, "latent=mirrored"), (0.6, 0.1, "latent=mirrored"), (1.0, 0.2, "latent=mirrored"),
        (0.2, 0.3, "latent=shared"), (0.6, 0.4, "latent=shared"), (1.0, 0.5, "latent=shared"),
    ]  # fmt: skip
    assert points[3].low == pytest.approx(0.2) and points[3].high == pytest.approx(0.4)


def test_one_value_makes_no_curve(evaluation: Path, tmp_path: Path) -> None:
    seeds = experiments(evaluation, tmp_path, [{"negative__alpha": 0.6, "optim__lr": lr} for lr in (1, 2)])
    assert curve_blocks(seeds, alpha, ["negative.alpha"], "α") == []


def test_who_is_alone_on_a_curve_is_left_out(evaluation: Path, tmp_path: Path) -> None:
    settings: list[dict[str, object]] = [{"negative__alpha": a, "unet__width": 8} for a in (0.2, 0.6)]
    settings += [{"negative__alpha": 0.9, "unet__width": 16}, {"negative__alpha": 0.9, "unet__width": 32}]
    sources = experiments(evaluation, tmp_path, settings)
    picture, text = curve_blocks(sources, alpha, ["negative.alpha"], "α")
    assert isinstance(picture, Figure) and picture.name == "curve-negative-alpha"
    assert isinstance(text, Text) and "this setting alone" in text.text


def test_what_has_no_such_setting_is_no_point(evaluation: Path, tmp_path: Path) -> None:
    settings: list[dict[str, object]] = [{"sampling__steps": 5}, {"sampling__steps": 50}, {"other__key": 1}]
    sources = experiments(evaluation, tmp_path, settings)
    (picture, text) = curve_blocks(
        sources, network_evaluations, ["sampling.steps"], "network evaluations a clip"
    )
    assert isinstance(picture, Figure) and isinstance(text, Text) and "this setting alone" in text.text
