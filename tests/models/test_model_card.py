"""The card says what is known of a model, and shows what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_model import tiny_config

from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.metrics.report import STRICT
from pn_diffusion_plugin.models.model_card import GAP, read_experiment_report, write_model_card

TRAINING = {
    "sig": "1a2b3c4d",
    "command": "dora run solver=pn_diffusion",
    "data": "mini",
    "updates": 2000,
    "minutes": 23.3,
    "hardware": "one core",
    "losses": {"loss": 0.2018},
}
REPORT = {
    "clips": 32,
    "split": "mini/test",
    "leak_check": "ok",
    "rows": [
        {"name": "model", "label": "x", "metrics": {"beat_f70": {"mean": 0.88, "low": 0.84, "high": 0.92, "n": 32}}},
        {"name": "shuffled", "label": "y", "metrics": {"beat_f70": {"not_run": "needs a song"}}},
    ],
}  # fmt: skip


def front_matter(text: str) -> dict:
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def test_everything_known_is_told(tmp_path: Path) -> None:
    text = write_model_card(tmp_path, tiny_config(), 1_234_567, TRAINING, REPORT, "mit").read_text()
    assert front_matter(text)["license"] == "mit"
    assert f"# {tmp_path.name}\n" in text
    for fact in ("1.2 M", "8000 Hz", "2.56 s", "reading `mirrored`, cue `reversed`, α = 0.6", "v-prediction"):
        assert fact in text
    assert "`dora run solver=pn_diffusion` (signature `1a2b3c4d`)" in text
    assert "2000 updates in 23.3 minutes on one core" in text and "loss 0.202" in text
    assert "generated dances with generated music" in text
    assert "32 clips of mini/test, leak check: ok" in text
    assert "| model | 0.88 [0.84, 0.92] |" + " – |" * (len(STRICT) - 1) in text
    assert "| shuffled |" + " – |" * len(STRICT) in text
    assert text.count(GAP) == 1  # the limits, which nobody can know


def test_what_is_not_known_is_a_gap(tmp_path: Path) -> None:
    text = write_model_card(tmp_path, tiny_config({"negative.alpha": 1.0}), 10).read_text()
    assert front_matter(text)["license"] == "unknown"
    assert "no negative stream" in text
    assert text.count(GAP) == 5
    told = write_model_card(tmp_path, tiny_config(), 10, data="my own videos, CC BY").read_text()
    assert "my own videos, CC BY" in told and told.count(GAP) == 3


def test_a_report_is_read_or_its_damage_told(tmp_path: Path) -> None:
    assert read_experiment_report(tmp_path) is None
    file = tmp_path / "evaluate" / "report.json"
    file.parent.mkdir()
    file.write_text(json.dumps(REPORT))
    assert read_experiment_report(tmp_path) == REPORT
    file.write_text("{")
    with pytest.raises(
        CheckpointError, match=r"report\.json cannot be read .*: evaluate the experiment again"
    ):
        read_experiment_report(tmp_path)
