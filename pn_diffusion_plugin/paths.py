"""Where things are: the Hydra tree, and the folder for everything that is made."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE_DIR.parent
IN_CHECKOUT = (_CHECKOUT / "config" / "config.yaml").exists() and (_CHECKOUT / "pyproject.toml").exists()
_START = Path.cwd()  # Hydra changes the working directory later on.


def config_dir() -> Path:
    """The Hydra tree: `config/` of the checkout, or the copy inside the installed wheel."""
    return _CHECKOUT / "config" if IN_CHECKOUT else PACKAGE_DIR / "_config"


def base_dir() -> Path:
    """What relative paths of the config are relative to: the checkout, or the folder the program started in."""
    return _CHECKOUT if IN_CHECKOUT else _START


def outputs_dir() -> Path:
    """Folder of corpora, experiments and demos; `PN_DIFFUSION_OUTPUTS` overrides it."""
    return Path(os.environ.get("PN_DIFFUSION_OUTPUTS") or base_dir() / "outputs").absolute()


def resolve(path: str | Path) -> Path:
    """Absolute form of a path of the config; one beginning with `outputs/` follows `PN_DIFFUSION_OUTPUTS`."""
    path = Path(path).expanduser()
    if path.is_absolute():
        return path
    if path.parts[:1] == ("outputs",):
        return outputs_dir().joinpath(*path.parts[1:])
    return base_dir() / path


def weights_dir(name: str) -> Path:
    """Folder of the weights that ship with the package under `name` (it need not exist)."""
    return PACKAGE_DIR / "weights" / name
