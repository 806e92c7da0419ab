"""Load trained weights from Dora experiments and exported folders, and export them.

An exported folder contains `config.yaml` (the model's configuration and the checksums of the weights),
`model.safetensors` (provider and denoiser), `vae.safetensors` and, with a trained vocoder, `vocoder.safetensors`;
nothing is pickled. An experiment's folder contains `checkpoint.th`, which is loaded with `weights_only=True` after its
checksums were verified.
"""

from __future__ import annotations

import contextlib
import re
import textwrap
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ... import paths
from ...errors import CheckpointError, UserError
from ...utils.files import atomic_path, sha256_file

ModuleT = TypeVar("ModuleT", bound=torch.nn.Module)

EXPORT_SCHEMA = 1
_CONFIG, _MODEL, _VAE = "config.yaml", "model.safetensors", "vae.safetensors"
VOCODER_FILE = "vocoder.safetensors"


@dataclass
class Weights:
    """Configuration and state dicts of a trained model.

    Attributes:
        vocoder: source of its vocoder for `vocoders.trained.load_vocoder`; None: it has none.
    """

    config: dict[str, Any]
    model: dict[str, torch.Tensor]
    vae: dict[str, torch.Tensor]
    vocoder: str | None = None


def resolve_checkpoint(name: str | Path) -> Path:
    """Resolve a checkpoint's name to a folder.

    Args:
        name: name of bundled weights; a folder, relative to the working directory or the checkout; `//sig/SIG` or a
            Dora signature; `OWNER/NAME` or `OWNER/NAME@REVISION` of an exported model on the Hugging Face hub, which is
            downloaded to the hub's cache.

    Raises:
        CheckpointError: there is no such checkpoint, or the hub cannot be reached.
    """
    text = str(name)
    if re.fullmatch(r"\w[\w.-]*", text) and paths.weights_dir(text).is_dir():
        return paths.weights_dir(text)
    for folder in (Path(text).expanduser().absolute(), paths.resolve(text)):
        if folder.is_file():
            return folder.parent
        if folder.is_dir():
            return folder
    sig = text.removeprefix("//sig/")
    if re.fullmatch(r"[0-9a-f]{8}", sig):
        folder = dora_dir() / "xps" / sig
        if folder.is_dir():
            return folder
    if _is_hub_id(text):
        return _from_hub(text)
    raise CheckpointError(
        f"no checkpoint {text!r}: give the folder of an exported model, a Dora signature of "
        f"{dora_dir()}, the name of bundled weights, or OWNER/NAME of a model on the Hugging Face hub"
    )


def _is_hub_id(text: str) -> bool:
    """Whether a name can be one of the hub: OWNER/NAME, with OWNER not a local folder."""
    if not re.fullmatch(r"[\w][\w.-]*/[\w][\w.-]*(@[\w./-]+)?", text):
        return False
    owner = text.split("/")[0]
    return owner != "outputs" and not any(Path(base, owner).is_dir() for base in (".", paths.base_dir()))


def _from_hub(text: str) -> Path:
    """Download a model from the Hugging Face hub and return its folder."""
    from huggingface_hub import snapshot_download

    repository, _, revision = text.partition("@")
    try:
        folder = snapshot_download(
            repository, revision=revision or None, allow_patterns=["*.safetensors", "*.yaml", "*.json"]
        )
    except Exception as error:  # many classes, some from its HTTP library
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
        raise CheckpointError(
            f"no checkpoint {text!r}: there is no such folder, and the download from the Hugging Face hub failed "
            f"({reason}): check the name and the connection, or give the folder of a downloaded model"
        ) from error
    if not Path(folder, _CONFIG).is_file():
        raise CheckpointError(
            f"{text!r} on the Hugging Face hub has no {_CONFIG}: give a model written by `pn-diffusion export`"
        )
    return Path(folder)


def dora_dir() -> Path:
    """Folder of Dora's experiments, as set by `train.py`."""
    from audiocraft.environment import AudioCraftEnvironment

    return paths.resolve(AudioCraftEnvironment.get_dora_dir())


def load_experiment(folder: Path, solver: str) -> dict[str, Any]:
    """Load the last checkpoint of an experiment.

    Raises:
        CheckpointError: it is missing, damaged or of another solver.
    """
    file = folder / "checkpoint.th"
    if not file.is_file():
        raise CheckpointError(
            f"{folder} has no checkpoint.th: let the experiment finish an epoch, or give another one"
        )
    try:
        check_whole(file)
        state = torch.load(file, "cpu", weights_only=True)
        config, _ = state["xp.cfg"], state["best_state"]["model"]
        dict(config)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"{file} cannot be read ({type(error).__name__}): it is damaged or not a checkpoint "
            "of this project"
        ) from error
    found = config.get("solver")
    if found != solver and (found, solver) != (
        "distill",
        "pn_diffusion",
    ):  # a student is a PN-Diffusion model
        raise CheckpointError(
            f"{file} is of solver {config.get('solver')!r}, {solver!r} is needed: give another checkpoint"
        )
    return state


