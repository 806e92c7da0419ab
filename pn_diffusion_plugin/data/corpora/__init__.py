"""Prepared corpora and their sources."""

from __future__ import annotations

from pathlib import Path

from ...errors import CorpusError
from ...utils.files import exclusive


def ensure_corpus(name: str, root: Path) -> None:
    """Make the corpus `name` in `root`, unless it is complete.

    Raises:
        CorpusError: the corpus needs videos of the user.
    """
    if _is_complete(root):
        return
    if name != "mini":
        sources = "" if name == "generated" else "VIDEOS "
        raise CorpusError(
            f"{root} is not a prepared corpus: make it with `pn-diffusion prepare {name} {sources}{root}`"
        )
    import os

    from .synthetic.prepare import prepare_mini

    with exclusive(root.with_name(f".{root.name}.lock")):  # one process makes it, others wait
        if not _is_complete(root):
            prepare_mini(root, jobs=os.cpu_count() or 1)


def _is_complete(root: Path) -> bool:
    """Whether all three manifests list clips."""
    manifests = [root / "egs" / split / "data.jsonl" for split in ("train", "valid", "test")]
    return all(manifest.is_file() and manifest.stat().st_size for manifest in manifests)
