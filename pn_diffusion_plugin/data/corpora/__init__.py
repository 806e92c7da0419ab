"""Corpora: where clips come from and how they are prepared."""

from __future__ import annotations

from pathlib import Path

from ...errors import CorpusError
from ...utils.files import exclusive


def ensure_corpus(name: str, root: Path) -> None:
    """Make the corpus `name` in `root` when it is not there, or finish it; one that is whole is left alone.

    Raises:
        CorpusError: for a corpus that cannot be made without the user.
    """
    if _is_whole(root):
        return
    if name != "mini":
        sources = "" if name == "generated" else "VIDEOS "
        raise CorpusError(
            f"{root} is no prepared corpus: make it with `pn-diffusion prepare {name} {sources}{root}`"
        )
    import os

    from .mini.prepare import prepare_mini

    with exclusive(root.with_name(f".{root.name}.lock")):  # one makes it, others wait
        if not _is_whole(root):
            prepare_mini(root, jobs=os.cpu_count() or 1)


def _is_whole(root: Path) -> bool:
    """Whether all three manifests list clips."""
    manifests = [root / "egs" / split / "data.jsonl" for split in ("train", "valid", "test")]
    return all(manifest.is_file() and manifest.stat().st_size for manifest in manifests)
