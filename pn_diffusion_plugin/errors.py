"""Mistakes a user can make, each told in one sentence that names the thing and the remedy."""

from __future__ import annotations

import errno
import os
import re


class UserError(ValueError):
    """Something the user gave cannot be used; the message says what and how to mend it, in one line.

    Names and values out of files may hold anything: line breaks become spaces, and what is too long loses its middle.

    >>> str(UserError("no clip 'a\\nb': name another one"))
    "no clip 'a b': name another one"
    """

    def __init__(self, message: str = "") -> None:
        line = re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", message)
        super().__init__(line if len(line) <= 900 else f"{line[:600]} … {line[-250:]}")


class PNDiffusionWarning(UserWarning):
    """Something that works, but hardly as the user meant it; the command line prints it on stderr."""


class VideoError(UserError):
    """A video file that cannot be used."""


class AudioError(UserError):
    """A sound track that is missing or cannot be read."""


class FeatureFileError(UserError):
    """A feature file that is damaged or does not hold what was asked for."""


class CheckpointError(UserError):
    """A checkpoint or weight file that is missing, damaged or made for another model."""


class CorpusError(UserError):
    """A prepared corpus, manifest or split that cannot be used."""


_WHERE = "choose another folder with -o, or with PN_DIFFUSION_OUTPUTS for experiments and corpora"
_SYSTEM = {
    errno.ENOSPC: f"the disk is full: free some space, or {_WHERE}",
    errno.EDQUOT: f"your share of the disk is used up: free some space, or {_WHERE}",
    errno.EFBIG: f"the file would be larger than is allowed here (ulimit -f): {_WHERE}",
    errno.EROFS: f"the file system may only be read: {_WHERE}",
    errno.EACCES: f"you may not read or write it: change its permissions, or {_WHERE}",
    errno.EPERM: f"you may not change it: change its owner or permissions, or {_WHERE}",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or give fewer --jobs",
    errno.ENOMEM: "there is not enough memory: close other programs, or give fewer --jobs",
}


def is_about_the_disk(error: BaseException) -> bool:
    """Whether whatever else is written there would fail too: the disk is full or may only be read."""
    return _code(error) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _code(error: BaseException) -> int | None:
    """Number of the system's error, which libraries may tell in words."""
    if in_words := re.search(r"\(os error (\d+)\)", str(error)):
        return int(in_words[1])
    if os.strerror(errno.ENOSPC) in str(error):
        return errno.ENOSPC
    return getattr(error, "errno", None)


def explain(error: BaseException) -> str | None:
    """One sentence for an error that a user can do something about, or None for a bug.

    Libraries that write files by themselves (safetensors, torch, libsndfile) tell of a full disk in words only.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "there is not enough memory: give a smaller --windows-per-call or fewer --jobs, or a smaller "
            "dataset.batch_size in training"
        )
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return (
            "a process that loads clips was killed, as the system does when memory is short: give fewer with "
            "dataset.num_workers and run the same command again, which goes on from the last checkpoint"
        )
    code = _code(error)
    if code in _SYSTEM:
        name = getattr(error, "filename", None)
        return f"{name}: {_SYSTEM[code]}" if name else _SYSTEM[code]
    return str(error) if isinstance(error, OSError) else None


def failure_text(source: object, error: BaseException) -> str:
    """One sentence for what went wrong with one of several inputs, an unexpected error too."""
    return explain(error) or f"{source} failed with {type(error).__name__}: {error}"
