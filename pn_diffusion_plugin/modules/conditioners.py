"""Dance and style as audiocraft conditions: one encoder for the positive and the negative dance.

`DanceConditioner` and `DanceConditioningProvider` need torch alone: generating music works without audiocraft, whose
conditioners take seconds to import. Training uses the same classes as subclasses of audiocraft's `BaseConditioner`
and `ConditioningProvider` (`audiocraft_classes`), with the same parameter names, so that they fit wherever audiocraft
expects its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from ..data.condition import NEGATIVE, POSITIVE, DanceCondition, collate_dance, length_to_mask
from .dance_encoder import DanceEncoder
from .style import ANY, STYLE, StyleConditioner

if TYPE_CHECKING:
    from ..data.dance_attributes import DanceAttributes


class DanceConditioner(nn.Module):
    """Embed a batch of dances: `DanceCondition` → (embedding (B, T, D), mask (B, T)).

    The mask is False at frames without a detected dancer and in padding. A batch may mix segments of different
    lengths: beyond the tokens of a segment the embedding is exactly zero, and only there, which distinguishes padding
    from frames without a dancer.

    Args:
        encoder: shared by both dances.
        output_dim: width of the embedding; None: that of the encoder, without a projection (the paper).
    """

    def __init__(
        self, encoder: DanceEncoder, output_dim: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        nn.Module.__init__(self)  # not super(): the subclass for audiocraft must not run audiocraft's
        self.dim, self.output_dim = encoder.output_dim, output_dim or encoder.output_dim
        # Created in any case, as in audiocraft's base class: a seed gives the same weights in all versions.
        self.output_proj: nn.Module = nn.Linear(self.dim, self.output_dim)
        if output_dim is None:
            self.output_proj = nn.Identity()
        self.encoder = encoder
        self.device = device

    def tokenize(self, conditions: list[DanceCondition]) -> DanceCondition:
        """Collate conditions of one clip each and move them to the device."""
        return collate_dance(conditions).to(self.device)

    def forward(self, inputs: DanceCondition) -> tuple[torch.Tensor, torch.Tensor]:
        rates = set(inputs.motion_rate)
        if len(rates) > 1:
            raise ValueError(
                f"a batch mixes keypoints at {sorted(rates)} frames per second: prepare all clips with one rate"
            )
        sizes = [
            (max(1, round(seconds * visual_rate)), max(1, round(seconds * motion_rate)))
            for seconds, visual_rate, motion_rate in zip(
                inputs.seconds, inputs.visual_rate, inputs.motion_rate, strict=True
            )
        ]
        tokens, mask = self.encoder(
            inputs.visual,
            inputs.motion,
            inputs.detected,
            rates.pop(),
            inputs.visual_length,
            inputs.motion_length,
            sizes,
            inputs.streams,
        )
        embedding = self.output_proj(tokens)
        if self.encoder.temporal != "pooled" and len(set(sizes)) > 1:
            frames = torch.tensor([frames for _, frames in sizes], device=embedding.device)
            own = length_to_mask(frames, embedding.shape[1])
            embedding = embedding * own[..., None].to(embedding.dtype)
        return embedding, mask


class DanceConditioningProvider(nn.Module):
    """Conditions of a dance under the keys `dance` (positive) and `dance_reverse` (negative).

    One conditioner embeds both: the negative is a dance too, and the objective compares the two.

    Args:
        conditioner: of the dances.
        style: conditioner of the music's style, a further condition under the key `style`; None: no such condition.
    """

    def __init__(
        self,
        conditioner: DanceConditioner,
        device: torch.device | str = "cpu",
        style: StyleConditioner | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.device = device
        self.conditioners = nn.ModuleDict({POSITIVE: conditioner})
        if style is not None:
            self.conditioners[STYLE] = style

    @property
    def dance(self) -> DanceConditioner:
        """The shared conditioner."""
        conditioner = self.conditioners[POSITIVE]
        assert isinstance(conditioner, DanceConditioner)
        return conditioner

    @property
    def style(self) -> StyleConditioner | None:
        """The conditioner of the style; None without one."""
        if STYLE not in self.conditioners:
            return None
        conditioner = self.conditioners[STYLE]
        assert isinstance(conditioner, StyleConditioner)
        return conditioner

    def tokenize(
        self, inputs: list[DanceAttributes], streams: tuple[str, ...] = (POSITIVE, NEGATIVE)
    ) -> dict[str, Any]:
        """Collate the dances of attributes, and their styles (the text `genre`), see `collate`."""
        styles = None if self.style is None else [x.text.get("genre") for x in inputs]
        return self.collate([x.dance for x in inputs], streams, styles)

    def collate(
        self,
        dances: Sequence[Mapping[str, DanceCondition]],
        streams: tuple[str, ...] = (POSITIVE, NEGATIVE),
        styles: Sequence[str | None] | None = None,
    ) -> dict[str, Any]:
        """Collate the named dances of the clips: {name: DanceCondition (B, …)}, and `style`: labels (B,).

        Args:
            dances: of each clip, by name.
            streams: names of those that are used.
            styles: one per clip; None: `any` for all.

        Raises:
            ValueError: a clip lacks one of them, or there are styles without a conditioner for them.
        """
        styles = [None] * len(dances) if styles is None else styles
        if len(styles) != len(dances):
            raise ValueError(f"{len(styles)} styles for {len(dances)} clips: give one per clip")
        named = sorted({style for style in styles if style not in (None, ANY)})
        if named and self.style is None:
            raise ValueError(f"style {named[0]!r} for a model without styles: give none")
        for dance in dances:
            missing = [name for name in streams if name not in dance]
            if missing:
                raise ValueError(
                    f"a clip has no stream {missing[0]!r} (it has: {', '.join(dance) or 'none'})"
                )
        collated = {name: self.dance.tokenize([dance[name] for dance in dances]) for name in streams}
        return collated if self.style is None else collated | {STYLE: self.style.tokenize(styles)}

    def forward(self, tokenized: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Embed all dances in one batched pass of the encoder, and the styles."""
        styles = {}
        if self.style is not None and STYLE in tokenized:
            styles = {STYLE: self.style(tokenized[STYLE])}
        names = [name for name in tokenized if name != STYLE]
        if not names:
            return styles
        first = tokenized[names[0]]
        batch = first if len(names) == 1 else collate_dance([tokenized[name] for name in names])
        embedding, mask = self.dance(batch)
        return {
            name: (e, m)
            for name, e, m in zip(names, embedding.chunk(len(names)), mask.chunk(len(names)), strict=True)
        } | styles


class ConditionerClasses(NamedTuple):
    """Classes that a model's conditions are built of."""

    dance: type[DanceConditioner] = DanceConditioner
    provider: type[DanceConditioningProvider] = DanceConditioningProvider
    style: type[StyleConditioner] = StyleConditioner


@cache
def audiocraft_classes() -> ConditionerClasses:
    """Return the classes of the conditions as subclasses of audiocraft's classes.

    They are created here, and not at import, so that this file does not import audiocraft.
    """
    from audiocraft.modules.conditioners import BaseConditioner, ConditioningProvider

    class AudiocraftDanceConditioner(DanceConditioner, BaseConditioner):  # type: ignore[misc]
        """`DanceConditioner` as an audiocraft `BaseConditioner`."""

    class AudiocraftDanceProvider(DanceConditioningProvider, ConditioningProvider):  # type: ignore[misc]
        """`DanceConditioningProvider` as an audiocraft `ConditioningProvider`."""

    class AudiocraftStyleConditioner(StyleConditioner, BaseConditioner):  # type: ignore[misc]
        """`StyleConditioner` as an audiocraft `BaseConditioner`."""

    return ConditionerClasses(AudiocraftDanceConditioner, AudiocraftDanceProvider, AudiocraftStyleConditioner)
