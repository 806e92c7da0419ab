"""Readings of the negative stream, by the names of `negative.latent`.

=============  ===========  =============================================================================
name           U-Net rows   negative term
=============  ===========  =============================================================================
`mirrored`     2            (1 - alpha) |y- - f(z_t-, t, c-)|^2 with noise -eps: PN-Diffusion, the paper
`shared`       2            (1 - alpha) |-y+ - f(z_t, t, c-)|^2: the released code of the paper
`contrast`     1            -(1 - alpha) |y- - f(z_t, t, c+)|^2: away from the music of the negative dance
`drawn`        1            `mirrored` with one stream drawn for each clip
`comparison`   2            softplus((l+ - l-) / tau): the positive dance has the smaller error
=============  ===========  =============================================================================

A new reading is one subclass of `Objective` and one entry of `READINGS`.
"""

from __future__ import annotations

import typing as tp
import warnings

import torch
from torch.nn import functional

from ..data.condition import POSITIVE
from ..errors import PNDiffusionWarning
from .objective import DualSample, Objective, ObjectiveLosses, masked_mean, masked_mse
from .schedule import NoiseSchedule


class Mirrored(Objective):
    """The paper's dual diffusion (PN-Diffusion, CVPR 2025, arXiv 2503.22138).

        L = alpha |y+ - f(z_t+, t, c+)|^2 + (1 - alpha) |y- - f(z_t-, t, c-)|^2

    with z_t- = sqrt(abar) z0 - sqrt(1 - abar) eps, i.e. the noise -eps.

    >>> objective = Mirrored(NoiseSchedule(prediction="epsilon"), alpha=0.6)
    >>> z0, eps, t = torch.zeros(2, 4, 16, 56), torch.ones(2, 4, 16, 56), torch.tensor([10, 900])
    >>> sample = objective.corrupt(z0, eps, t)
    >>> float(objective.loss(eps, -eps, sample).total)  # the outputs are the targets
    0.0
    >>> Mirrored(NoiseSchedule(), alpha=1).corrupt(z0, eps, t).z_negative is None
    True
    """

    name = "mirrored"
    effect = "also learns the music of {dance}"
    takes_negative_latent = True

    def _add_negative(
        self,
        sample: DualSample,
        z0: torch.Tensor,
        eps: torch.Tensor,
        z0_negative: torch.Tensor | None,
        **random: torch.Tensor,
    ) -> DualSample:
        z0_negative = z0 if z0_negative is None else z0_negative
        sample.z_negative = self.schedule.add_noise(z0_negative, -eps, sample.t)
        sample.target_negative = self.schedule.target(z0_negative, -eps, sample.t)
        return sample

    def _loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None,
        dropped: torch.Tensor | None,
    ) -> ObjectiveLosses:
        assert out_negative is not None and sample.target_negative is not None
        positive = masked_mse(out_positive, sample.target_positive, mask)
        negative = masked_mse(out_negative, sample.target_negative, mask)
        total = self.alpha * positive + (1 - self.alpha) * negative
        with torch.no_grad():
            converted = self._as_positive(out_negative.detach().float(), sample).flatten(1)
            cosine = functional.cosine_similarity(out_positive.detach().float().flatten(1), converted)
        return ObjectiveLosses(total.mean(), positive.detach(), negative.detach(), cosine)

    def _as_positive(self, out_negative: torch.Tensor, sample: DualSample) -> torch.Tensor:
        """Convert the negative output to a prediction of target+, for ``cosine_pn``."""
        if self.schedule.prediction == "epsilon":
            return -out_negative
        assert sample.z_negative is not None
        z0 = self.schedule.to_z0(out_negative, sample.z_negative, sample.t)
        eps = -self.schedule.to_eps(out_negative, sample.z_negative, sample.t)
        return self.schedule.target(z0, eps, sample.t)


