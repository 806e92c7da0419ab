"""The dance as a condition of audiocraft's language model, by attention and by addition to the frames.

MusicGen generates one frame of codes after the other, so a time-resolved condition can simply be added to the input
of its frame: step s of the model's sequence, which predicts frame s, gets the dance of frame s. (audiocraft's own
`input_interpolate` stretches the condition over its input, i.e. over a single step in generation.)
The same three ways as PN-Diffusion's U-Net has:

pooled   cross attention over one token (the paper)
tokens   cross attention over one token a moment, with its time in seconds
aligned  `tokens`, and the dance of each frame added to the frame's input
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from audiocraft.modules.conditioners import ConditionFuser, ConditioningProvider
from torch import nn
from torch.nn import functional as F

from ...data.condition import POSITIVE, nullify_dance
from ...data.dance_attributes import DanceAttributes
from ...modules.alignment import average_tokens, fold_to_columns, group_any, time_positions
from ...modules.conditioners import DanceConditioner, DanceConditioningProvider
from ...modules.dance_encoder import TEMPORAL, Temporal

ATTENDED, FRAMES = "dance_tokens", "dance_frames"


class Share(Protocol):
    """The part of `solvers.distributed.Share` that is used here."""

    @property
    def clips(self) -> int: ...

    def of(self, whole: torch.Tensor) -> torch.Tensor: ...


Conditions = dict[str, tuple[torch.Tensor, torch.Tensor]]


def without_dance(attributes: DanceAttributes) -> DanceAttributes:
    """Return the attributes with null dances (audiocraft's own null conditions cover texts and waves only)."""
    return replace(attributes, dance={name: nullify_dance(dance) for name, dance in attributes.dance.items()})


class DanceDropout(nn.Module):
    """In training, drop the dance of each clip with probability `p` (arXiv 2207.12598).

    audiocraft's `ClassifierFreeGuidanceDropout` drops the conditions of a whole batch or of none.

    Attributes:
        share: clips of an update that this worker sees, so that the same clips are dropped on any number of workers.
            None: all.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.share: Share | None = None

    def forward(self, samples: Sequence[DanceAttributes]) -> list[DanceAttributes]:
        if not self.training or self.p == 0:
            return list(samples)
        share = self.share
        drawn = torch.rand(len(samples)) if share is None else share.of(torch.rand(share.clips))
        dropped = drawn < self.p
        return [without_dance(x) if out else x for x, out in zip(samples, dropped, strict=True)]


class DanceLMProvider(DanceConditioningProvider, ConditioningProvider):
    """PN-Diffusion's provider, projected to the language model's width and frames.

    Args:
        conditioner: the shared dance encoder.
        dim: width of the language model.
        temporal: conditioning, see the module's docstring.
        token_rate: tokens per second of the conditioner (Hz).
        frame_rate: frames of codes per second (Hz).
        samples_per_frame: `aligned`: times at which the dance is sampled in a frame.
        frame_kernel: `aligned`: odd number of dance frames that a frame depends on, itself in the middle.
        attention_stride: tokens averaged to one before cross attention.

    Shape:
        `{"dance_tokens": (B, T', dim)}` and with `aligned` also `{"dance_frames": (B, S, dim)}`,
        S = seconds · frame_rate; all masks are True: frames without a dancer have a learned embedding, and
        audiocraft's attention does not support masks. The segments of a batch have one length, as their codes have.
    """

    def __init__(
        self,
        conditioner: DanceConditioner,
        *,
        dim: int,
        temporal: Temporal,
        token_rate: float,
        frame_rate: float,
        samples_per_frame: int = 1,
        frame_kernel: int = 9,
        attention_stride: int = 1,
        position_dim: int = 16,
        device: torch.device | str = "cpu",
    ) -> None:
        if temporal not in TEMPORAL:
            raise ValueError(f"conditioning.temporal is {temporal!r}: choose from {', '.join(TEMPORAL)}")
        if frame_kernel % 2 == 0:
            raise ValueError(f"conditioning.frame_kernel is {frame_kernel}: give an odd number")
        super().__init__(conditioner, device=device)
        self.temporal: Temporal = temporal
        self.token_rate, self.frame_rate = token_rate, frame_rate
        self.samples_per_frame = samples_per_frame
        self.attention_stride = 1 if temporal == "pooled" else attention_stride
        width = conditioner.output_dim
        self.null_token = nn.Parameter(torch.zeros(width))
        self.attended = nn.Linear(width, dim)
        self.position_dim = position_dim
        self.position = None if temporal == "pooled" else nn.Linear(position_dim, width)
        self.fold = (
            nn.Conv1d(samples_per_frame * width, dim, frame_kernel, padding=frame_kernel // 2)
            if temporal == "aligned"
            else None
        )

    def tokenize(  # type: ignore[override]
        self, inputs: list[DanceAttributes], streams: tuple[str, ...] = (POSITIVE,)
    ) -> dict[str, Any]:
        """Collate the positive dances."""
        return super().tokenize(inputs, streams)

    def forward(self, tokenized: dict[str, Any]) -> Conditions:
        dance = tokenized[POSITIVE]
        if len(set(dance.seconds)) > 1:
            raise ValueError(f"a batch mixes segments of {sorted(set(dance.seconds))} s: use one length")
        embedding, mask = super().forward({POSITIVE: dance})[POSITIVE]
        embedding = torch.where(mask[..., None], embedding, self.null_token.to(embedding.dtype))
        tokens = embedding
        if self.position is not None:
            at = time_positions(tokens.shape[1], self.token_rate, self.position_dim, tokens.device)
            tokens = tokens + self.position(at.to(tokens.dtype))
        # The mean of a group is over its detected tokens; over the learned ones where none was detected.
        seen = group_any(mask, self.attention_stride).repeat_interleave(self.attention_stride, dim=1)
        included = mask | ~seen[:, : mask.shape[1]]
        averaged = average_tokens(tokens, self.attention_stride, included)
        conditions = {ATTENDED: _unmasked(self.attended(averaged))}
        if self.fold is not None:
            frames = round(max(dance.seconds) * self.frame_rate)
            folded = fold_to_columns(
                embedding, self.token_rate, frames, 1 / self.frame_rate, self.samples_per_frame, mask
            )
            conditions[FRAMES] = _unmasked(self.fold(folded).transpose(1, 2))
        return conditions


def _unmasked(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)


class FrameFuser(ConditionFuser):
    """audiocraft's fuser, adding to each step the dance of its own frame, also in step-by-step generation.

    Steps beyond the last frame (the delayed codebooks' last ones) get nothing.
    """

    def forward(
        self, input: torch.Tensor, conditions: Conditions
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if FRAMES in conditions:
            frames, mask = conditions[FRAMES]
            offsets = self._streaming_state.get("offsets")
            start = 0 if offsets is None else int(offsets[0])
            end = start + input.shape[1]
            shown = F.pad(frames, (0, 0, 0, max(0, end - frames.shape[1])))[:, start:end]
            conditions = {**conditions, FRAMES: (shown, mask)}
        return super().forward(input, conditions)
