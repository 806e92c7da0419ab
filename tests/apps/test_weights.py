"""The weights that ship are what their recipes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.apps.weights import BUNDLED
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.io.training_card import read_card
from pn_diffusion_plugin.train import main

#: Keys with defaults under which a shipped configuration means the same.
ADDED_SINCE = {"streams", "stream_out", "tau", "styles", "style_dropout"}


def recipe(name: str) -> dict[str, Any]:
    return OmegaConf.to_container(main.get_xp(list(BUNDLED[name].model)).cfg, resolve=True)  # type: ignore[return-value]


def shipped(name: str) -> Path:
    return paths.weights_dir(name)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_shipped_configuration_is_the_recipe(name: str) -> None:
    stored, wanted = yaml.safe_load((shipped(name) / "config.yaml").read_text()), recipe(name)
    for section in ("sample_rate", "segment_seconds", "mel", "mel_vae", "features", "conditioning", "unet", "diffusion",
                    "negative", "music"):  # fmt: skip
        ours, theirs = wanted[section], stored.get(section, {})
        if isinstance(ours, dict):
            added = {key for key, value in ours.items() if value is not None} - theirs.keys()
            assert added <= ADDED_SINCE or ours == {"representation": "mel"}, section
            ours = {key: ours[key] for key in theirs}
        assert theirs == ours, section


@pytest.mark.parametrize("name", BUNDLED)
def test_the_training_was_the_recipe(name: str) -> None:
    card = read_card(shipped(name))
    assert card is not None
    assert set(BUNDLED[name].model) < set(card["command"].split())
    optim = recipe(name)["optim"]
    assert card["updates"] == optim["epochs"] * optim["updates_per_epoch"]
    assert card["seed"] == recipe(name)["seed"]
    assert [point["updates"] for point in card["curve"]][-1] == card["updates"]
    vocoder, parts = BUNDLED[name].vocoder, card.get("parts", {})
    assert parts.keys() == ({"autoencoder", "vocoder"} if vocoder else set())
    assert all(part["updates"] and part["minutes"] for part in parts.values())
    assert not vocoder or set(vocoder) < set(parts["vocoder"]["command"].split())


def test_all_together_is_small() -> None:
    """25 MB, so that the wheel and the repository stay small."""
    files = [file for name in BUNDLED for file in shipped(name).iterdir()]
    assert sum(file.stat().st_size for file in files) < 25e6
    for name in BUNDLED:
        assert {"config.yaml", "model.safetensors", "vae.safetensors", "training.json", "README.md"} <= {
            file.name for file in shipped(name).iterdir()
        }
        assert set(builders.MODEL_KEYS) <= set(yaml.safe_load((shipped(name) / "config.yaml").read_text()))
