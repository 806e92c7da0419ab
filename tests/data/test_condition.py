"""Segments of a dance: the right seconds of both streams, forward and backward, alone and in batches."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_corpus import DIM, make_features

from pn_diffusion_plugin.data.condition import collate_dance, dance_conditions, nullify_dance
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.errors import UserError


def test_shapes_and_lengths_of_the_mini_setup():
    positive, negative = dance_conditions(make_features(8.0), 1.0, 5.2, "a.safetensors")
    for condition in (positive, negative):
        assert condition.visual.shape == (1, 4, DIM) and condition.visual.dtype == torch.float32
        assert condition.motion.shape == (1, 130, 33, 3) and condition.motion.dtype == torch.float32
        assert condition.detected.shape == (1, 130) and condition.detected.dtype == torch.bool
        assert condition.motion_length.tolist() == [130] and condition.visual_length.tolist() == [4]
        assert condition.motion_rate == [25.0] and condition.visual_rate == [pytest.approx(1 / 1.28)]
        assert (condition.path, condition.seek_time, condition.seconds) == (["a.safetensors"], [1.0], [5.2])


@pytest.mark.parametrize("start", [0.0, 1.0, 1.3371, 2.8])
def test_motion_shows_the_asked_seconds(start):
    positive, negative = dance_conditions(make_features(8.0), start, 5.2)
    times = positive.motion[0, :, 0, 0].numpy()
    np.testing.assert_allclose(times, start + np.arange(130) / 25, atol=1e-4)
    torch.testing.assert_close(negative.motion, positive.motion.flip(1))


def test_negative_is_the_same_segment_of_the_reversed_video():
    features = make_features(8.0)
    _, negative = dance_conditions(features, 1.0, 5.2)
    positive_of_reversed, _ = dance_conditions(features.reversed(), 8.0 - 1.0 - 5.2, 5.2)
    torch.testing.assert_close(negative.motion, positive_of_reversed.motion, atol=1e-4, rtol=0)
    torch.testing.assert_close(negative.visual, positive_of_reversed.visual)


def test_whole_clip_when_no_length_is_given():
    positive, _ = dance_conditions(make_features(3.0))
    assert positive.motion.shape[1] == 75 and positive.seconds == [3.0]


def test_a_short_clip_is_padded_at_the_end_of_both_streams():
    positive, negative = dance_conditions(make_features(4.0), 1.0, 5.2)
    for condition in (positive, negative):
        assert condition.motion.shape == (1, 130, 33, 3) and condition.visual.shape == (1, 4, DIM)
        assert condition.motion_length.tolist() == [75] and condition.visual_length.tolist() == [2]
        assert not condition.detected[0, 75:].any()
        torch.testing.assert_close(
            condition.motion[:, 75:], condition.motion[:, 74:75].expand(-1, 55, -1, -1)
        )
    torch.testing.assert_close(negative.motion[:, :75], positive.motion[:, :75].flip(1))


@pytest.mark.parametrize("start", [-0.1, 8.0, 9.0])
def test_a_segment_outside_the_clip_is_rejected(start):
    with pytest.raises(UserError, match=r"x\.safetensors is 8 s long and has no segment"):
        dance_conditions(make_features(8.0), start, 1.0, "x.safetensors")


def test_batches_are_padded_and_keep_their_fields():
    long, _ = dance_conditions(make_features(8.0), 0.0, 5.2, "long")
    short, _ = dance_conditions(make_features(8.0), 2.0, 2.6, "short")
    batch = collate_dance([long, short])
    assert batch.batch_size == 2
    assert batch.motion.shape == (2, 130, 33, 3) and batch.visual.shape == (2, 4, DIM)
    assert batch.motion_length.tolist() == [130, 65] and batch.visual_length.tolist() == [4, 2]
    assert batch.path == ["long", "short"] and batch.seek_time == [0.0, 2.0] and batch.seconds == [5.2, 2.6]
    torch.testing.assert_close(batch.motion[1, :65], short.motion[0])
    assert not batch.motion[1, 65:].any() and not batch.detected[1, 65:].any()
    again = collate_dance([batch, long])  # batches can be joined as well
    assert again.motion_length.tolist() == [130, 65, 130]


def test_batches_of_different_encoders_are_refused():
    one, _ = dance_conditions(make_features(2.0), path="one")
    other = one._replace(visual=torch.zeros(1, 2, DIM + 1), path=["other"])
    with pytest.raises(UserError, match="one, other have visual features of sizes"):
        collate_dance([one, other])


def test_no_dance_has_the_same_shape_and_length_zero():
    condition, _ = dance_conditions(make_features(2.0))
    nothing = nullify_dance(condition)
    assert nothing.motion.shape == condition.motion.shape and not nothing.motion.any()
    assert nothing.motion_length.tolist() == nothing.visual_length.tolist() == [0]
    assert condition.motion.any()


def test_attributes_are_audiocrafts_with_a_dance():
    from audiocraft.modules.conditioners import ConditioningAttributes

    positive, negative = dance_conditions(make_features(2.0))
    attributes = DanceAttributes(text={"genre": "pop"}, dance={"dance": positive, "dance_reverse": negative})
    assert isinstance(attributes, ConditioningAttributes)
    assert list(attributes.attributes["dance"]) == ["dance", "dance_reverse"]
    assert attributes["dance"]["dance"] is positive
    flat = attributes.to_flat_dict()
    assert set(flat) == {"text.genre", "dance.dance", "dance.dance_reverse"}
    assert DanceAttributes.from_flat_dict(flat).dance["dance_reverse"] is negative
    assert copy.deepcopy(attributes).dance["dance"].motion is not positive.motion
    assert DanceAttributes().dance == {}


def test_condition_needs_no_audiocraft_hydra_or_dora():
    code = (
        "import sys\n"
        "for name in ('audiocraft', 'hydra', 'dora', 'spacy'): sys.modules[name] = None\n"
        "import pn_diffusion_plugin.data.condition, pn_diffusion_plugin.data.corpora.prepare"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_portrait_video_is_not_stretched() -> None:
    square = make_features(2.0)
    portrait = copy.copy(square)
    portrait.header = replace(square.header, aspect=9 / 16)
    for mine, theirs in zip(dance_conditions(portrait), dance_conditions(square), strict=True):
        torch.testing.assert_close(mine.motion[..., 0], theirs.motion[..., 0] * 9 / 16)
        assert torch.equal(mine.motion[..., 1:], theirs.motion[..., 1:])
