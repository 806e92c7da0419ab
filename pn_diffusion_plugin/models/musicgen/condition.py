"""The dance as a condition of audiocraft's language model: what is attended to, and what is added frame by frame.

MusicGen generates one frame of codes after the other, so a time-resolved condition can simply be added to the input
of its frame: step s of the model's sequence, which predicts frame s, is told the dance of frame s. (audiocraft's own
`input_interpolate` stretches the condition over whatever it is given, and so over a single step when generating.)
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
from audiocraft.modules.conditioners import ConditionFuser
from torch import nn
from torch.nn import functional as F

from ...data.condition import POSITIVE
from ...data.dance_attributes import DanceAttributes
from ...modules.alignment import average_tokens, fold_to_columns, group_any, time_positions
from ...modules.conditioners import DanceConditioningProvider
from ...modules.dance_encoder import TEMPORAL, Temporal
from ...modules.dance_streams import DanceEmbedder

ATTENDED, FRAMES = "dance_tokens", "dance_frames"
#: A text attribute that says whether the dance counts. audiocraft's dropout of conditions and its null conditions of
#: guidance know texts and waves alone: they set this text to None, and the provider then leaves the dance out.
GIVEN = "dance_given"


class Share(Protocol):
    """What is used here of `solvers.workers.Share`."""

    @property
    def clips(self) -> int: ...

    def of(self, whole: torch.Tensor) -> torch.Tensor: ...


Conditions = dict[str, tuple[torch.Tensor, torch.Tensor]]


def with_dance(attributes: DanceAttributes, given: bool = True) -> DanceAttributes:
    """The same attributes, saying that the dance counts or that it does not."""
    return replace(attributes, text={**attributes.text, GIVEN: "yes" if given else None})


class DanceDropout(nn.Module):
    """In training, take the dance from each clip with probability `p` (arXiv 2207.12598).

    audiocraft's `ClassifierFreeGuidanceDropout` takes it from a whole batch or from none of it.

    Attributes:
        share: which clips of an update the next ones are, where other workers have the rest: who loses its dance does
            not depend on how the update is divided. None: these are all.
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
        return [with_dance(x, False) if out else x for x, out in zip(samples, dropped, strict=True)]


class DanceLMProvider(DanceConditioningProvider):
    """PN-Diffusion's provider, with its tokens brought to the language model's width and frames.

    Args:
        conditioner: the shared dance encoder.
        dim: width of the language model.
        temporal: how the dance enters; see the module's text.
        token_rate: tokens a second of the conditioner (Hz).
        frame_rate: frames of codes a second (Hz).
        moments: `aligned`: moments of the dance seen inside a frame.
        frame_kernel: `aligned`: odd number of frames of the dance that a frame is told, itself in the middle.
        attention_stride: tokens averaged to one before cross attention.

    Shape:
        `{"dance_tokens": (B, T', dim)}` and with `aligned` also `{"dance_frames": (B, S, dim)}`,
        S = seconds · frame_rate; all masks are True, since learned tokens stand in where nobody was found (and
        audiocraft's attention knows no mask). The segments of a batch are of one length, as their codes are.
    """

    def __init__(
        self,
        conditioner: DanceEmbedder,
        *,
        dim: int,
        temporal: Temporal,
        token_rate: float,
        frame_rate: float,
        moments: int = 1,
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
        self.token_rate, self.frame_rate, self.moments = token_rate, frame_rate, moments
        self.attention_stride = 1 if temporal == "pooled" else attention_stride
        width = conditioner.output_dim
        self.null_token = nn.Parameter(torch.zeros(width))
        self.attended = nn.Linear(width, dim)
        self.position_dim = position_dim
        self.position = None if temporal == "pooled" else nn.Linear(position_dim, width)
        self.fold = (
            nn.Conv1d(moments * width, dim, frame_kernel, padding=frame_kernel // 2)
            if temporal == "aligned"
            else None
        )

    def tokenize(  # type: ignore[override]
        self, inputs: list[DanceAttributes], streams: tuple[str, ...] = (POSITIVE,)
    ) -> dict[str, Any]:
        """Collate the dance played forward; beside it, (B,) of bool: whose dance counts."""
        given = torch.tensor([x.text.get(GIVEN, "yes") is not None for x in inputs])
        return {**super().tokenize(inputs, streams), GIVEN: given.to(self.device)}

    def forward(self, tokenized: dict[str, Any]) -> Conditions:
        dance = tokenized[POSITIVE]
        if len(set(dance.seconds)) > 1:
            raise ValueError(f"a batch mixes segments of {sorted(set(dance.seconds))} s: give one length")
        embedding, mask = super().forward({POSITIVE: dance})[POSITIVE]
        mask = mask & tokenized[GIVEN][:, None]
        embedding = torch.where(mask[..., None], embedding, self.null_token.to(embedding.dtype))
        tokens = embedding
        if self.position is not None:
            at = time_positions(tokens.shape[1], self.token_rate, self.position_dim, tokens.device)
            tokens = tokens + self.position(at.to(tokens.dtype))
        # Of a group of tokens those count that were seen; where none was, the learned ones.
        seen = group_any(mask, self.attention_stride).repeat_interleave(self.attention_stride, dim=1)
        counted = mask | ~seen[:, : mask.shape[1]]
        averaged = average_tokens(tokens, self.attention_stride, counted)
        conditions = {ATTENDED: _unmasked(self.attended(averaged))}
        if self.fold is not None:
            frames = round(max(dance.seconds) * self.frame_rate)
            folded = fold_to_columns(
                embedding, self.token_rate, frames, 1 / self.frame_rate, self.moments, mask
            )
            conditions[FRAMES] = _unmasked(self.fold(folded).transpose(1, 2))
        return conditions


def _unmasked(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)


class FrameFuser(ConditionFuser):
    """audiocraft's fuser, that adds to the steps it is given the dance of *their* frames, also when they come singly.

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
