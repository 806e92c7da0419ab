"""Base class of the training objectives, one for each reading of the negative stream (`readings.py`).

The network f(z_t, t, c) is trained on noisy latents z_t with a dance c as condition. Every objective has the
positive term |y+ - f(z_t, t, c+)|^2, with y+ the target (eps or v) and c+ the dance played forward. With
alpha = 1 that is all: the baseline without negatives.
"""

from __future__ import annotations

import typing as tp
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from ..data.condition import NEGATIVE, POSITIVE
from .schedule import NoiseSchedule


@dataclass
class DualSample:
    """Noisy latents and targets of a batch, (B, C, F, L) each.

    Attributes:
        t: timesteps (B,).
        z_positive, target_positive: for the positive condition.
        z_negative: for the negative condition; None where the negative takes no row of the U-Net.
        target_negative: target of the negative term; None without one.
        negative_rows: (B,) bool, True where a clip's only U-Net row is the negative one; None: every clip has a
            positive row.
    """

    t: torch.Tensor
    z_positive: torch.Tensor
    target_positive: torch.Tensor
    z_negative: torch.Tensor | None = None
    target_negative: torch.Tensor | None = None
    negative_rows: torch.Tensor | None = None

    def positive_only(self) -> DualSample:
        """The same batch without a negative stream."""
        return DualSample(self.t, self.z_positive, self.target_positive)


@dataclass
class ObjectiveLosses:
    """Losses of a batch.

    Attributes:
        total: scalar to differentiate.
        positive, negative: squared errors (B,), detached; NaN for clips without that row.
        cosine_pn: (B,) cosine between the positive output and the negative output converted to the same target: 1
            where both streams agree, about -1 where ``shared`` collapses.
    """

    total: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor | None = None
    cosine_pn: torch.Tensor | None = None

    def by_clip(self) -> dict[str, torch.Tensor]:
        """``loss_positive`` and, with a negative stream, ``loss_negative``, (B,) each."""
        result = {"loss_positive": self.positive}
        return result if self.negative is None else result | {"loss_negative": self.negative}

    def means(self) -> dict[str, torch.Tensor]:
        """Scalars: ``loss`` and the means of `by_clip` and, where computed, of ``cosine_pn``."""
        values = self.by_clip() | ({} if self.cosine_pn is None else {"cosine_pn": self.cosine_pn})
        means = {name: value.nanmean().nan_to_num() for name, value in values.items()}
        return {"loss": self.total.detach(), **means}


