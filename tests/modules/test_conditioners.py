"""The dance's conditioner with and without audiocraft: the same thing, and music is made without."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from audiocraft.modules.conditioners import BaseConditioner, ConditioningProvider

from pn_diffusion_plugin.data.condition import POSITIVE, DanceCondition
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.modules.conditioners import (
    DanceConditioner,
    DanceConditioningProvider,
    audiocraft_classes,
)
from pn_diffusion_plugin.modules.dance_encoder import DanceEncoder


def a_dance() -> DanceCondition:
    """A second and a bit of noise."""
    draw = torch.Generator().manual_seed(3)
    return DanceCondition(
        visual=torch.randn(1, 2, 6, generator=draw),
        motion=torch.rand(1, 32, 33, 3, generator=draw),
        detected=torch.ones(1, 32, dtype=torch.bool),
        visual_length=torch.tensor([2]),
        motion_length=torch.tensor([32]),
        visual_rate=[1.5625],
        motion_rate=[25.0],
        seconds=[1.28],
        path=[None],
        seek_time=[None],
    )


@pytest.mark.parametrize("output_dim", [None, 5])
def test_audiocraft_s_classes_do_the_same_with_the_same_weights(output_dim: int | None) -> None:
    providers = []
    for conditioner, provider in ((DanceConditioner, DanceConditioningProvider), audiocraft_classes()[:2]):
        torch.manual_seed(0)
        encoder = DanceEncoder(visual_dim=6, visual_out=4, motion_dim=8, channels=4, layers=1)
        providers.append(provider(conditioner(encoder, output_dim)).eval())
    plain, full = providers
    assert isinstance(full, ConditioningProvider) and isinstance(full.dance, BaseConditioner)
    assert full.text_conditions == [] and not full.has_joint_embed_conditions
    assert list(plain.state_dict()) == list(full.state_dict())
    assert all(
        torch.equal(a, b)
        for a, b in zip(plain.state_dict().values(), full.state_dict().values(), strict=True)
    )
    assert plain.dance.output_dim == full.dance.output_dim == (output_dim or encoder.output_dim)
    dance = a_dance()
    with torch.no_grad():
        tokenized = full.tokenize([DanceAttributes(dance={POSITIVE: dance})], (POSITIVE,))
        embedding, mask = full(tokenized)[POSITIVE]
        same, same_mask = plain(plain.collate([{POSITIVE: dance}], (POSITIVE,)))[POSITIVE]
    assert torch.equal(embedding, same) and torch.equal(mask, same_mask)
    with pytest.raises(ValueError, match="no stream 'dance_reverse'"):
        plain.collate([{POSITIVE: dance}])


def test_making_music_does_not_import_audiocraft() -> None:
    code = (
        "import sys; from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion; "
        "PNDiffusion.get_pretrained('mini'); "
        "print([name for name in ('audiocraft', 'spacy', 'hydra') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
