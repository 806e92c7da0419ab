"""Latents of scores are their images, rearranged."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.data.score.image import GROUP, ROWS
from pn_diffusion_plugin.models.score_patches import ScorePatches


def test_images_come_back() -> None:
    patches = ScorePatches(4)
    image = torch.rand(2, 1, ROWS, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    z = patches.encode(image)
    assert z.shape == (2, patches.latent_channels, patches.latent_rows, 6)
    torch.testing.assert_close(patches.decode(z), image)
    assert not list(patches.parameters()) and not patches.state_dict()


def test_silence_is_zero_and_a_patch_is_a_group_of_rows_and_frames() -> None:
    patches = ScorePatches(4)
    image = torch.full((1, 1, ROWS, 16), -1.0)
    assert not patches.encode(image).any()
    image[0, 0, 2 * GROUP + 3, 9] = 1.0
    changed = patches.encode(image).nonzero()
    assert changed[:, 2:].tolist() == [[2, 2]]  # the third group, the third column


def test_the_posterior_has_no_variance() -> None:
    patches = ScorePatches(2)
    image = torch.rand(1, 1, ROWS, 8) * 2 - 1
    posterior = patches.posterior(image)
    torch.testing.assert_close(posterior.sample(), posterior.mode())


@pytest.mark.parametrize(("rows", "frames"), [(32, 8), (ROWS, 6)])
def test_other_sizes_are_refused(rows: int, frames: int) -> None:
    with pytest.raises(ValueError, match=f"{rows} x {frames}"):
        ScorePatches(4).posterior(torch.zeros(1, 1, rows, frames))
