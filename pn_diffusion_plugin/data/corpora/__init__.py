"""Corpora: where clips come from and how they are prepared."""

from __future__ import annotations

from pathlib import Path

from ...errors import CorpusError


def ensure_corpus(name: str, root: Path) -> None:
    """Make the corpus `name` in `root` when it is not there, or finish it; one that is whole is left alone.

    Raises:
        CorpusError: for a corpus that cannot be made without the user.
    """
    manifests = [root / "egs" / split / "data.jsonl" for split in ("train", "valid", "test")]
    if all(manifest.is_file() and manifest.stat().st_size for manifest in manifests):
        return
    if name != "mini":
        raise CorpusError(
            f"{root} is no prepared corpus: make it with `pn-diffusion prepare {name} VIDEOS {root}`"
        )
    import os

    from .mini.prepare import prepare_mini

    prepare_mini(root, jobs=os.cpu_count() or 1)
