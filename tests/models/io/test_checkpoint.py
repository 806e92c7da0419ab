from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.io.checkpoint import (
    dora_dir,
    load_experiment,
    load_into,
    load_vae_weights,
    load_weights,
    resolve_checkpoint,
)
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

Make = Callable[..., Any]


@pytest.fixture
def exported(make_model: Make, tmp_path: Path) -> Path:
    return make_model().save_pretrained(tmp_path / "exported")


def write_experiment(folder: Path, solver: str, config: dict[str, Any], model: Any, **more: Any) -> Path:
    """What a solver leaves, as far as it is read again."""
    folder.mkdir(parents=True)
    state = {"xp.cfg": {**config, "solver": solver}, "best_state": {"model": model.state_dict()}, **more}
    torch.save(state, folder / "checkpoint.th")
    return folder


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def fails_with(pattern: str, load: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(CheckpointError, match=pattern) as caught:
        load(*arguments)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500, message
    return message


def test_an_exported_model_gives_the_same_music(
    make_model: Make, make_features: Make, exported: Path
) -> None:
    assert sorted(os.listdir(exported)) == ["config.yaml", "model.safetensors", "vae.safetensors"]
    model, again = make_model(), PNDiffusion.get_pretrained(exported)
    wavs = [m.generate_from_features([make_features(3.0)], [4])[0] for m in (model, again)]
    assert torch.equal(*wavs)
    assert again.config == {"schema": 1, **{key: model.config[key] for key in builders.MODEL_KEYS}}
    assert PNDiffusion.get_pretrained(again.save_pretrained(exported / "again")).config == again.config


@torch.no_grad()
def test_what_was_measured_and_the_reading_of_the_negative_travel_too(
    make_model: Make, tmp_path: Path
) -> None:
    changes = {"negative.branch_flag": True, "negative.cue": "mismatched", "negative.latent": "shared"}
    model = make_model({**changes, "conditioning.motion.inputs": ["position", "velocity", "acceleration"]})
    for module in (model.dual, model.vae):
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point() and "adjacency" not in name:
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    torch.nn.init.normal_(model.dual.denoiser.unet.class_embedding.weight)
    again = PNDiffusion.get_pretrained(model.save_pretrained(tmp_path / "exported"))
    for ours, theirs in ((model.dual, again.dual), (model.vae, again.vae)):
        weights = theirs.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in ours.state_dict().items())
    assert "provider.conditioners.dance.encoder.motion_norm.mean" in again.dual.state_dict()
    assert again.schedule.config() == model.schedule.config()
    assert (again.negative_latent, again.negative_cue.name, again.dual.denoiser.branch_flag) == (
        "shared",
        "mismatched",
        True,
    )


def test_an_experiment_and_its_export_are_the_same_model(make_model: Make, tmp_path: Path) -> None:
    model = make_model()
    vae = write_experiment(tmp_path / "vae", "mel_vae", model.config, model.vae)
    write_experiment(
        dora_dir() / "xps" / "0badcafe", "pn_diffusion", model.config, model.dual, vae_source=str(vae)
    )
    exported = PNDiffusion.get_pretrained("//sig/0badcafe").save_pretrained(tmp_path / "exported")
    for name in ("0badcafe", str(exported)):
        again = PNDiffusion.get_pretrained(name)
        for ours, theirs in ((model.dual, again.dual), (model.vae, again.vae)):
            weights = theirs.state_dict()
            assert all(torch.equal(value, weights[name]) for name, value in ours.state_dict().items())
    for source in (vae, exported):
        assert load_vae_weights(source).vae.keys() == model.vae.state_dict().keys()


def test_a_file_of_the_folder_means_the_folder(exported: Path) -> None:
    assert resolve_checkpoint(exported / "config.yaml") == exported


@pytest.mark.parametrize(
    "name", ["nothing/here/at-all", "outputs/nothing", "//sig/12345678", "12345678", "no_such_bundle"]
)
def test_a_checkpoint_that_is_not_there(name: str) -> None:
    fails_with(f"no checkpoint '{name}': give the folder", load_weights, name)


def test_bundled_weights_go_by_name(exported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "PACKAGE_DIR", tmp_path)
    (tmp_path / "weights").mkdir()
    exported.rename(tmp_path / "weights" / "small")
    assert load_weights("small").config["sample_rate"] == 8000


