"""Cached keys and values of cross attention, computed once instead of at every denoising step.

They are projections of the condition's tokens, which are constant over the steps. The projections of all layers are
concatenated to one tensor (B, T, W), which takes the place of the tokens (diffusers' `encoder_hidden_states`); every
layer reads its own columns. So batches are concatenated, split and masked as usual, and layers have no state.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from einops import rearrange
from torch import nn
from torch.nn import functional as F


class CrossAttention(AttnProcessor2_0):
    """diffusers' attention processor that also accepts the output of `keys_and_values`.

    Args:
        first: first column of the layer.
        total: columns of all layers.
    """

    def __init__(self, first: int, total: int) -> None:
        super().__init__()
        self.first, self.total = first, total

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, N, D) → (B, N, D); `encoder_hidden_states`: tokens (B, T, D') or keys and values (B, T, W)."""
        if encoder_hidden_states is None or encoder_hidden_states.shape[-1] != self.total:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)
        own = encoder_hidden_states[..., self.first : self.first + 2 * attn.inner_dim]
        query, key, value = (
            rearrange(x, "b n (h d) -> b h n d", h=attn.heads)
            for x in (attn.to_q(hidden_states), *own.chunk(2, dim=-1))
        )
        if attention_mask is not None:  # (B, 1, T), added to the scores
            attention_mask = attention_mask[:, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        return attn.to_out[1](attn.to_out[0](rearrange(mixed, "b h n d -> b n (h d)")))


def install(unet: nn.Module) -> None:
    """Make the cross-attention layers of a `UNet2DConditionModel` accept the output of `keys_and_values`, or tokens."""
    layers = list(_layers(unet))
    total = sum(2 * layer.inner_dim for layer in layers)
    total += any(total == layer.cross_attention_dim for layer in layers)  # distinguishable from tokens
    first = 0
    for layer in layers:
        layer.set_processor(CrossAttention(first, total))
        first += 2 * layer.inner_dim


def keys_and_values(unet: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """Keys and values (B, T, W) of all layers for tokens (B, T, D'); the tokens if there is no cross attention."""
    layers = list(_layers(unet))
    if not layers:
        return tokens
    projected = torch.cat([to(tokens) for layer in layers for to in (layer.to_k, layer.to_v)], dim=-1)
    processor = layers[0].processor
    assert isinstance(processor, CrossAttention)  # `install` was called
    return F.pad(projected, (0, processor.total - projected.shape[-1]))


def _layers(unet: nn.Module) -> Iterator[Attention]:
    """Cross-attention layers in a fixed order."""
    for module in unet.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            yield module
