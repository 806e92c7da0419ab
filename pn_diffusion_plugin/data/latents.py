"""Latents of training segments on disk, so that no segment is encoded twice.

What is kept is the autoencoder's posterior, its mean and log-variance, not a sample of it: every time a segment comes
up its latent is drawn anew. One safetensors file a clip, memory-mapped, of all segments that may be drawn of it.
A file's name holds what it was made from, so what is outdated is never read: it is made again beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from audiocraft.data.audio_dataset import AudioMeta
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..utils.files import atomic_path, sha256_file

_OPEN = 1024  # files that are kept open at once


class LatentStore:
    """Posteriors of segments: `store(meta, start)` gives (2C, F, L), means before log-variances, and real samples.

    Args:
        folder: of all stores; this one gets a folder within it, named after `recipe`.
        recipe: everything the posteriors depend on but the sound and where segments begin: the weights' hash, the
            mel's settings, lengths.
    """

    def __init__(self, folder: str | Path, recipe: Mapping[str, Any]) -> None:
        text = json.dumps(recipe, sort_keys=True)
        self.folder = Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.recipe = text
        self._paths: dict[str, Path] = {}  # audio → its file
        self._open: OrderedDict[str, tuple[dict[float, int], list[int], Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}  # loader processes open their own

    def add(self, meta: AudioMeta, starts: Sequence[float]) -> bool:
        """Announce a clip and where its segments begin (s); whether its file is there already."""
        wanted = hashlib.sha256(json.dumps([sha256_file(Path(meta.path)), list(starts)]).encode())
        path = self.folder / f"{Path(meta.path).stem}-{wanted.hexdigest()[:16]}.safetensors"
        self._paths[meta.path] = path
        if not path.is_file():
            return False
        try:
            with safe_open(path, "pt") as file:
                return "moments" in file.keys()
        except (SafetensorError, OSError):  # torn by a failing disk: made again
            return False

    def write(
        self, meta: AudioMeta, starts: Sequence[float], moments: torch.Tensor, n_frames: Sequence[int]
    ) -> None:
        """Keep the posteriors (K, 2C, F, L) of a clip's K segments, and how many samples of each are real."""
        path = self._paths[meta.path]
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {
            "moments": moments.float().cpu().contiguous(),
            "starts": torch.tensor(starts, dtype=torch.float64),
            "n_frames": torch.tensor(n_frames, dtype=torch.int64),
        }
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {"recipe": self.recipe})

    def __call__(self, meta: AudioMeta, start: float) -> tuple[torch.Tensor, int]:
        """Raises KeyError for a clip that was not added, or a segment that does not begin where segments do."""
        if meta.path not in self._open:
            file = safe_open(self._paths[meta.path], "pt")
            starts = {start: k for k, start in enumerate(file.get_tensor("starts").tolist())}
            self._open[meta.path] = starts, file.get_tensor("n_frames").tolist(), file.get_slice("moments")
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)
        starts, n_frames, moments = self._open[meta.path]
        self._open.move_to_end(meta.path)
        k = starts[start]
        return moments[k : k + 1][0], n_frames[k]
