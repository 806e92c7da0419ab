"""The encoder's three ways: one token of the paper's width, or one a frame in which time can be seen."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.modules.dance_encoder import DanceEncoder

SMALL = dict(
    visual_dim=8, visual_out=4, motion_dim=6, channels=4, layers=1, motion_inputs=("position", "velocity")
)


def dance(frames: int = 50) -> dict:
    torch.manual_seed(0)
    return dict(
        visual=torch.randn(2, 4, 8),
        keypoints=torch.rand(2, frames, 33, 3),
        detected=torch.ones(2, frames, dtype=torch.bool),
        fps=25.0,
    )


def test_paper_width_is_3072():
    encoder = DanceEncoder(visual_dim=2048, visual_out=None, motion_dim=1024, temporal="pooled", layers=1)
    tokens, mask = encoder(
        torch.randn(1, 3, 2048), torch.rand(1, 9, 33, 3), torch.ones(1, 9, dtype=torch.bool), 25.0
    )
    assert tokens.shape == (1, 1, 3072) and mask.shape == (1, 1)


@pytest.mark.parametrize("temporal", ["tokens", "aligned"])
def test_one_token_a_frame(temporal):
    tokens, mask = DanceEncoder(**SMALL, temporal=temporal)(**dance())
    assert tokens.shape == (2, 50, 10) and mask.shape == (2, 50)


def test_visual_part_of_a_frame_is_that_of_the_window_that_shows_it():
    encoder = DanceEncoder(**SMALL, temporal="tokens")
    inputs = dance(52)
    before = encoder(**inputs)[0]
    inputs["visual"][:, 1] += 1
    changed = (encoder(**inputs)[0] - before).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(13, 26))


def test_pooled_motion_ignores_frames_without_a_dancer():
    encoder = DanceEncoder(
        **{**SMALL, "visual_out": 0, "motion_inputs": ("position",)}, temporal="pooled", kernel_size=1
    )
    inputs = dance()
    inputs["detected"][:, 20:] = False
    before = encoder(**inputs)[0]
    inputs["keypoints"][:, 20:, 15] += 0.3  # a hand: the torso length is not touched
    torch.testing.assert_close(encoder(**inputs)[0], before)


def test_mask_is_where_somebody_was_found():
    inputs = dance()
    inputs["detected"][0, :7] = False
    assert torch.equal(DanceEncoder(**SMALL, temporal="aligned")(**inputs)[1], inputs["detected"])


def test_streams_can_be_left_out_but_not_both():
    assert DanceEncoder(**{**SMALL, "motion_dim": 0}, temporal="pooled")(**dance())[0].shape == (2, 1, 4)
    assert DanceEncoder(**{**SMALL, "visual_out": 0}, temporal="pooled")(**dance())[0].shape == (2, 1, 6)
    with pytest.raises(ValueError, match="both"):
        DanceEncoder(**{**SMALL, "motion_dim": 0, "visual_out": 0})
    with pytest.raises(ValueError, match="temporal"):
        DanceEncoder(**SMALL, temporal="sometimes")  # type: ignore[arg-type]
