"""Paths of the Hydra configuration, of the outputs and of the weights in the package."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE_DIR.parent
IN_CHECKOUT = (_CHECKOUT / "config" / "config.yaml").exists() and (_CHECKOUT / "pyproject.toml").exists()
_START = Path.cwd()  # Hydra changes the working directory later


def config_dir() -> Path:
    """Folder of the Hydra configuration: `config/` of the checkout, or its copy in the installed wheel."""
    return _CHECKOUT / "config" if IN_CHECKOUT else PACKAGE_DIR / "_config"


def base_dir() -> Path:
    """Folder that relative paths of the configuration refer to: the checkout, or where the program was started."""
    return _CHECKOUT if IN_CHECKOUT else _START


def outputs_dir() -> Path:
    """Folder of corpora, experiments and demos; the environment variable `PN_DIFFUSION_OUTPUTS` overrides it."""
    return Path(os.environ.get("PN_DIFFUSION_OUTPUTS") or base_dir() / "outputs").absolute()


def resolve(path: str | Path) -> Path:
    """Make a path of the configuration absolute; one that begins with `outputs/` is in `outputs_dir()`."""
    path = Path(path).expanduser()
    if path.is_absolute():
        return path
    if path.parts[:1] == ("outputs",):
        return outputs_dir().joinpath(*path.parts[1:])
    return base_dir() / path


#: Bundled weights that are used where none are named: docs/findings.md.
DEFAULT_WEIGHTS = "band"


def weights_dir(name: str) -> Path:
    """Folder of the weights `name` in the package (it need not exist)."""
    return PACKAGE_DIR / "weights" / name