class Shared(Mirrored):
    """The released code's reading: both streams share z_t, and the negative target is -y+.

    Where the network cannot tell the two conditions apart, the optimum is f = (2 alpha - 1) E[y+ | z_t], which is 0
    at alpha = 0.5: use alpha > 0.5. The negative output is an estimate with the opposite sign, for either prediction,
    since the target of both is linear in (z0, eps).
    """

    name = "shared"
    effect = "must answer {dance} with the opposite"
    takes_negative_latent = False

    def __init__(self, schedule: NoiseSchedule, alpha: float = 0.6) -> None:
        super().__init__(schedule, alpha)
        if alpha <= 0.5:
            warnings.warn(
                f"alpha={alpha} with negative.latent=shared: the two streams cancel where their conditions are alike, "
                "and sampling collapses; give alpha > 0.5",
                PNDiffusionWarning,
                stacklevel=2,
            )

    def dropped_streams(self, dropped: torch.Tensor) -> dict[str, torch.Tensor]:
        # Without conditions the two targets of a clip are opposite: only the positive stream learns "no dance".
        return {POSITIVE: dropped}

    def _add_negative(
        self,
        sample: DualSample,
        z0: torch.Tensor,
        eps: torch.Tensor,
        z0_negative: torch.Tensor | None,
        **random: torch.Tensor,
    ) -> DualSample:
        sample.z_negative = sample.z_positive
        sample.target_negative = -sample.target_positive
        return sample

    def _as_positive(self, out_negative: torch.Tensor, sample: DualSample) -> torch.Tensor:
        return -out_negative

    @staticmethod
    def as_estimate(out_negative: torch.Tensor) -> torch.Tensor:
        return -out_negative


class Contrast(Objective):
    """Push the output away from the music of the negative dance (after arXiv 2506.05350), in one U-Net row per clip.

        L = alpha |y+ - f(z_t, t, c+)|^2 - (1 - alpha) |y- - f(z_t, t, c+)|^2,   1/2 < alpha <= 1

    y- is the target of the negative dance's music (reversed or shifted latent columns, or another clip's latent) with
    independent noise at the same t. The optimum is

        f = (alpha E[y+ | z_t, c+] - (1 - alpha) E[y- | z_t, c+]) / (2 alpha - 1),

    i.e. guidance away from y- built into the weights. L is convex in f only for alpha > 1/2. Clips whose condition is
    dropped have the positive term alone, so that the unconditional estimate stays that of all music.
    """

    name = "contrast"
    effect = "is pushed away from the music of {dance}"
    rows = 1
    dances = (POSITIVE,)
    needs_negative_latent = True
    takes_branch_flag = False

    def __init__(self, schedule: NoiseSchedule, alpha: float = 0.95) -> None:
        super().__init__(schedule, alpha)
        if alpha <= 0.5:
            raise ValueError(
                f"alpha={alpha} with negative.latent=contrast: the loss is not bounded below; give alpha in (0.5, 1]"
            )

    def draw(self, shape: tp.Sequence[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
        if not self.uses_negative:
            return {}
        return {"eps_negative": torch.randn(tuple(shape), generator=generator)}

    def _add_negative(
        self,
        sample: DualSample,
        z0: torch.Tensor,
        eps: torch.Tensor,
        z0_negative: torch.Tensor | None,
        **random: torch.Tensor,
    ) -> DualSample:
        assert z0_negative is not None
        sample.target_negative = self.schedule.target(z0_negative, random["eps_negative"], sample.t)
        return sample

    def _loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None,
        dropped: torch.Tensor | None,
    ) -> ObjectiveLosses:
        assert sample.target_negative is not None
        positive = masked_mse(out_positive, sample.target_positive, mask)
        negative = masked_mse(out_positive, sample.target_negative, mask)
        total = self.alpha * positive - (1 - self.alpha) * negative
        if dropped is not None:
            total = torch.where(dropped, positive, total)
        return ObjectiveLosses(total.mean(), positive.detach(), negative.detach())


class Drawn(Mirrored):
    """`mirrored` at one U-Net row per clip: the stream of each clip is positive with probability alpha.

    The expected loss and gradient are those of `mirrored`. The draws of a batch are stratified: the number of negative
    rows is (1 - alpha) B, rounded up or down. Without draws (validation) all rows are positive.
    """

    name = "drawn"
    effect = "learns the music of {dance} for some of the clips"
    rows = 1

    def draw(self, shape: tp.Sequence[int], generator: torch.Generator) -> dict[str, torch.Tensor]:
        if not self.uses_negative:
            return {}
        clips = shape[0]
        grid = (torch.rand(1, generator=generator) + torch.arange(clips) / clips) % 1.0
        return {"negative_rows": grid[torch.randperm(clips, generator=generator)] >= self.alpha}

    def _add_negative(
        self,
        sample: DualSample,
        z0: torch.Tensor,
        eps: torch.Tensor,
        z0_negative: torch.Tensor | None,
        **random: torch.Tensor,
    ) -> DualSample:
        if "negative_rows" not in random:
            return sample
        sample = super()._add_negative(sample, z0, eps, z0_negative)
        sample.negative_rows = random["negative_rows"]
        return sample

    def _loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None,
        dropped: torch.Tensor | None,
    ) -> ObjectiveLosses:
        assert sample.target_negative is not None and sample.negative_rows is not None
        rows = sample.negative_rows
        target = torch.where(rows[:, None, None, None], sample.target_negative, sample.target_positive)
        error = masked_mse(out_positive, target, mask)
        detached = error.detach()
        return ObjectiveLosses(
            error.mean(), detached.masked_fill(rows, torch.nan), detached.masked_fill(~rows, torch.nan)
        )


