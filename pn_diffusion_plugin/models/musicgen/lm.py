"""audiocraft's language model over codes, conditioned on a dance, with a seed for each clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from audiocraft.models.lm import LMModel

from ...data.dance_attributes import DanceAttributes
from .condition import Conditions, DanceDropout, without_dance


class DanceLM(LMModel):
    """`LMModel` with condition dropout, guidance and per-clip sampling for dances.

    Args:
        dance_dropout: share of clips trained without their dance.
        args, kwargs: as `LMModel`.
    """

    def __init__(self, *args: Any, dance_dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg_dropout = DanceDropout(dance_dropout)  # type: ignore[assignment]
        self._generators: Sequence[torch.Generator] | None = None
        self._null_conditions: Conditions = {}

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        prompt: torch.Tensor | None = None,
        conditions: Sequence[DanceAttributes] = (),
        *args: Any,
        generators: Sequence[torch.Generator] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Generate codes (B, K, T) for dances, as `LMModel.generate`.

        Args:
            prompt: (B, K, T') codes to continue, part of the result.
            conditions: the dances.
            generators: one per clip; None: torch's global generator, so that a clip's result depends on its batch.
        """
        self._generators = generators
        if conditions:
            tokenized = self.condition_provider.tokenize([without_dance(x) for x in conditions])
            self._null_conditions = self.condition_provider(tokenized)
        try:
            return super().generate(prompt, list(conditions), *args, **kwargs)
        finally:
            self._generators, self._null_conditions = None, {}

    def _sample_next_token(
        self,
        sequence: torch.Tensor,
        cfg_conditions: Any,
        unconditional_state: Any,
        use_sampling: bool = False,
        temp: float = 1.0,
        top_k: int = 0,
        top_p: float = 0.0,
        cfg_coef: float | None = None,
        two_step_cfg: bool | None = None,
    ) -> torch.Tensor:
        """Sample one more step (B, K, 1).

        Unlike in `LMModel`, a coefficient of 1 needs no second half of the batch. The null conditions are those of
        `generate`: audiocraft's, which come with `cfg_conditions`, contain the dance.
        """
        guidance = self.cfg_coef if cfg_coef is None else cfg_coef
        two_step = self.two_step_cfg if two_step_cfg is None else two_step_cfg
        clips = len(sequence)
        of_dance = cfg_conditions[0] if isinstance(cfg_conditions, tuple) else cfg_conditions
        of_dance = {name: (value[:clips], mask[:clips]) for name, (value, mask) in of_dance.items()}
        if not of_dance or guidance == 1:
            logits = self(sequence, conditions=[], condition_tensors=of_dance)
        else:
            if two_step:
                conditional = self(sequence, conditions=[], condition_tensors=of_dance)
                state = self.get_streaming_state()
                self.set_streaming_state(unconditional_state)
                unconditional = self(sequence, conditions=[], condition_tensors=self._null_conditions)
                unconditional_state.update(self.get_streaming_state())
                self.set_streaming_state(state)
            else:
                both = {
                    name: tuple(torch.cat(pair) for pair in zip(of_dance[name], null, strict=True))
                    for name, null in self._null_conditions.items()
                }
                doubled = torch.cat([sequence, sequence])
                conditional, unconditional = self(doubled, conditions=[], condition_tensors=both).split(clips)
            logits = unconditional + guidance * (conditional - unconditional)
        logits = logits[:, :, -1]
        if not use_sampling or temp <= 0:
            return logits.argmax(dim=-1, keepdim=True)
        return draw(keep_likely(logits / temp, top_k, top_p), self._generators)


def keep_likely(logits: torch.Tensor, top_k: int = 0, top_p: float = 0.0) -> torch.Tensor:
    """Set all but the likeliest logits (…, N) to minus infinity.

    Args:
        top_k: number to keep; 0: all.
        top_p: keep the fewest with this total probability (arXiv 1904.09751); 0: all. Overrides `top_k`, as in
            audiocraft.
    """
    ordered = logits.sort(dim=-1, descending=True).values
    if top_p > 0:
        p = ordered.softmax(dim=-1)
        kept = (p.cumsum(dim=-1) - p < top_p).sum(dim=-1, keepdim=True)
    elif 0 < top_k < logits.shape[-1]:
        kept = torch.full_like(logits[..., :1], top_k, dtype=torch.long)
    else:
        return logits
    return logits.masked_fill(logits < ordered.gather(-1, kept - 1), -torch.inf)


def draw(logits: torch.Tensor, generators: Sequence[torch.Generator] | None = None) -> torch.Tensor:
    """Draw from softmax(logits): (B, K, N) → (B, K, 1).

    By the Gumbel-max trick, whose noise, unlike `torch.multinomial`, can have one generator per clip.
    """
    shape = logits.shape[1:]
    each: Sequence[torch.Generator | None] = generators or [None] * len(logits)
    noise = torch.stack([torch.empty(shape).exponential_(generator=one) for one in each])
    return (logits - noise.log().to(logits.device)).argmax(dim=-1, keepdim=True)