def check_whole(file: Path) -> None:
    """Verify the checksums (CRC-32 of each record) of a checkpoint, which torch writes and does not check.

    Raises:
        CheckpointError: the file is truncated or changed.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        broken = str(error) or type(error).__name__
    if broken is not None:
        raise CheckpointError(
            f"{file} is damaged ({textwrap.shorten(broken, 100)}), perhaps by a full disk: delete it to start the "
            "experiment again, or replace it by an earlier copy (checkpoint_EPOCH.th)"
        )


def load_weights(name: str | Path) -> Weights:
    """Load a trained PN-Diffusion model by folder, signature or bundled name.

    Raises:
        CheckpointError: see `resolve_checkpoint`; also for missing or damaged files.
    """
    folder = resolve_checkpoint(name)
    if (folder / _CONFIG).is_file():
        return _load_exported(folder)
    state = load_experiment(folder, "pn_diffusion")
    source = state["vae_source"]
    vae = {} if source is None else load_vae_weights(source).vae
    return Weights(state["xp.cfg"], state["best_state"]["model"], vae, state.get("vocoder_source"))


def vae_source(name: str | Path) -> str | None:
    """Source of the autoencoder of a PN-Diffusion model, for `load_vae_weights`; None: it has no weights.

    Raises:
        CheckpointError: see `load_weights`.
    """
    folder = resolve_checkpoint(name)
    if (folder / _CONFIG).is_file():
        return str(name)
    source: str | None = load_experiment(folder, "pn_diffusion")["vae_source"]
    return source


def load_vae_weights(name: str | Path) -> Weights:
    """Load the autoencoder of a `mel_vae` experiment or an exported model.

    Raises:
        CheckpointError: see `load_weights`.
    """
    folder = resolve_checkpoint(name)
    if (folder / _CONFIG).is_file():
        return _load_exported(folder)
    state = load_experiment(folder, "mel_vae")
    return Weights(state["xp.cfg"], {}, state["best_state"]["model"])


def _load_exported(folder: Path) -> Weights:
    config, sha256 = read_config(folder)
    model, vae = (read_tensors(folder / file, sha256.get(file)) for file in (_MODEL, _VAE))
    vocoder = config.get("vocoder")
    trained = isinstance(vocoder, dict) and vocoder.get("name", "griffin_lim") != "griffin_lim"
    return Weights(config, model, vae, str(folder) if trained else None)


def read_config(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the configuration of an exported model and the checksums of its weights (none in early versions).

    Raises:
        CheckpointError: it is missing, damaged, or of another schema.
    """
    file = folder / _CONFIG
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise CheckpointError(
            f"{file} cannot be read ({type(error).__name__}): export the model again"
        ) from error
    if not isinstance(config, dict) or config.get("schema") != EXPORT_SCHEMA:
        raise CheckpointError(f"{file} is not an exported model of schema {EXPORT_SCHEMA}: export it again")
    sha256 = config.pop("sha256", {})
    if not isinstance(sha256, dict):
        raise CheckpointError(f"{file} has no checksums under sha256: export the model again")
    return config, sha256


def read_tensors(file: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read weights of an exported model and verify their checksum, if given.

    Raises:
        CheckpointError: the file is missing or damaged, or its checksum differs.
    """
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: export the model again")
    try:
        tensors = load_file(file)
        found = sha256 and sha256_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file} is damaged ({error}): export the model again") from error
    if found != sha256:
        raise CheckpointError(
            f"{file} is damaged, or of another export than its {_CONFIG} (their checksums differ): export the model "
            "again"
        )
    return tensors


@contextlib.contextmanager
def config_errors(name: str | Path) -> Iterator[None]:
    """Convert any error of building a model into a CheckpointError about its configuration."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of Python, torch and diffusers, many classes
        raise CheckpointError(
            f"no model can be built from the configuration of {name} ({type(error).__name__}: {error}): export the "
            "model again"
        ) from error


def load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], what: str) -> None:
    """Load a state dict, raising CheckpointError where names or shapes differ."""
    try:
        # On the meta device tensors are assigned, which compares names and shapes only.
        module.load_state_dict(dict(state), assign=any(value.is_meta for value in module.parameters()))
    except RuntimeError as error:
        detail = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        detail = textwrap.shorten(detail, 200, placeholder=" …")  # may list hundreds of weights
        raise CheckpointError(
            f"the weights of {what} belong to another model ({detail}): use the configuration they were trained with, "
            "or other weights"
        ) from error


def build_with_state(
    make: Callable[[torch.device | str], ModuleT],
    state: Mapping[str, torch.Tensor],
    what: str,
    device: torch.device | str,
) -> ModuleT:
    """Build a module and load its state dict.

    It is built on the meta device first, since a damaged configuration may contain any size.

    Args:
        make: builds the module for a device.
        state, what: see `load_into`.

    Raises:
        CheckpointError: names or shapes differ.
    """
    with torch.device("meta"):
        load_into(make("meta"), state, what)
    module = make(device)
    load_into(module, state, what)
    return module


def save_exported(
    folder: str | Path,
    weights: Weights,
    keys: tuple[str, ...],
    vocoder: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write an exported model, each file atomically.

    Args:
        folder: created if missing.
        keys: sections of the configuration to export.
        vocoder: weights of the model's own vocoder.
    """
    config = {"schema": EXPORT_SCHEMA, **{key: weights.config[key] for key in keys}}
    parts: dict[str, Mapping[str, torch.Tensor]] = {_MODEL: weights.model, _VAE: weights.vae}
    if vocoder is not None:
        parts[VOCODER_FILE] = vocoder
    folder = write_exported(folder, config, parts)
    if vocoder is None:  # of an earlier export
        (folder / VOCODER_FILE).unlink(missing_ok=True)
    return folder


def write_exported(
    folder: str | Path, config: Mapping[str, Any], parts: Mapping[str, Mapping[str, torch.Tensor]]
) -> Path:
    """Write weight files (name → tensors), then the configuration with their checksums."""
    folder = Path(folder)
    sha256 = {}
    for file, tensors in parts.items():
        with atomic_path(folder / file) as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
            sha256[file] = sha256_file(temporary)
    with atomic_path(folder / _CONFIG) as temporary:
        temporary.write_text(yaml.safe_dump({**config, "sha256": sha256}, sort_keys=False), encoding="utf-8")
    return folder
