"""Denoiser: a Stable Diffusion U-Net over latents, conditioned on a dance in one of three ways.

pooled   cross attention over one token (the paper)
tokens   cross attention over one token per frame; latents and tokens have an embedding of their time in seconds
aligned  `tokens` without that embedding, and the dance aligned to the latent's columns as extra input channels
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from einops import repeat
from torch import nn

from ..modules import cross_attention
from ..modules.alignment import average_tokens, fold_to_columns, group_any, time_positions
from ..modules.dance_encoder import TEMPORAL, Temporal

Condition = tuple[torch.Tensor, torch.Tensor]  # embedding (B, T, D), mask (B, T)


class LatentDiffusion(nn.Module):
    """f(z_t, t, c): estimate of noise or v given a noisy latent and a dance.

    Args:
        latent_channels, latent_rows: C and F of the latent.
        condition_dim: D of the condition's tokens, and the cross-attention width (paper: 3072).
        temporal: conditioning, see the module's docstring.
        channels: widths of the U-Net's levels (paper: 128, 256, 512, 512).
        attention: levels with self- and cross-attention.
        layers_per_block, norm_num_groups: of diffusers' `UNet2DConditionModel`.
        head_dim: its `attention_head_dim`, which it uses as the *number* of heads: a head is channels / head_dim wide.
        token_rate: tokens per second of `tokens` and `aligned` conditions (Hz).
        column_seconds: seconds per latent column.
        samples_per_column: `aligned`: times at which the dance is sampled in a column.
        aligned_channels: `aligned`: width of the extra input channels.
        attention_stride: number of tokens that are averaged for cross attention.
        branch_flag: add a learned vector for the stream of a row to the timestep's embedding.
        styled: add the embedding of a style, which is part of the condition, to the timestep's embedding.
    """

    def __init__(
        self,
        *,
        latent_channels: int,
        latent_rows: int,
        condition_dim: int,
        temporal: Temporal = "aligned",
        channels: tuple[int, ...] = (128, 256, 512, 512),
        attention: tuple[bool, ...] = (True, True, True, False),
        layers_per_block: int = 2,
        head_dim: int = 8,
        norm_num_groups: int = 32,
        token_rate: float = 25.0,
        column_seconds: float = 0.1,
        samples_per_column: int = 4,
        aligned_channels: int = 32,
        attention_stride: int = 1,
        position_dim: int = 16,
        branch_flag: bool = False,
        styled: bool = False,
    ) -> None:
        super().__init__()
        if temporal not in TEMPORAL:
            raise ValueError(f"conditioning.temporal is {temporal!r}: choose from {', '.join(TEMPORAL)}")
        if len(attention) != len(channels):
            raise ValueError(
                f"attention has {len(attention)} levels and channels {len(channels)}: give one value per level in both"
            )
        if not 1 <= layers_per_block <= 16:
            raise ValueError(f"layers_per_block={layers_per_block}: give 1 to 16")
        self.temporal: Temporal = temporal
        self.latent_channels, self.latent_rows = latent_channels, latent_rows
        self.token_rate, self.column_seconds = token_rate, column_seconds
        self.samples_per_column = samples_per_column
        self.attention_stride = attention_stride
        self.position_dim = position_dim if temporal == "tokens" else 0
        self.null_token = nn.Parameter(torch.zeros(condition_dim))
        extra = {"pooled": 0, "tokens": position_dim, "aligned": aligned_channels}[temporal]
        self.fold = (
            nn.Conv1d(samples_per_column * condition_dim, aligned_channels, 3, padding=1)
            if temporal == "aligned"
            else None
        )
        self.token_position = nn.Linear(position_dim, condition_dim) if temporal == "tokens" else None
        down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention)
        up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention))
        self.unet: Any = UNet2DConditionModel(
            in_channels=latent_channels + extra,
            out_channels=latent_channels,
            block_out_channels=tuple(channels),
            down_block_types=down,
            up_block_types=up,
            layers_per_block=layers_per_block,
            cross_attention_dim=condition_dim,
            attention_head_dim=head_dim,
            norm_num_groups=norm_num_groups,
            class_embed_type="identity" if styled else None,
            num_class_embeds=2 if branch_flag and not styled else None,
        )
        cross_attention.install(self.unet)
        self.branch_flag, self.styled = branch_flag, styled
        self.time_dim: int = self.unet.time_embedding.linear_2.out_features
        if branch_flag and styled:  # diffusers has one class embedding: the sum is computed in `prepare`
            self.branch_embedding = nn.Embedding.from_pretrained(torch.zeros(2, self.time_dim), freeze=False)
        elif branch_flag:  # the branches are equal before training
            nn.init.zeros_(self.unet.class_embedding.weight)

    @property
    def column_multiple(self) -> int:
        """The number of latent columns must be a multiple of this."""
        return 2 ** (len(self.unet.config["block_out_channels"]) - 1)

    def drop(self, condition: Condition, dropped: torch.Tensor) -> Condition:
        """Replace the condition of some clips by "no dance", for classifier-free guidance (arXiv 2207.12598).

        Args:
            dropped: (B,) bool.
        """
        embedding, mask = condition
        return embedding, mask & ~dropped[:, None].to(mask.device)

    def null_condition(self, condition: Condition) -> Condition:
        """Return "no dance" in the shape of `condition`."""
        return self.drop(condition, torch.ones(len(condition[0]), dtype=torch.bool))

    def prepare(
        self,
        condition: Condition,
        columns: int,
        branch: int | torch.Tensor = 0,
        one_length: bool = False,
        style: Condition | None = None,
    ) -> dict[str, torch.Tensor]:
        """Compute what is constant over the denoising steps, once per clip.

        Where the mask is False (no dancer detected, or dropped) the embedding is a learned "no dance" token, which is
        attended to. Padding (mask False and embedding zero, see `DanceConditioner`) is not attended to, and the last
        token is repeated over the columns after the end of the dance.

        Args:
            columns: latent columns L.
            branch: 0 for the positive stream and "no dance", 1 for the negative; an int or (B,). Without
                `branch_flag` it has no effect.
            one_length: all segments have one length, so that none is padded; avoids a synchronisation with the device.
            style: embedding (B, 1, `time_dim`) and mask (B, 1), which is False where the style is `any`; None: `any`
                in all rows.

        Returns:
            Tensors of B rows each, which can be concatenated and split along the batch.
        """
        embedding, mask = condition
        real = mask | (embedding != 0).any(dim=-1)
        real = real | ~real.any(dim=1, keepdim=True)  # a clip of padding alone: no dance
        embedding = torch.where(mask[..., None], embedding, self.null_token.to(embedding.dtype))
        prepared: dict[str, torch.Tensor] = {}
        if self.branch_flag:
            labels = torch.as_tensor(branch, dtype=torch.long, device=embedding.device)
            prepared["branch"] = labels.expand(len(embedding))
        if self.styled:
            prepared["style"] = self._class_vector(style, embedding, prepared.pop("branch", None))
        elif style is not None:
            raise ValueError("a style for a denoiser without styles: give None")
        tokens = embedding
        if self.temporal == "tokens":
            assert self.token_position is not None
            at = time_positions(tokens.shape[1], self.token_rate, self.position_dim, tokens.device)
            tokens = tokens + self.token_position(at.to(tokens.dtype))
            of_column = time_positions(columns, 1 / self.column_seconds, self.position_dim, tokens.device)
            prepared["extra"] = repeat(
                of_column.to(tokens.dtype), "l d -> b d f l", b=len(tokens), f=self.latent_rows
            )
        elif self.temporal == "aligned":
            assert self.fold is not None
            lengths = (real * torch.arange(1, real.shape[1] + 1, device=real.device)).amax(dim=1)
            folded = self.fold(
                fold_to_columns(
                    embedding,
                    self.token_rate,
                    columns,
                    self.column_seconds,
                    self.samples_per_column,
                    mask,
                    lengths,
                )
            )
            prepared["extra"] = repeat(folded, "b d l -> b d f l", f=self.latent_rows)
        stride = self.attention_stride
        prepared["tokens"] = average_tokens(tokens, stride, _weights(mask, real, stride))
        if not one_length:
            attended = group_any(real, stride)
            if not attended.all():
                prepared["attended"] = attended
        return prepared

    def _class_vector(
        self, style: Condition | None, like: torch.Tensor, branch: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum of the embeddings of style and branch (B, `time_dim`), one row for each of `like`."""
        vector = like.new_zeros(len(like), self.time_dim)
        if style is not None:
            embedding, mask = style
            vector = torch.where(mask, embedding[:, 0], vector)
        return vector if branch is None else vector + self.branch_embedding(branch)

    def prepare_for_sampling(self, prepared: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Replace the tokens of `prepare` by cross attention's keys and values, for many denoising steps.

        Floating-point tensors are converted to the precision of this network's weights.
        """
        dtype = self.null_token.dtype
        of_sampling = {
            name: value.to(dtype) if value.is_floating_point() else value for name, value in prepared.items()
        }
        return of_sampling | {"tokens": cross_attention.keys_and_values(self.unet, of_sampling["tokens"])}

    def denoise(self, z: torch.Tensor, t: torch.Tensor, prepared: dict[str, torch.Tensor]) -> torch.Tensor:
        """Run the U-Net: z (B, C, F, L), t (B,) → (B, C, F, L), in the precision of z.

        Args:
            prepared: from `prepare` or `prepare_for_sampling`.
        """
        if "extra" in prepared:
            z = torch.cat([z, prepared["extra"].to(z.dtype)], dim=1)
        return self.unet(
            z,
            t,
            encoder_hidden_states=prepared["tokens"],
            encoder_attention_mask=prepared.get("attended"),
            class_labels=prepared.get("style", prepared.get("branch")),
            return_dict=False,
        )[0]

    def forward(
        self,
        z: torch.Tensor,
        t: torch.Tensor,
        condition: Condition,
        branch: int | torch.Tensor = 0,
        one_length: bool = False,
        style: Condition | None = None,
    ) -> torch.Tensor:
        return self.denoise(z, t, self.prepare(condition, z.shape[-1], branch, one_length, style))


def _weights(seen: torch.Tensor, real: torch.Tensor, stride: int) -> torch.Tensor:
    """Tokens in the mean of a group: the seen ones, or the real ones if none was seen. (B, T) bool."""
    in_group = [
        group_any(mask, stride).repeat_interleave(stride, dim=1)[:, : mask.shape[1]] for mask in (seen, real)
    ]
    return torch.where(in_group[0], seen, torch.where(in_group[1], real, torch.ones_like(real)))