class Objective(ABC):
    """Training objective with a positive and a negative stream.

    Args:
        schedule: noise schedule and prediction type.
        alpha: weight of the positive stream in (0, 1]. With 1 the negative stream is not computed, and every
            objective is the same: plain latent diffusion.

    Raises:
        ValueError: for a weight outside its range.
    """

    #: Value of the configuration's `negative.latent`.
    name: tp.ClassVar[str]
    #: What the negative dance does in training, for model cards: the rest of a sentence on the network.
    effect: tp.ClassVar[str] = "has a term for {dance}"
    #: Rows of the U-Net per clip with a negative stream.
    rows: tp.ClassVar[int] = 2
    #: Dances encoded per clip with a negative stream.
    dances: tp.ClassVar[tuple[str, ...]] = (POSITIVE, NEGATIVE)
    #: Whether the negative term needs a clean latent of its own, made by the negative cue.
    needs_negative_latent: tp.ClassVar[bool] = False
    #: Whether the negative term may have a clean latent of its own (`negative.music: reversed`).
    takes_negative_latent: tp.ClassVar[bool] = False
    #: Whether the branch flag of the U-Net has a meaning.
    takes_branch_flag: tp.ClassVar[bool] = True
    #: Further keys of the configuration's section `negative` that are arguments.
    options: tp.ClassVar[tuple[str, ...]] = ()

    def __init__(self, schedule: NoiseSchedule, alpha: float = 0.6) -> None:
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha={alpha}: give a weight of the positive stream in (0, 1]")
        self.schedule = schedule
        self.alpha = alpha

    @property
    def uses_negative(self) -> bool:
        """Whether there is a negative stream."""
        return self.alpha < 1

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the dances whose conditions the network needs."""
        return self.dances if self.uses_negative else (POSITIVE,)

    def draw(self, shape: tp.Sequence[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Draw the random arguments of `corrupt` beyond ``eps`` and ``t``, one row per clip, for training.

        Args:
            shape: (B, C, F, L) of the latents.
        """
        return {}

    def dropped_streams(self, dropped: torch.Tensor) -> dict[str, torch.Tensor]:
        """Which clips lose their condition (classifier-free guidance), by stream.

        Args:
            dropped: (B,) bool.
        """
        return dict.fromkeys(self.streams, dropped)

    def corrupt(
        self,
        z0: torch.Tensor,
        eps: torch.Tensor,
        t: torch.Tensor,
        z0_negative: torch.Tensor | None = None,
        **random: torch.Tensor,
    ) -> DualSample:
        """Add noise and compute the targets of both streams.

        Args:
            z0, eps: clean latents and noise (B, C, F, L).
            t: timesteps (B,).
            z0_negative: clean latents of the music that belongs to the negative dance.
            random: from `draw`.

        Raises:
            ValueError: ``z0_negative`` is given and not used, or needed and missing.
        """
        sample = DualSample(t, self.schedule.add_noise(z0, eps, t), self.schedule.target(z0, eps, t))
        if not self.uses_negative:
            return sample
        if z0_negative is not None and not (self.takes_negative_latent or self.needs_negative_latent):
            raise ValueError(
                f"z0_negative with the objective {self.name!r}, which does not use it: leave it out"
            )
        if z0_negative is None and self.needs_negative_latent:
            raise ValueError(
                f"the objective {self.name!r} needs z0_negative, the latent of the negative dance's music"
            )
        return self._add_negative(sample, z0, eps, z0_negative, **random)

    @abstractmethod
    def _add_negative(
        self,
        sample: DualSample,
        z0: torch.Tensor,
        eps: torch.Tensor,
        z0_negative: torch.Tensor | None,
        **random: torch.Tensor,
    ) -> DualSample:
        """Fill in the negative stream of a sample."""

    def loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None = None,
        dropped: torch.Tensor | None = None,
    ) -> ObjectiveLosses:
        """Compute the losses of a batch.

        Args:
            out_positive, out_negative: network outputs (B, C, F, L); negative None where ``sample.z_negative`` has no
                row of its own.
            sample: from `corrupt`.
            mask: (B, 1, 1, L), 1 where there is music and 0 in padding; None: no padding.
            dropped: (B,) bool, clips whose condition is left out; None: none.

        Raises:
            ValueError: an output without its target, or the other way round.
        """
        two_rows = sample.z_negative is not None and sample.negative_rows is None
        if (out_negative is not None) != two_rows:
            raise ValueError(
                "a negative output needs a sample with two rows per clip, and has none with alpha = 1"
            )
        if sample.target_negative is None:
            positive = masked_mse(out_positive, sample.target_positive, mask)
            return ObjectiveLosses(positive.mean(), positive.detach())
        return self._loss(out_positive, out_negative, sample, mask, dropped)

    @abstractmethod
    def _loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None,
        dropped: torch.Tensor | None,
    ) -> ObjectiveLosses:
        """`loss` of a sample with a negative stream."""

    @staticmethod
    def as_estimate(out_negative: torch.Tensor) -> torch.Tensor:
        """Convert the output under the negative dance to an estimate N' for the same latent, for guidance."""
        return out_negative


def masked_mse(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean squared error of each clip over the unmasked columns: (B, C, F, L) -> (B,), in float32."""
    return masked_mean((out.float() - target.float()).square(), mask)


def masked_mean(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean of each clip over the unmasked columns: (B, C, F, L) -> (B,)."""
    if mask is None:
        return values.flatten(1).mean(1)
    weight = mask.to(values.dtype).expand_as(values)
    return (values * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)
