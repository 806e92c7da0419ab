"""report.json is read back as written; report.md says the same to a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pn_diffusion_plugin.metrics.report import format_metric, render_markdown, write_report

VALUE = {"mean": 0.691, "low": 0.62, "high": 0.75, "n": 24}


def make_report(leak_check: str = "ok"):
    missing = {"not_run": "needs a model"}
    return {
        "schema": 1,
        "split": "mini/test",
        "clips": 24,
        "leak_check": leak_check,
        "command": "pn-diffusion evaluate",
        "seeds": [1, 2],
        "rows": [
            {
                "name": "model",
                "label": "α = 0.6",
                "metrics": {"beat_f70": VALUE, "fad": missing, "frechet_musicnn": VALUE},
                "minus_shuffled": {"beat_f70": VALUE},
            },
            {"name": "silence", "label": "silence", "metrics": {"beat_f70": missing, "fad": missing}},
        ],
    }


def test_both_files_are_written(tmp_path: Path) -> None:
    write_report(make_report(), tmp_path / "deep" / "report.json")
    assert json.loads((tmp_path / "deep" / "report.json").read_text(encoding="utf-8")) == make_report()
    assert (tmp_path / "deep" / "report.md").read_text(encoding="utf-8") == render_markdown(make_report())
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["report.json", "report.md"]


def test_table_tells_all() -> None:
    text = render_markdown(make_report())
    assert "24 clips of mini/test. Leak check: ok. Seeds: 1, 2." in text
    assert "`pn-diffusion evaluate`" in text
    assert "| **model**: α = 0.6 | 0.69 [0.62, 0.75] |" in text
    assert "| silence | – |" in text
    assert "- fad: needs a model" in text  # every row
    assert "- beat_f70 (silence): needs a model" in text  # one row
    assert "frechet_musicnn" in text.split("## Quality")[1]


@pytest.mark.parametrize("leak", ["LEAKING: song a in train and test", "unknown: not checked"])
def test_a_leak_stands_out(leak: str) -> None:
    assert f"**{leak}**" in render_markdown(make_report(leak))


def test_format_metric() -> None:
    assert format_metric(VALUE) == "0.69 [0.62, 0.75]"
    assert format_metric(None) == format_metric({"not_run": "x"}) == "–"
