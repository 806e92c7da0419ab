"""Errors that a user can correct. Each message is one line: what, where, remedy."""

from __future__ import annotations

import errno
import os
import re


class UserError(ValueError):
    """An input that cannot be used. The message names it and the remedy.

    Names and values from files may contain anything: control characters become spaces, and the middle of a long message
    is cut out.

    >>> str(UserError("no clip 'a\\nb': name another one"))
    "no clip 'a b': name another one"
    """

    def __init__(self, message: str = "") -> None:
        line = re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", message)
        super().__init__(line if len(line) <= 900 else f"{line[:600]} … {line[-250:]}")


class PNDiffusionWarning(UserWarning):
    """A warning for the user, printed on stderr by the command line."""


class VideoError(UserError):
    """A video file that cannot be used."""


class AudioError(UserError):
    """Audio that is missing or cannot be read."""


class FeatureFileError(UserError):
    """A feature file that is damaged or lacks requested features."""


class CheckpointError(UserError):
    """A checkpoint or weight file that is missing, damaged or of another model."""


class CorpusError(UserError):
    """A prepared corpus, manifest or split that cannot be used."""


_WHERE = "choose another folder with -o, or with PN_DIFFUSION_OUTPUTS for experiments and corpora"
_SYSTEM = {
    errno.ENOSPC: f"the disk is full: free some space, or {_WHERE}",
    errno.EDQUOT: f"the disk quota is exceeded: free some space, or {_WHERE}",
    errno.EFBIG: f"the file would be larger than the limit (ulimit -f): {_WHERE}",
    errno.EROFS: f"the file system is read-only: {_WHERE}",
    errno.EACCES: f"permission denied: change its permissions, or {_WHERE}",
    errno.EPERM: f"operation not permitted: change its owner or permissions, or {_WHERE}",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or use fewer --jobs",
    errno.ENOMEM: "there is not enough memory: close other programs, or use fewer --jobs",
}


def is_about_the_disk(error: BaseException) -> bool:
    """Whether every other write to the same place would fail as well: the disk is full or read-only."""
    return _code(error) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _code(error: BaseException) -> int | None:
    """The `errno` of an error, also of libraries that only include its text in their message."""
    if in_words := re.search(r"\(os error (\d+)\)", str(error)):
        return int(in_words[1])
    if os.strerror(errno.ENOSPC) in str(error):
        return errno.ENOSPC
    return getattr(error, "errno", None)


# Packages of the extra `train`, and audiocraft, which no resolver can install.
TRAINING_PACKAGES = (
    "audiocraft",
    "dora",
    "flashy",
    "hydra",
    "pytorchvideo",
    "submitit",
    "torchmetrics",
    "torchvision",
    "xformers",
)
TRAINING_REMEDY = (
    "pip install 'pn-diffusion-plugin[train]', then pip install --no-deps audiocraft==1.3.0 xformers"
)


def explain(error: BaseException) -> str | None:
    """The message for an error that a user can correct, or None for a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in TRAINING_PACKAGES:
        return f"training and experiments need {error.name}, which is not installed: {TRAINING_REMEDY}"
    if isinstance(error, ImportError) and (
        library := re.search(r"(\S+): cannot open shared object", str(error))
    ):
        return (
            f"the system library {library[1]} is missing: install it (libGL.so.1: `apt install libgl1` on Debian and "
            "Ubuntu, or pip install --force-reinstall --no-deps opencv-contrib-python-headless)"
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "there is not enough memory: use a smaller --windows-per-call or fewer --jobs, or a smaller "
            "dataset.batch_size in training"
        )
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return (
            "a loader process was killed, probably because memory was short: set a smaller dataset.num_workers and run "
            "the same command again; it resumes from the last checkpoint"
        )
    code = _code(error)
    if code in _SYSTEM:
        name = getattr(error, "filename", None)
        return f"{name}: {_SYSTEM[code]}" if name else _SYSTEM[code]
    return str(error) if isinstance(error, OSError) else None


def failure_text(source: object, error: BaseException) -> str:
    """One sentence for what went wrong with one of several inputs, an unexpected error too."""
    return explain(error) or f"{source} failed with {type(error).__name__}: {error}"
