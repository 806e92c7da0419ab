"""The style as a condition: labels, embedding, and audiocraft's classes."""

from __future__ import annotations

import pytest
import torch
from audiocraft.modules.conditioners import BaseConditioner, ConditioningProvider

from pn_diffusion_plugin.data.condition import NEGATIVE, POSITIVE, DanceCondition
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.modules.conditioners import (
    ConditionerClasses,
    DanceConditioningProvider,
    audiocraft_classes,
)
from pn_diffusion_plugin.modules.dance_encoder import DanceEncoder
from pn_diffusion_plugin.modules.style import STYLE, StyleConditioner

NAMES = ("house", "waltz", "disco")
WIDTH = 6


@pytest.fixture
def conditioner() -> StyleConditioner:
    return StyleConditioner(NAMES, WIDTH)


def a_dance() -> DanceCondition:
    """A dance of 1.28 s, of noise."""
    draw = torch.Generator().manual_seed(3)
    visual, motion = torch.randn(1, 2, 6, generator=draw), torch.rand(1, 32, 33, 3, generator=draw)
    detected, lengths = torch.ones(1, 32, dtype=torch.bool), (torch.tensor([2]), torch.tensor([32]))
    return DanceCondition(visual, motion, detected, *lengths, [1.5625], [25.0], [1.28], [None], [None])


def provider(classes: ConditionerClasses, styles: tuple[str, ...] = NAMES) -> DanceConditioningProvider:
    """A provider of random weights, always the same."""
    torch.manual_seed(0)
    encoder = DanceEncoder(visual_dim=6, visual_out=4, motion_dim=8, channels=4, layers=1)
    style = classes.style(styles, WIDTH) if styles else None
    return classes.provider(classes.dance(encoder), style=style).eval()


def test_labels_count_from_any(conditioner: StyleConditioner) -> None:
    labels = conditioner.tokenize(["house", "disco", None, "any", "polka", "", "House"])
    assert labels.tolist() == [1, 3, 0, 0, 0, 0, 0]
    assert labels.dtype == torch.long


def test_all_styles_are_equal_at_first(conditioner: StyleConditioner) -> None:
    embedding, mask = conditioner(torch.arange(4))
    assert embedding.shape == (4, 1, WIDTH) and not embedding.any()
    assert mask.tolist() == [[False], [True], [True], [True]]


@torch.no_grad()
def test_a_changed_label_changes_its_rows_only(conditioner: StyleConditioner) -> None:
    labels = torch.tensor([1, 2, 0, 2, 3])
    before, _ = conditioner(labels)
    conditioner.embedding.weight[2] += 1
    after, _ = conditioner(labels)
    assert (before != after).flatten(1).any(1).tolist() == [False, True, False, True, False]


def test_any_is_no_embedding_and_learns_nothing(conditioner: StyleConditioner) -> None:
    torch.nn.init.normal_(conditioner.embedding.weight)
    embedding, _ = conditioner(torch.tensor([0, 1]))
    assert not embedding[0].any() and embedding[1].all()
    embedding.sum().backward()
    gradient = conditioner.embedding.weight.grad
    assert gradient is not None and gradient.any(1).tolist() == [False, True, False, False]


def test_audiocrafts_provider_has_both_conditions() -> None:
    plain, full = provider(ConditionerClasses()), provider(audiocraft_classes())
    assert isinstance(full, ConditioningProvider) and set(full.conditioners) == {POSITIVE, STYLE}
    assert all(isinstance(one, BaseConditioner) for one in full.conditioners.values())
    assert isinstance(full.style, StyleConditioner) and not isinstance(plain.style, BaseConditioner)
    assert full.text_conditions == [] and not full.has_wav_condition and not full.has_joint_embed_conditions
    assert list(plain.state_dict()) == list(full.state_dict())
    without = provider(ConditionerClasses(), ())
    assert without.style is None
    for name, value in without.state_dict().items():  # the styles take no random numbers
        assert torch.equal(value, plain.state_dict()[name])


@torch.no_grad()
def test_the_provider_embeds_dances_and_styles() -> None:
    full = provider(audiocraft_classes())
    assert full.style is not None
    torch.nn.init.normal_(full.style.embedding.weight)
    dances = {POSITIVE: a_dance(), NEGATIVE: a_dance()}
    genres = [{"genre": "waltz", "bpm": None}, {"genre": None}, {}]
    tokenized = full.tokenize([DanceAttributes(text=text, dance=dances) for text in genres])
    assert tokenized[STYLE].tolist() == [2, 0, 0]
    conditions = full(tokenized)
    assert set(conditions) == {POSITIVE, NEGATIVE, STYLE}
    assert torch.equal(conditions[STYLE][0][0, 0], full.style.embedding.weight[2])
    without = provider(audiocraft_classes(), ())
    same = without(without.tokenize([DanceAttributes(text=text, dance=dances) for text in genres]))
    assert set(same) == {POSITIVE, NEGATIVE}
    for name, (embedding, mask) in same.items():
        assert torch.equal(embedding, conditions[name][0]) and torch.equal(mask, conditions[name][1])
    assert full.collate([dances], (POSITIVE,))[STYLE].tolist() == [0]
    assert full.collate([dances], (POSITIVE,), ["disco"])[STYLE].tolist() == [3]


def test_styles_that_do_not_fit_are_named() -> None:
    dances = {POSITIVE: a_dance()}
    with pytest.raises(ValueError, match="2 styles for 1 clips: give one per clip"):
        provider(ConditionerClasses()).collate([dances], (POSITIVE,), ["house", "waltz"])
    without = provider(ConditionerClasses(), ())
    assert set(without.collate([dances], (POSITIVE,), ["any"])) == {POSITIVE}
    with pytest.raises(ValueError, match="style 'waltz' for a model without styles"):
        without.collate([dances], (POSITIVE,), ["waltz"])
