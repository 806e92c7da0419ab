"""The style of the music, e.g. its genre, as an audiocraft condition.

Needs torch alone; `conditioners.audiocraft_classes` makes the subclass of audiocraft's `BaseConditioner`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

#: Name of the condition, beside those of the dances in `data.condition`.
STYLE = "style"
#: Name of label 0: no style.
ANY = "any"


class StyleConditioner(nn.Module):
    """Embed a batch of styles: labels (B,) → (embedding (B, 1, D), mask (B, 1)).

    Label 0 is `any`: as in audiocraft's `LUTConditioner`, its mask is False and its embedding exactly zero. The others
    are zero before training, so that all styles are equal then.

    Args:
        names: styles in the order of their labels, from 1.
        dim: width D of the embedding.

    >>> conditioner = StyleConditioner(["house", "waltz"], dim=4)
    >>> conditioner.tokenize(["waltz", None, "any", "polka"])
    tensor([2, 0, 0, 0])
    >>> embedding, mask = conditioner(torch.tensor([2, 0]))
    >>> embedding.shape, mask.tolist()
    (torch.Size([2, 1, 4]), [[True], [False]])
    """

    def __init__(self, names: Sequence[str], dim: int, device: torch.device | str = "cpu") -> None:
        nn.Module.__init__(self)  # not super(): the subclass for audiocraft must not run audiocraft's
        self.names = tuple(names)
        self.dim = self.output_dim = dim
        self.output_proj = nn.Identity()
        # From zeros, and not drawn: the random numbers of the other weights stay those of a model without styles.
        zeros = torch.zeros(1 + len(self.names), dim)
        self.embedding = nn.Embedding.from_pretrained(zeros, freeze=False, padding_idx=0)
        self.device = device
        self._labels = {name: label for label, name in enumerate(self.names, start=1)}

    def tokenize(self, styles: Sequence[str | None]) -> torch.Tensor:
        """Labels (B,) of styles, on the device. None and names that are not in the list are `any`."""
        return torch.tensor([self._labels.get(style or ANY, 0) for style in styles]).to(self.device)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = inputs[:, None] != 0
        embedding = self.embedding(inputs)[:, None]
        return embedding * mask[..., None].to(embedding.dtype), mask
