"""Cache of the latents of training segments on disk, so that no segment is encoded twice.

It stores the posterior of the autoencoder, mean and log-variance, and not a sample: a new latent is sampled every time
a segment is used. One memory-mapped safetensors file per clip holds all segments that may be drawn from it. The file
name contains a hash of the inputs, so outdated files are never read.
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

_MAX_OPEN = 1024  # files


class LatentStore:
    """Posteriors of segments.

    `store(meta, start)` returns the posterior (2C, F, L), means before log-variances, and the number of samples that
    are not padding.

    Args:
        folder: parent folder; the subfolder is named by a hash of `recipe`.
        recipe: everything the posteriors depend on except the sound and the starts of segments: hash of the weights,
            settings of the mel spectrogram, lengths.
    """

    def __init__(self, folder: str | Path, recipe: Mapping[str, Any]) -> None:
        text = json.dumps(recipe, sort_keys=True)
        self.folder = Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.recipe = text
        self._paths: dict[str, Path] = {}  # sound file → cache file
        self._open: OrderedDict[str, tuple[dict[float, int], list[int], Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict()}  # loader processes open their own

    def add(self, meta: AudioMeta, starts: Sequence[float]) -> bool:
        """Register a clip and the starts of its segments (s); returns whether its file exists."""
        wanted = hashlib.sha256(json.dumps([sha256_file(Path(meta.path)), list(starts)]).encode())
        path = self.folder / f"{Path(meta.path).stem}-{wanted.hexdigest()[:16]}.safetensors"
        self._paths[meta.path] = path
        if not path.is_file():
            return False
        try:
            with safe_open(path, "pt") as file:
                return "moments" in file.keys()
        except (SafetensorError, OSError):  # damaged: written again
            return False

    def write(
        self, meta: AudioMeta, starts: Sequence[float], posteriors: torch.Tensor, n_frames: Sequence[int]
    ) -> None:
        """Write the posteriors (K, 2C, F, L) of the K segments of a clip, and their numbers of unpadded samples."""
        path = self._paths[meta.path]
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {
            "moments": posteriors.float().cpu().contiguous(),
            "starts": torch.tensor(starts, dtype=torch.float64),
            "n_frames": torch.tensor(n_frames, dtype=torch.int64),
        }
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {"recipe": self.recipe})

    def __call__(self, meta: AudioMeta, start: float) -> tuple[torch.Tensor, int]:
        """Raises KeyError for a clip or a start that was not registered with `add`."""
        if meta.path not in self._open:
            file = safe_open(self._paths[meta.path], "pt")
            starts = {start: k for k, start in enumerate(file.get_tensor("starts").tolist())}
            self._open[meta.path] = starts, file.get_tensor("n_frames").tolist(), file.get_slice("moments")
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        starts, n_frames, posteriors = self._open[meta.path]
        self._open.move_to_end(meta.path)
        k = starts[start]
        return posteriors[k : k + 1][0], n_frames[k]
