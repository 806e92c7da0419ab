from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pn_diffusion_plugin.modules.cross_attention import install, keys_and_values


def unet(tokens: int = 12, attention: bool = True) -> UNet2DConditionModel:
    """Three cross-attention layers of 16 channels: below, above and in the middle, or none but the middle's."""
    torch.manual_seed(0)
    cross = "CrossAttn" if attention else ""
    made = UNet2DConditionModel(
        in_channels=2,
        out_channels=2,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", f"{cross}DownBlock2D"),
        up_block_types=(f"{cross}UpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn" if attention else None,
        layers_per_block=1,
        cross_attention_dim=tokens,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return made.eval()


def run(model: nn.Module, tokens: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    z = torch.randn(2, 2, 8, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(z, 7, encoder_hidden_states=tokens, encoder_attention_mask=mask, return_dict=False)[0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("width", [12, 128])  # 4 layers of 16 keys and 16 values make 128 columns
def test_cached_keys_and_values_change_nothing(width: int, masked: bool) -> None:
    model, tokens = unet(width), torch.randn(2, 5, width)
    mask = torch.tensor([[True] * 5, [True, True, False, False, True]]) if masked else None
    expected = run(model, tokens, mask)
    install(model)
    assert torch.equal(run(model, tokens, mask), expected)
    cached = keys_and_values(model, tokens)
    assert cached.shape == (2, 5, 128 if width == 12 else 129)
    assert torch.allclose(run(model, cached, mask), expected, atol=1e-6)
    if masked:
        changed = torch.where(mask[..., None], cached, 100.0)  # type: ignore[index]
        assert torch.allclose(run(model, changed, mask), expected, atol=1e-6)


def test_a_step_no_longer_pays_for_the_tokens() -> None:
    model, tokens = unet(), torch.randn(2, 5, 12)
    install(model)
    counts = []
    for given in (tokens, keys_and_values(model, tokens)):
        with FlopCounterMode(display=False) as counter:
            run(model, given)
        counts.append(counter.get_total_flops())
    assert counts[0] - counts[1] == 4 * 2 * (2 * 5) * 2 * 12 * 16  # layers, K and V, tokens, multiply and add


def test_a_network_that_does_not_attend_keeps_its_tokens() -> None:
    model, tokens = unet(attention=False), torch.randn(2, 5, 12)
    install(model)
    assert keys_and_values(model, tokens) is tokens


def test_gradients_and_names_are_as_they_were() -> None:
    model = unet()
    names = list(model.state_dict())
    install(model)
    assert list(model.state_dict()) == names
    tokens = torch.randn(2, 5, 12, requires_grad=True)
    z = torch.randn(2, 2, 8, 16)
    model(z, 7, encoder_hidden_states=tokens, return_dict=False)[0].sum().backward()
    assert tokens.grad is not None and tokens.grad.abs().sum() > 0
