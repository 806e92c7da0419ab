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


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_places_of_a_dancer_or_joint_that_was_not_found_change_nothing(temporal):
    encoder = DanceEncoder(**SMALL, temporal=temporal)
    inputs = dance()
    inputs["detected"][0, 8:20] = False
    inputs["keypoints"][1, 30:, 15, 2] = 0.0  # a hand out of view
    tokens, mask = encoder(**inputs)
    keypoints = inputs["keypoints"].clone()
    keypoints[0, 8:20] = torch.randn(12, 33, 3)
    keypoints[1, 30:, 15, :2] = torch.randn(20, 2)
    changed, _ = encoder(**{**inputs, "keypoints": keypoints})
    assert torch.equal(changed[mask], tokens[mask])
    keypoints[0, 25, 3] += 0.2
    assert not torch.allclose(encoder(**{**inputs, "keypoints": keypoints})[0], tokens)


@torch.no_grad()
@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_padding_changes_nothing(temporal):
    encoder = DanceEncoder(**SMALL, temporal=temporal)
    inputs = dance(40)
    alone, _ = encoder(**inputs)
    padded = dict(
        visual=torch.cat([inputs["visual"], torch.randn(2, 2, 8)], dim=1),
        keypoints=torch.cat([inputs["keypoints"], torch.rand(2, 25, 33, 3)], dim=1),
        detected=torch.ones(2, 65, dtype=torch.bool),
        fps=25.0,
        visual_length=torch.tensor([4, 4]),
        motion_length=torch.tensor([40, 40]),
        sizes=[(4, 40), (4, 40)],
    )
    padded["sizes"] = [(4, 40), (6, 65)]  # the second clip's segment is longer than what is there of it
    tokens, mask = encoder(**padded)
    kept = alone.shape[1]
    torch.testing.assert_close(tokens[:1, :kept], alone[:1])
    assert mask.sum(dim=1).tolist() == [kept, kept]


def test_no_dance_at_all_is_told_by_the_mask():
    inputs = dict(dance(), visual_length=torch.tensor([0, 4]), motion_length=torch.tensor([0, 50]))
    for temporal, there in (("pooled", 1), ("aligned", 50)):
        mask = DanceEncoder(**SMALL, temporal=temporal)(**inputs)[1]
        assert mask.sum(dim=1).tolist() == [0, there]
    motion_only = DanceEncoder(**{**SMALL, "visual_out": 0}, temporal="pooled")
    undetected = {**dance(), "detected": torch.zeros(2, 50, dtype=torch.bool)}
    tokens, mask = motion_only(**undetected)
    assert not mask.any() and tokens.isfinite().all()
