"""Which controls a model has, and what programs get."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tiny_model import tiny_model
from tiny_score_model import tiny_score_model

from pn_diffusion_plugin.apps.serve.server import import_gradio
from pn_diffusion_plugin.apps.serve.studio import JobResult, TakeFiles
from pn_diffusion_plugin.data.score.keys import parse_key

import_gradio()

from pn_diffusion_plugin.apps.serve import page  # noqa: E402  without telemetry from here on


@pytest.fixture(scope="module")
def studio() -> Any:
    """What the page reads of a studio, with a model of each kind."""
    models = {"mini": tiny_model(), "band": tiny_score_model()}
    return SimpleNamespace(
        models=models, defaults={name: vars(model.params) for name, model in models.items()}
    )


def test_style_and_key_are_shown_for_models_that_have_them(studio: Any) -> None:
    row, style, key = page.sound_controls_of(studio, "band")
    assert row["visible"] and style["visible"] and key["visible"]
    assert style["choices"] == [
        ("Any: the dance decides", "any"), ("House", "house"), ("Funk", "funk")
    ]  # fmt: skip
    assert style["value"] == key["value"] == "any"
    row, style, key = page.sound_controls_of(studio, "mini")
    assert not (row["visible"] or style["visible"] or key["visible"])
    assert style["choices"] == [page.ANY_STYLE] and style["value"] == key["value"] == "any"


def test_every_key_that_is_offered_is_one() -> None:
    found = {(parse_key(key)[0], key.split()[1]) for key in page.KEYS}
    assert len(page.KEYS) == 24 and found == {
        (tonic, mode) for tonic in range(12) for mode in ("major", "minor")
    }


def test_programs_get_addresses_of_notes_and_stems_or_null() -> None:
    files = (0, 8.0, "a.mp4", "a.mp4", "a.wav", "a.png", (0.1, 0.9), "pn-diffusion")
    takes = (TakeFiles(*files), TakeFiles(*files, midi="a.mid", stems="a.stems.zip"))
    without, given = page.for_programs(JobResult("to-ken", takes))["takes"]
    assert (without["midi"], without["stems"], without["wav"]) == (None, None, "takes/to-ken/a.wav")
    assert (given["midi"], given["stems"]) == ("takes/to-ken/a.mid", "takes/to-ken/a.stems.zip")