class Comparison(Objective):
    """The error under the positive dance must be smaller than under the negative one.

        L = l+ + beta softplus((l+ - l-) / tau),   l± = |y+ - f(z_t, t, c±)|^2,   beta = (1 - alpha) / alpha

    with the same z_t and target in both (after SyncDPO, arXiv 2605.12179). To leave l- free to rise without bound
    would let l+ rise with it. So the gradient of l- is scaled in each clip by

        s = min(1, (1 + w) |r+|^2 / (w <r+, r->)),   w = beta sigmoid((l+ - l-) / tau) / tau,

    with r± the residuals y+ - f(z_t, t, c±): to first order in the outputs, and with the Jacobians of the two rows
    taken as equal, a step then never raises l+ (the safeguard of Diffusion-SDPO).
    """

    name = "comparison"
    effect = "must make a smaller error than for {dance}"
    takes_branch_flag = False
    options = ("tau",)

    def __init__(self, schedule: NoiseSchedule, alpha: float = 0.6, tau: float = 0.1) -> None:
        super().__init__(schedule, alpha)
        if not tau > 0:
            raise ValueError(f"tau={tau} with negative.latent=comparison: give a positive number")
        self.tau = tau
        self.beta = (1 - alpha) / alpha

    def _add_negative(
        self,
        sample: DualSample,
        z0: torch.Tensor,
        eps: torch.Tensor,
        z0_negative: torch.Tensor | None,
        **random: torch.Tensor,
    ) -> DualSample:
        sample.z_negative, sample.target_negative = sample.z_positive, sample.target_positive
        return sample

    def _loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None,
        dropped: torch.Tensor | None,
    ) -> ObjectiveLosses:
        assert out_negative is not None
        positive = masked_mse(out_positive, sample.target_positive, mask)
        negative = masked_mse(out_negative, sample.target_positive, mask)
        with torch.no_grad():
            weight = self.beta / self.tau * torch.sigmoid((positive - negative) / self.tau)
            residuals = (out.float() - sample.target_positive.float() for out in (out_positive, out_negative))
            product = masked_mean(torch.mul(*residuals), mask)
            limit = (1 + weight) * positive / (weight * product).clamp(min=1e-12)
            scale = torch.where(product > 0, limit.clamp(max=1), 1.0)
        scaled = scale * negative + (1 - scale) * negative.detach()  # same value, smaller gradient
        total = positive + self.beta * functional.softplus((positive - scaled) / self.tau)
        return ObjectiveLosses(total.mean(), positive.detach(), negative.detach())


#: By the names of `negative.latent`.
READINGS: dict[str, type[Objective]] = {
    reading.name: reading for reading in (Mirrored, Shared, Contrast, Drawn, Comparison)
}


def get_reading(name: str) -> type[Objective]:
    """Return a reading by its name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in READINGS:
        raise ValueError(f"negative.latent={name!r}: give one of {', '.join(READINGS)}")
    return READINGS[name]
