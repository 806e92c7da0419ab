"""The smallest visual encoder there is, for tests that are not about I3D."""

from __future__ import annotations

from torch import Tensor

from pn_diffusion_plugin.data.features.feature_file import FeatureSpec

SPEC = FeatureSpec(visual_window=8, visual_hop=8, visual_encoder="mean_colour")


class MeanColour:
    """The smallest encoder there is: the mean colour of every picture of a window."""

    name, dim, weights_sha256 = "mean_colour", 24, "0" * 64

    def __call__(self, windows: Tensor) -> Tensor:
        return windows.mean(dim=(3, 4)).flatten(1)
