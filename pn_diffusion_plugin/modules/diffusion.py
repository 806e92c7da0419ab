"""Noise schedule and the bi-directional objective of PN-Diffusion (CVPR 2025, arXiv 2503.22138).

Symbols: z0 clean latent, eps ~ N(0, I), abar_t cumulative product of the schedule's alphas, t in 0 ... T-1,

    z_t = sqrt(abar_t) * z0 + sqrt(1 - abar_t) * eps

and the network's output is eps ("epsilon") or v = sqrt(abar_t) * eps - sqrt(1 - abar_t) * z0 ("v",
arXiv 2202.00512). Latents are (B, C, F, L); t is (B,) of integers.
"""

from __future__ import annotations

import typing as tp
import warnings
from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch.nn import functional

from ..errors import PNDiffusionWarning

PREDICTIONS = ("epsilon", "v")
NEGATIVE_LATENTS = ("mirrored", "shared")
BETA_SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "cosine": "squaredcos_cap_v2"}


class NoiseSchedule:
    """How much noise a timestep means, and what the network is asked for.

    Args:
        num_train_timesteps: T.
        beta_schedule: ``"linear"`` (the paper), ``"scaled_linear"`` or ``"cosine"`` (arXiv 2102.09672).
        beta_start, beta_end: ends of the linear schedules.
        zero_terminal_snr: make the last timestep pure noise (arXiv 2305.08891, algorithm 1).
        prediction: ``"epsilon"`` (the paper) or ``"v"``.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_schedule: str = "linear",
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        zero_terminal_snr: bool = False,
        prediction: str = "epsilon",
    ) -> None:
        if beta_schedule not in BETA_SCHEDULES:
            raise ValueError(f"beta_schedule={beta_schedule!r}: give one of {', '.join(BETA_SCHEDULES)}")
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction={prediction!r}: give one of {', '.join(PREDICTIONS)}")
        if zero_terminal_snr and prediction == "epsilon":
            raise ValueError(
                "zero_terminal_snr with prediction='epsilon': the last timestep holds no trace of z0, so "
                "noise alone cannot give it back; give prediction='v'"
            )
        self.num_train_timesteps = num_train_timesteps
        self.beta_schedule = beta_schedule
        self.beta_start = beta_start
        self.beta_end = beta_end
        self.zero_terminal_snr = zero_terminal_snr
        self.prediction = prediction
        self.alphas_cumprod: torch.Tensor = DDPMScheduler(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=BETA_SCHEDULES[beta_schedule],
            rescale_betas_zero_snr=zero_terminal_snr,
        ).alphas_cumprod
        # One small copy a device, so that a training step never waits for the host.
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]] = {}

    def config(self) -> dict[str, tp.Any]:
        """The arguments that make this schedule again, of plain types (stored in checkpoints)."""
        return {
            "num_train_timesteps": self.num_train_timesteps,
            "beta_schedule": self.beta_schedule,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "zero_terminal_snr": self.zero_terminal_snr,
            "prediction": self.prediction,
        }

    def signal_and_noise(self, t: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(sqrt(abar_t), sqrt(1 - abar_t)), each (B, 1, 1, ...) to multiply ``like`` (B, ...) with."""
        key = (like.device, like.dtype)
        if key not in self._tables:
            signal, noise = self.alphas_cumprod.sqrt(), (1 - self.alphas_cumprod).sqrt()
            self._tables[key] = (signal.to(*key), noise.to(*key))
        shape = (-1,) + (1,) * (like.dim() - 1)
        signal, noise = self._tables[key]
        t = t.to(like.device)
        return signal[t].reshape(shape), noise[t].reshape(shape)

    def sample_timesteps(
        self,
        batch_size: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        stratified: bool = True,
    ) -> torch.Tensor:
        """Random timesteps (B,), each uniform over 0 ... T-1.

        Stratified (arXiv 2107.00630, appendix I.1): one draw shifts an even grid over the batch, which makes
        the loss of a batch less noisy and puts some of every batch among the noisiest timesteps.
        """
        draw_device = generator.device if generator is not None else torch.device(device)
        if stratified:
            shift = torch.rand(1, generator=generator, device=draw_device)
            grid = torch.arange(batch_size, device=draw_device) / batch_size
            u = ((shift + grid) % 1.0)[torch.randperm(batch_size, generator=generator, device=draw_device)]
        else:
            u = torch.rand(batch_size, generator=generator, device=draw_device)
        return (u * self.num_train_timesteps).long().clamp(max=self.num_train_timesteps - 1).to(device)

    def add_noise(self, z0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """z_t of z0 and eps, all (B, ...)."""
        signal, noise = self.signal_and_noise(t, z0)
        return signal * z0 + noise * eps

    def target(self, z0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """What the network should say for ``add_noise(z0, eps, t)``."""
        if self.prediction == "epsilon":
            return eps
        signal, noise = self.signal_and_noise(t, z0)
        return signal * eps - noise * z0

    def to_eps(self, out: torch.Tensor, z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The noise that an output means at z_t."""
        if self.prediction == "epsilon":
            return out
        signal, noise = self.signal_and_noise(t, z_t)
        return signal * out + noise * z_t

    def to_z0(self, out: torch.Tensor, z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The clean latent that an output means at z_t."""
        signal, noise = self.signal_and_noise(t, z_t)
        if self.prediction == "epsilon":
            return (z_t - noise * out) / signal
        return signal * z_t - noise * out


@dataclass
class DualSample:
    """Noisy latents and targets of both streams, (B, C, F, L) each; negative None when alpha is 1."""

    t: torch.Tensor
    z_positive: torch.Tensor
    target_positive: torch.Tensor
    z_negative: torch.Tensor | None = None
    target_negative: torch.Tensor | None = None


@dataclass
class ObjectiveLosses:
    """``total``, a scalar, is what to differentiate; the rest is (B,), a value a clip, and detached.

    ``cosine_pn`` is the cosine between P and the negative's answer to the same question: 1 when both streams
    agree, about -1 where ``shared`` collapses.
    """

    total: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor | None = None
    cosine_pn: torch.Tensor | None = None

    def means(self) -> dict[str, torch.Tensor]:
        """Scalars ``loss``, ``loss_positive`` and, with a negative stream, ``loss_negative`` and ``cosine_pn``."""
        result = {"loss": self.total.detach(), "loss_positive": self.positive.mean()}
        if self.negative is not None and self.cosine_pn is not None:
            result |= {"loss_negative": self.negative.mean(), "cosine_pn": self.cosine_pn.mean()}
        return result


def reverse_music(z: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Latents (B, C, F, L) of the music played backward: their columns in reversed order.

    Args:
        mask: (B, 1, 1, L), 1 where there is music; what is padding stays at the end, so that the reversed music
            begins, as the reversed dance does, with the segment's last moment.

    >>> z, mask = torch.tensor([[[[1.0, 2.0, 3.0, 0.0]]]]), torch.tensor([[[[1, 1, 1, 0]]]])
    >>> reverse_music(z, mask).flatten().tolist()
    [3.0, 2.0, 1.0, 0.0]
    """
    if mask is None:
        return z.flip(-1)
    columns = torch.arange(z.shape[-1], device=z.device)
    music = (mask > 0).sum(-1)  # (B, 1, 1)
    index = torch.where(columns < music[..., None], music[..., None] - 1 - columns, columns)
    return z.gather(-1, index.expand_as(z))


def negative_as_estimate(out_negative: torch.Tensor, negative_latent: str) -> torch.Tensor:
    """N', the negative branch as an estimate for the latent it was given (docs/method.md).

    Trained with ``shared`` latents the branch answers the negated target, so N' = -N; with ``mirrored`` ones
    it denoises like the positive branch and N' = N. Holds for both predictions, since the target of either is
    linear in (z0, eps) and ``shared`` negates it as a whole.
    """
    if negative_latent not in NEGATIVE_LATENTS:
        raise ValueError(f"negative_latent={negative_latent!r}: give 'mirrored' or 'shared'")
    return -out_negative if negative_latent == "shared" else out_negative


class BiDirectionalObjective:
    """The positive and negative denoising losses of one network f.

        L = alpha * |target+ - f(z_t+, t, c+)|^2 + (1 - alpha) * |target- - f(z_t-, t, c-)|^2

    with |.|^2 the mean over a latent. Two published readings of the negative stream:

    - ``mirrored`` (the paper): z_t- = sqrt(abar) * z0 - sqrt(1 - abar) * eps, whose noise is -eps;
    - ``shared`` (the released code): z_t- = z_t+ and target- = -target+. Two conditions that cannot be told
      apart then pull f to (2 * alpha - 1) * E[target+ | z], which is 0 at alpha = 0.5: keep alpha above it.

    At ``alpha=1`` this is plain latent diffusion: the negative stream is neither made nor computed.

    >>> objective = BiDirectionalObjective(NoiseSchedule(prediction="epsilon"), alpha=0.6)
    >>> z0, eps, t = torch.zeros(2, 4, 16, 56), torch.ones(2, 4, 16, 56), torch.tensor([10, 900])
    >>> noisy = objective.corrupt(z0, eps, t)
    >>> float(objective.loss(eps, -eps, noisy).total)  # the right answers
    0.0
    >>> BiDirectionalObjective(NoiseSchedule(), alpha=1).corrupt(z0, eps, t).z_negative is None
    True
    """

    def __init__(
        self, schedule: NoiseSchedule, alpha: float = 0.6, negative_latent: str = "mirrored"
    ) -> None:
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha={alpha}: give a weight of the positive stream in (0, 1]")
        if negative_latent not in NEGATIVE_LATENTS:
            raise ValueError(f"negative_latent={negative_latent!r}: give 'mirrored' or 'shared'")
        if negative_latent == "shared" and alpha <= 0.5:
            warnings.warn(
                f"alpha={alpha} with negative_latent='shared': the two streams cancel where their conditions "
                "are alike and sampling collapses; give alpha > 0.5",
                PNDiffusionWarning,
                stacklevel=2,
            )
        self.schedule = schedule
        self.alpha = alpha
        self.negative_latent = negative_latent

    @property
    def uses_negative(self) -> bool:
        """Whether the negative stream exists at all."""
        return self.alpha < 1

    def corrupt(
        self, z0: torch.Tensor, eps: torch.Tensor, t: torch.Tensor, z0_negative: torch.Tensor | None = None
    ) -> DualSample:
        """Noisy latents and targets of both streams.

        Args:
            z0, eps: clean latent and noise (B, C, F, L).
            t: timesteps (B,).
            z0_negative: another clean latent for the negative stream, e.g. the reversed music; ``mirrored``
                only.
        """
        sample = DualSample(t, self.schedule.add_noise(z0, eps, t), self.schedule.target(z0, eps, t))
        if not self.uses_negative:
            return sample
        if self.negative_latent == "mirrored":
            z0_negative = z0 if z0_negative is None else z0_negative
            sample.z_negative = self.schedule.add_noise(z0_negative, -eps, t)
            sample.target_negative = self.schedule.target(z0_negative, -eps, t)
        elif z0_negative is not None:
            raise ValueError(
                "z0_negative goes with negative_latent='mirrored': 'shared' streams see one latent"
            )
        else:
            sample.z_negative = sample.z_positive
            sample.target_negative = -sample.target_positive
        return sample

    def negative_as_estimate(self, out_negative: torch.Tensor) -> torch.Tensor:
        """N' of this reading: see the function of the same name."""
        return negative_as_estimate(out_negative, self.negative_latent)

    def loss(
        self,
        out_positive: torch.Tensor,
        out_negative: torch.Tensor | None,
        sample: DualSample,
        mask: torch.Tensor | None = None,
    ) -> ObjectiveLosses:
        """Losses of a batch.

        Args:
            out_positive, out_negative: the network's answers (B, C, F, L); negative None at alpha = 1.
            sample: what ``corrupt`` gave.
            mask: (B, 1, 1, L) of 1 where the music is and 0 in padding. None: everything counts.
        """
        if (out_negative is None) != (sample.target_negative is None):
            raise ValueError("the negative output goes with a negative sample: both or neither (alpha = 1)")
        positive = masked_mse(out_positive, sample.target_positive, mask)
        if out_negative is None or sample.target_negative is None:
            return ObjectiveLosses(positive.mean(), positive.detach())
        negative = masked_mse(out_negative, sample.target_negative, mask)
        total = self.alpha * positive + (1 - self.alpha) * negative
        with torch.no_grad():
            answer = self._as_positive(out_negative.detach().float(), sample).flatten(1)
            cosine = functional.cosine_similarity(out_positive.detach().float().flatten(1), answer)
        return ObjectiveLosses(total.mean(), positive.detach(), negative.detach(), cosine)

    def _as_positive(self, out_negative: torch.Tensor, sample: DualSample) -> torch.Tensor:
        """The negative's answer as a guess of target+: -N for ``shared``.

        ``mirrored`` asks about another latent, with the noise -eps, so the answer is first split into the z0
        and eps that it means: for epsilon prediction -N again, for v sqrt(abar) * eps - sqrt(1 - abar) * z0
        of those.
        """
        if self.negative_latent == "shared" or self.schedule.prediction == "epsilon":
            return -out_negative
        assert sample.z_negative is not None
        z0 = self.schedule.to_z0(out_negative, sample.z_negative, sample.t)
        eps = -self.schedule.to_eps(out_negative, sample.z_negative, sample.t)
        return self.schedule.target(z0, eps, sample.t)


def masked_mse(out: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean squared error of each clip over the unmasked columns: (B, C, F, L) -> (B,), in float32."""
    error = (out.float() - target.float()).square()
    if mask is None:
        return error.flatten(1).mean(1)
    weight = mask.to(error.dtype).expand_as(error)
    return (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)
