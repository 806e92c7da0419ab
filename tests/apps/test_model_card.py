"""The card says what is known of a model, and shows what is not."""

from __future__ import annotations

from pathlib import Path

import yaml
from tiny_model import tiny_config

from pn_diffusion_plugin.apps.model_card import GAP, write_model_card
from pn_diffusion_plugin.metrics.report import STRICT

TRAINING = {
    "sig": "1a2b3c4d",
    "command": "dora run solver=pn_diffusion",
    "data": "mini",
    "seed": 2036,
    "updates": 2000,
    "minutes": 23.3,
    "hardware": "one core",
    "losses": {"loss": 0.2018},
    "curve": [{"updates": 1000, "train": 0.25, "valid": 0.3}, {"updates": 2000, "train": 0.2018}],
    "parts": {
        "vocoder": {
            "command": "dora run solver=vocoder",
            "updates": 10,
            "minutes": 1.0,
            "hardware": "two cores",
        }
    },
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


def test_everything_known_is_on_the_card(tmp_path: Path) -> None:
    text = write_model_card(tmp_path, tiny_config(), 1_234_567, TRAINING, [REPORT], license="mit").read_text()
    assert front_matter(text)["license"] == "mit"
    assert f"# {tmp_path.name}\n" in text
    for fact in (
        "1.2 M",
        "8000 Hz",
        "2.56 s",
        "learns the music of the dance played backward",
        "`negative.latent=mirrored`, α = 0.6",
        "v-prediction",
    ):
        assert fact in text
    assert "`dora run solver=pn_diffusion` (signature `1a2b3c4d`)" in text
    assert "2000 updates in 23.3 minutes on one core, seed 2036." in text and "loss 0.202" in text
    assert "| updates | 1000 | 2000 |" in text and "| valid loss | 0.3 | – |" in text
    assert "### Its vocoder\n\n`dora run solver=vocoder`\n\n10 updates in 1 minutes on two cores." in text
    assert "generated dances with generated music" in text
    assert "32 clips of mini/test, leak check: ok" in text
    assert "| model | 0.88 [0.84, 0.92] |" + " – |" * (len(STRICT) - 1) in text
    assert "| shuffled |" + " – |" * len(STRICT) in text
    assert text.count(GAP) == 1  # the limits


def test_what_is_not_known_is_a_gap(tmp_path: Path) -> None:
    text = write_model_card(tmp_path, tiny_config({"negative.alpha": 1.0}), 10).read_text()
    assert front_matter(text)["license"] == "unknown"
    assert "no negative stream" in text
    assert text.count(GAP) == 5
    text = write_model_card(tmp_path, tiny_config(), 10, data="my own videos, CC BY").read_text()
    assert "my own videos, CC BY" in text and text.count(GAP) == 3


def test_every_report_has_its_table(tmp_path: Path) -> None:
    captured = {**REPORT, "clips": 24, "split": "captured/test"}
    text = write_model_card(
        tmp_path, tiny_config(), 10, reports=[REPORT, captured], limits="- Drawn dancers."
    ).read_text()
    assert text.index("32 clips of mini/test") < text.index("24 clips of captured/test")
    assert text.count("| shuffled |") == 2 and text.rstrip().endswith("- Drawn dancers.")


def test_a_model_of_scores_has_instruments_and_no_vocoder(tmp_path: Path) -> None:
    changes = {"music": {"representation": "score"}, "mel.n_mels": 64, "conditioning.styles": ["house"]}
    text = write_model_card(tmp_path, tiny_config(changes), 10).read_text()
    assert "44 100 Hz, stereo" in text and "style: house" in text and "vocoder" not in text
