from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.metrics.settings import QUALITY, Settings, load_settings


def test_the_defaults_are_the_configurations() -> None:
    settings = load_settings()
    assert settings.beat_tracker == "librosa" and settings.metrics == QUALITY
    assert settings.options["chroma_cosine"]["chroma_base"]["sample_rate"] == 22050  # interpolated
    assert type(settings.options["fad"]["tf"]) is dict and settings.options["fad"]["tf"]["bin"] is None


def test_a_choice_and_overrides() -> None:
    settings = load_settings(
        ["rvm", "frechet_musicnn"], "madmom", ["metrics.rvm.n_mels=40", "metrics.visqol.bin=some where"]
    )
    assert settings.metrics == ("frechet_musicnn", "rvm") and settings.beat_tracker == "madmom"
    assert settings.options["rvm"]["n_mels"] == 40 and settings.options["visqol"]["bin"] == "some where"
    assert load_settings([]).metrics == ()
    other = load_settings(overrides=["metrics.beat_tracker=beat_this", "metrics.beat_this.checkpoint=a=b"])
    assert other.beat_tracker == "beat_this"
    assert other.tracker_options() == {"checkpoint": "a=b", "device": "cpu"}


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="no metric 'fid': give some of frechet_musicnn, "):
        load_settings(["fid"])
    with pytest.raises(UserError, match="there is no key metrics.rvm.bands"):
        load_settings(overrides=["metrics.rvm.bands=3"])
    for item in ("optim.lr=1", "metrics.rvm.n_mels"):
        with pytest.raises(UserError, match="sets nothing of the metrics"):
            load_settings(overrides=[item])


def test_a_configuration_of_an_older_version_has_none() -> None:
    assert Settings.from_config(OmegaConf.create({"evaluate": {"every": None}})) == Settings()
    assert Settings.from_config({}) == Settings()
    cfg = OmegaConf.create({"evaluate": {"metrics": {"base": True, "kld": True, "fad": False}}})
    assert Settings.from_config(cfg).metrics == ("kld",)
