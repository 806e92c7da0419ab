"""The autoencoder that is trained first has the experiment's own mel, and keeps its signature where nothing differs."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from pn_diffusion_plugin.solvers.frozen_vae import vae_overrides
from pn_diffusion_plugin.train import main


def config(*overrides: str) -> dict[str, Any]:
    return OmegaConf.to_container(main.get_xp(list(overrides)).cfg, resolve=True)  # type: ignore[return-value]


def test_the_default_is_the_plain_autoencoder_run() -> None:
    for solver, vae in (("pn_diffusion", "mel_vae"), ("pn_diffusion/paper", "mel_vae/paper")):
        wanted = vae_overrides(config(f"solver={solver}"))
        assert main.get_xp(wanted).sig == main.get_xp([f"solver={vae}"]).sig


def test_an_overridden_mel_reaches_the_autoencoder() -> None:
    changed = ["mel.n_mels=32", "mel.f_max=8000", "mel_vae.channels=[8,8]", "sample_rate=16000"]
    experiment = config("solver=pn_diffusion", *changed)
    vae = config(*vae_overrides(experiment))
    for key in ("sample_rate", "mel", "mel_vae"):
        assert vae[key] == experiment[key]


def test_what_vae_overrides_names_itself_stays() -> None:
    experiment = config("solver=pn_diffusion", 'vae.overrides=["solver=mel_vae","mel.n_mels=16"]')
    assert [item for item in vae_overrides(experiment) if item.startswith("mel.n_mels=")] == ["mel.n_mels=16"]
