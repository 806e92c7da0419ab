"""Models that an experiment builds on: which experiment trains them, and what is said when that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from pn_diffusion_plugin._compat import hydra_override
from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.solvers.prerequisites import ensure_experiment, ensure_trained, training_overrides
from pn_diffusion_plugin.train import main

VAE = ("vae", ("mel", "mel_vae"))
NAMES = [
    "é", "舞", "a b", "(a)", "a,b", "a=b", "it's", "''", 'a"b', "a+b", "@a", "{a}", "[a]", "a\\", "\\'",
    "${a}", "\\${a}",     "$a", "#a", "a: b", "~a", "%d", "*", "é 舞 (a), b=c 'd' + @ {e} [f]",
]  # fmt: skip


def config(*overrides: str) -> dict[str, Any]:
    return OmegaConf.to_container(main.get_xp(list(overrides)).cfg, resolve=True)  # type: ignore[return-value]


def test_the_default_is_the_plain_autoencoder_run() -> None:
    for solver, vae in (("pn_diffusion", "mel_vae"), ("pn_diffusion/paper", "mel_vae/paper")):
        wanted = training_overrides(config(f"solver={solver}"), *VAE)
        assert main.get_xp(wanted).sig == main.get_xp([f"solver={vae}", "dset=dance/mini"]).sig


def test_an_overridden_mel_and_corpus_reach_the_autoencoder() -> None:
    changed = ["mel.n_mels=32", "mel.f_max=8000", "mel_vae.channels=[8,8]", "sample_rate=16000"]
    experiment = config("solver=pn_diffusion", "dset=dance/folder", "datasource.root=mine", *changed)
    vae = config(*training_overrides(experiment, *VAE))
    for key in ("sample_rate", "mel", "mel_vae", "datasource"):
        assert vae[key] == experiment[key]


def test_the_vocoder_gets_the_mel_alone() -> None:
    overrides = training_overrides(config("solver=pn_diffusion", "mel.n_mels=16"), "vocoder", ("mel",))
    assert overrides[:2] == ["solver=vocoder", "dset=dance/mini"] and "mel.n_mels=16" in overrides
    assert not any(item.startswith("mel_vae.") for item in overrides)


def test_a_key_that_the_overrides_set_themselves_is_kept() -> None:
    own = 'vae.overrides=["solver=mel_vae","dset=dance/folder","mel.n_mels=16"]'
    overrides = training_overrides(config("solver=pn_diffusion", own), *VAE)
    for key in ("dset", "mel.n_mels"):
        (item,) = [item for item in overrides if item.startswith(f"{key}=")]
        assert item in own


@pytest.mark.parametrize("name", [NAMES[-1], "\\${a}"])
def test_a_corpus_of_any_name_reaches_the_autoencoder(name: str) -> None:
    root = f"/data/{name}"
    experiment = config("solver=pn_diffusion", "dset=dance/folder", hydra_override("datasource.root", root))
    assert experiment["datasource"]["root"] == root
    vae = config(*training_overrides(experiment, *VAE))
    assert vae["datasource"] == experiment["datasource"]
    assert vae["datasource"]["train"] == f"{root}/egs/train"


def test_overrides_are_read_back_as_they_were() -> None:
    values = [*NAMES, None, True, 1, 0.5, "1", "null", NAMES, {"a": ["é", None]}]
    found = config(*(hydra_override(f"+value{number}", value) for number, value in enumerate(values)))
    assert [found[f"value{number}"] for number in range(len(values))] == values


def test_a_run_that_fails_names_the_setting_of_its_model(tmp_path: Path) -> None:
    experiment = config("solver=pn_diffusion", "dset=dance/folder", f"datasource.root={tmp_path}")
    with pytest.raises(CheckpointError, match=r"failed \(its error is above\).* set vocoder.checkpoint to"):
        ensure_trained(experiment, "vocoder", ("mel",))


def test_a_configuration_that_cannot_be_composed_is_named() -> None:
    with pytest.raises(CheckpointError, match="solver=nothing cannot be composed: .*nothing") as caught:
        ensure_experiment(["solver=nothing"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("signature", "argv"),
    [
        ("c17dbbcd", ["solver=pn_diffusion/bundled", "dset=dance/bundled"]),
        ("6854ae1c", ["solver=vocoder", "dset=dance/bundled"]),
        ("c9605a93", ["solver=mel_vae", "dset=dance/bundled", "optim.epochs=15"]),
        ("f67ec267", ["solver=pn_diffusion"]),
        ("69a19c43", ["solver=pn_diffusion/distill"]),
        ("356f0c88", ["solver=dance_musicgen"]),
    ],
)
def test_experiments_of_earlier_versions_keep_their_signatures(signature: str, argv: list[str]) -> None:
    """Otherwise finished autoencoders and models would be trained again."""
    assert main.get_xp(argv).sig == signature