def test_a_folder_is_looked_for_where_the_program_runs_and_a_bundled_name_comes_first(
    exported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(exported.parent)
    assert resolve_checkpoint("exported") == exported
    bundled = tmp_path / "package" / "weights" / "exported"
    bundled.mkdir(parents=True)
    monkeypatch.setattr(paths, "PACKAGE_DIR", tmp_path / "package")
    assert resolve_checkpoint("exported") == bundled
    assert resolve_checkpoint("./exported") == exported


@pytest.mark.parametrize("file", ["model.safetensors", "vae.safetensors"])
def test_a_missing_or_damaged_weight_file_is_named(exported: Path, file: str) -> None:
    whole = (exported / file).read_bytes()
    (exported / file).write_bytes(whole[: len(whole) // 2])
    message = fails_with("is damaged .*: export the model again", PNDiffusion.get_pretrained, exported)
    assert str(exported / file) in message
    (exported / file).unlink()
    message = fails_with("is missing: export the model again", PNDiffusion.get_pretrained, exported)
    assert str(exported / file) in message


def flip(file: Path, place: int) -> None:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("file", ["model.safetensors", "vae.safetensors"])
def test_a_changed_bit_among_the_weights_is_found(exported: Path, file: str) -> None:
    flip(exported / file, -3)
    message = fails_with("their checksums differ", PNDiffusion.get_pretrained, exported)
    assert str(exported / file) in message


def test_files_of_two_exports_are_not_mixed(make_model: Make, exported: Path, tmp_path: Path) -> None:
    """As an export over another one leaves them when it is killed half-way."""
    other = make_model({"negative.alpha": 0.5})
    with torch.no_grad():
        other.dual.denoiser.null_token.add_(1)
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").rename(exported / "model.safetensors")
    fails_with("or of another export than its config.yaml", load_weights, exported)


def test_exports_of_earlier_versions_are_read(exported: Path) -> None:
    config = yaml.safe_load((exported / "config.yaml").read_text())
    assert sorted(config.pop("sha256")) == ["model.safetensors", "vae.safetensors"]
    (exported / "config.yaml").write_text(yaml.safe_dump(config))
    assert load_weights(exported).config == config


def test_a_changed_bit_in_a_checkpoint_is_found(make_model: Make, tmp_path: Path) -> None:
    """torch reads it without a word: it does not look at the checksums that it writes."""
    model = make_model()
    folder = write_experiment(tmp_path / "vae", "mel_vae", model.config, model.vae)
    value = max(model.vae.state_dict().values(), key=torch.numel).numpy().tobytes()
    flip(folder / "checkpoint.th", (folder / "checkpoint.th").read_bytes().index(value))
    torch.load(folder / "checkpoint.th", weights_only=True)
    message = fails_with("is damaged .*checkpoint", load_experiment, folder, "mel_vae")
    assert str(folder / "checkpoint.th") in message


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is not an exported model"),
        ("- 1\n- 2\n", "is not an exported model"),
        ("schema: 99\n", "is not an exported model of schema 1"),
        ("schema: 1\nsample_rate: 8000\n", "lacks .*unet"),
        ("a: [1, 2", "cannot be read"),
    ],
)
def test_a_damaged_configuration_is_named(exported: Path, text: str, message: str) -> None:
    (exported / "config.yaml").write_text(text)
    told = fails_with(message, PNDiffusion.get_pretrained, exported)
    assert str(exported) in told


def test_nothing_in_an_export_is_executed(exported: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (exported / "config.yaml").write_text(f"!!python/object/apply:os.mkdir ['{mark}']\n")
    fails_with("cannot be read", load_weights, exported)
    assert not mark.exists()


def test_nothing_in_an_experiment_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save({"xp.cfg": Bomb(mark), "best_state": {"model": {}}}, tmp_path / "checkpoint.th")
    message = fails_with("cannot be read .*damaged or not a checkpoint", load_weights, tmp_path)
    assert str(tmp_path / "checkpoint.th") in message
    assert not mark.exists()


def test_an_experiment_without_a_checkpoint(tmp_path: Path) -> None:
    fails_with("has no checkpoint.th: let the experiment finish an epoch", load_weights, tmp_path)


def test_a_damaged_or_foreign_experiment_is_named(make_model: Make, tmp_path: Path) -> None:
    model = make_model()
    folder = write_experiment(tmp_path / "vae", "mel_vae", model.config, model.vae)
    message = fails_with("is of solver 'mel_vae', 'pn_diffusion' is needed", load_weights, folder)
    assert str(folder) in message
    assert load_experiment(folder, "mel_vae")["xp.cfg"]["sample_rate"] == 8000
    whole = (folder / "checkpoint.th").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello"):
        (folder / "checkpoint.th").write_bytes(content)
        fails_with("is damaged .*: delete it to start", load_experiment, folder, "mel_vae")
    torch.save({"model": {}}, folder / "checkpoint.th")
    fails_with("cannot be read", load_experiment, folder, "mel_vae")


def test_an_experiment_whose_autoencoder_is_gone(make_model: Make, tmp_path: Path) -> None:
    model = make_model()
    gone = str(tmp_path / "gone")
    folder = write_experiment(tmp_path / "xp", "pn_diffusion", model.config, model.dual, vae_source=gone)
    fails_with(f"no checkpoint '{re.escape(gone)}'", load_weights, folder)


@pytest.mark.parametrize(
    "changes",
    [{"unet.channels": [8, 24]}, {"conditioning.temporal": "pooled"}, {"mel_vae.channels": [16, 8]}],
)
def test_weights_of_another_model_are_refused(
    make_model: Make, exported: Path, changes: dict[str, Any]
) -> None:
    other = make_model(changes).config
    text = yaml.safe_dump({"schema": 1, **{key: other[key] for key in builders.MODEL_KEYS}})
    (exported / "config.yaml").write_text(text)
    fails_with("belong to another model", PNDiffusion.get_pretrained, exported)


def test_many_differences_are_told_in_a_few_words(make_model: Make, exported: Path) -> None:
    names = load_file(exported / "model.safetensors")
    message = fails_with("another model", load_into, torch.nn.Linear(3, 3), names, "x.safetensors")
    assert "x.safetensors" in message
    message = fails_with("another model", load_into, make_model().dual, {}, "y.safetensors")
    assert "y.safetensors" in message
