"""The weights that ship are what their recipe says."""

from __future__ import annotations

import pytest
import yaml
from omegaconf import OmegaConf

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.apps.weights import MODEL, VOCODER
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.io.training_card import read_card
from pn_diffusion_plugin.train import main

SHIPPED = paths.weights_dir("mini")
#: Keys with defaults under which the shipped configuration means the same.
ADDED_SINCE = {"streams", "stream_out", "tau"}


def recipe(overrides: list[str]) -> dict:
    return OmegaConf.to_container(main.get_xp(overrides).cfg, resolve=True)


@pytest.mark.parametrize(
    "section",
    ["sample_rate", "segment_seconds", "mel", "mel_vae", "features", "conditioning", "unet", "diffusion", "negative"],
)  # fmt: skip
def test_the_shipped_configuration_is_the_recipe(section: str) -> None:
    shipped, wanted = yaml.safe_load((SHIPPED / "config.yaml").read_text())[section], recipe(MODEL)[section]
    if isinstance(wanted, dict):
        assert {key for key, value in wanted.items() if value is not None} - shipped.keys() <= ADDED_SINCE
        wanted = {key: wanted[key] for key in shipped}
    assert shipped == wanted


def test_the_training_was_the_recipe() -> None:
    card = read_card(SHIPPED)
    assert card is not None
    assert set(MODEL) < set(card["command"].split())
    optim = recipe(MODEL)["optim"]
    assert card["updates"] == optim["epochs"] * optim["updates_per_epoch"]
    assert card["seed"] == recipe(MODEL)["seed"]
    assert [point["updates"] for point in card["curve"]][-1] == card["updates"]
    assert {name for name, part in card["parts"].items() if part["updates"] and part["minutes"]} == {
        "autoencoder",
        "vocoder",
    }
    assert set(VOCODER) < set(card["parts"]["vocoder"]["command"].split())


def test_all_together_is_small() -> None:
    """25 MB, so that the wheel and the repository stay small."""
    files = list(SHIPPED.iterdir())
    assert {"config.yaml", "model.safetensors", "vae.safetensors", "training.json", "README.md"} <= {
        file.name for file in files
    }
    assert sum(file.stat().st_size for file in files) < 25e6
    assert set(builders.MODEL_KEYS) <= set(yaml.safe_load((SHIPPED / "config.yaml").read_text()))
