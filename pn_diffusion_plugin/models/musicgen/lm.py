"""audiocraft's language model over codes, told of a dance, with a seed for every clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from audiocraft.models.lm import LMModel

from ...data.dance_attributes import DanceAttributes
from .condition import DanceDropout, with_dance


class DanceLM(LMModel):
    """`LMModel` whose condition dropout, guidance and sampling know the dance.

    Args:
        dance_dropout: share of clips trained without their dance.
        args, kwargs: as `LMModel`.
    """

    def __init__(self, *args: Any, dance_dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg_dropout = DanceDropout(dance_dropout)  # type: ignore[assignment]
        self._generators: Sequence[torch.Generator] | None = None

    @torch.no_grad()
    def generate(  # type: ignore[override]
        self,
        prompt: torch.Tensor | None = None,
        conditions: Sequence[DanceAttributes] = (),
        *args: Any,
        generators: Sequence[torch.Generator] | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Codes (B, K, T) for dances, as `LMModel.generate`.

        Args:
            prompt: (B, K, T') codes that are continued, and part of the result.
            conditions: the dances.
            generators: one a clip; None: torch's global one, and then a clip's result depends on its batch.
        """
        self._generators = generators
        try:
            return super().generate(prompt, [with_dance(x) for x in conditions], *args, **kwargs)
        finally:
            self._generators = None

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
        """One more step (B, K, 1). Unlike in `LMModel` a coefficient of 1 costs no second half of the batch."""
        guidance = self.cfg_coef if cfg_coef is None else cfg_coef
        clips = len(sequence)
        if not cfg_conditions:
            logits = self(sequence, conditions=[], condition_tensors={})
        elif guidance == 1:
            given = {name: (value[:clips], mask[:clips]) for name, (value, mask) in cfg_conditions.items()}
            logits = self(sequence, conditions=[], condition_tensors=given)
        else:
            both = self(torch.cat([sequence, sequence]), conditions=[], condition_tensors=cfg_conditions)
            told, untold = both.split(clips)
            logits = untold + guidance * (told - untold)
        logits = logits[:, :, -1]
        if not use_sampling or temp <= 0:
            return logits.argmax(dim=-1, keepdim=True)
        return draw(keep_likely(logits / temp, top_k, top_p), self._generators)


def keep_likely(logits: torch.Tensor, top_k: int = 0, top_p: float = 0.0) -> torch.Tensor:
    """Logits (…, N) with all but the likeliest at minus infinity.

    Args:
        top_k: keep so many; 0: all.
        top_p: keep the fewest that together have this probability (arXiv 1904.09751); 0: all. Goes before `top_k`,
            as in audiocraft.
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

    The largest of logits + Gumbel noise is such a draw, and noise, unlike `torch.multinomial`, can come from a
    generator of each clip's own.
    """
    shape = logits.shape[1:]
    each: Sequence[torch.Generator | None] = generators or [None] * len(logits)
    noise = torch.stack([torch.empty(shape).exponential_(generator=one) for one in each])
    return (logits - noise.log().to(logits.device)).argmax(dim=-1, keepdim=True)
