"""Sampling parameters of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..data.score.keys import parse_key
from ..errors import UserError
from ..modules.guidance import Guidance
from ..modules.sampling import SAMPLERS, SPACINGS
from ..modules.style import ANY
from .inference import PRECISIONS
from .validation import check_ranges
from .vocoders import vocoder_names


def upgrade_sampling(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Section `sampling` of a configuration of any version, as today's keys.

    Before there was `negative_cfg`, `negative_guidance` was h wherever guidance was not 1.
    """
    if "negative_cfg" in sampling or sampling.get("guidance", 1) == 1:
        return dict(sampling)
    return {**sampling, "negative_guidance": 0.0, "negative_cfg": sampling.get("negative_guidance", 0.0)}


@dataclass(frozen=True)
class GenerationParams:
    """Sampling parameters.

    With P, N' and O the network's estimates under the dance, the negative dance and no dance, U that under the dance
    without its style (see `modules.guidance`), g = `guidance`, h = `negative_cfg`, w = `negative_guidance` and
    s = `guidance_style`, the guided estimate is

        O + g (P - O) - h (N' - O) + w (P - N') + (s - 1) (P - U)

    Attributes:
        sampler: `ddim`, `ddpm`, `dpm++` or `unipc`.
        steps: denoising steps.
        guidance: weight g of classifier-free guidance; 1: off.
        negative_guidance: weight w of the push away from the negative dance, without the branch "no dance"; 0: off.
        negative_cfg: weight h of the negative dance in classifier-free guidance; 0: off.
        guidance_rescale: share in [0, 1] by which a guided estimate is brought back to the standard deviation of P.
        guidance_from, guidance_until: interval of the timesteps with guidance, as shares (1: pure noise); P alone is
            computed elsewhere.
        spacing: of the timesteps: `trailing` begins at pure noise, `leading` ends at the lowest noise.
        eta: noise of the `ddim` sampler, from 0 (none) to 1 (as much as `ddpm`).
        overlap: of neighbouring windows, as a share of a window.
        batch_size: clips of equal length denoised together.
        windows_per_call: largest batch of the network, in which a window takes one row for each branch; bounds the
            memory and does not change the result.
        precision: of the U-Net's and the decoder's weights: `float32`, `bfloat16` or `float16`.
        channels_last: memory format of their convolutions; which one is faster depends on the hardware.
        vocoder: `auto` (the model's own, else Griffin-Lim), `griffin_lim`, or the name of the model's own.
        compile: `torch.compile` of the U-Net; the first call of each batch size takes minutes.
        style: of the music, one of the model's `styles`; `any`: not specified.
        key: of models that generate scores, e.g. `A minor`; `any`: another one for each seed.
        pulse: of models that generate scores, 0 to 1: how far notes are moved to the steady pulse of the whole piece.
        guidance_style: weight s of the style in classifier-free guidance; 1: off. Without effect for `any`.
    """

    sampler: str = "ddim"
    steps: int = 30
    guidance: float = 1.0
    negative_guidance: float = 0.0
    negative_cfg: float = 0.0
    guidance_rescale: float = 0.0
    guidance_from: float = 1.0
    guidance_until: float = 0.0
    spacing: str = "trailing"
    eta: float = 0.0
    overlap: float = 0.5
    batch_size: int = 8
    windows_per_call: int = 16
    precision: str = "float32"
    channels_last: bool = False
    vocoder: str = "auto"
    compile: bool = False
    style: str = ANY
    key: str = ANY
    pulse: float = 1.0
    guidance_style: float = 1.0

    def guidance_rule(self, negative_latent: str, timesteps: int) -> Guidance:
        """Weights of the branches for a model.

        Args:
            negative_latent: reading of the negative that it was trained with.
            timesteps: number of training timesteps.
        """
        interval = (self.guidance_until * timesteps, self.guidance_from * timesteps)
        return Guidance(
            w=self.negative_guidance,
            g=self.guidance,
            h=self.negative_cfg,
            negative_latent=negative_latent,
            rescale=self.guidance_rescale,
            timesteps=None if interval == (0, timesteps) else interval,
            s=1.0 if self.style == ANY else self.guidance_style,  # with `any`, U is P
        )

    def check_score(self, writes_scores: bool) -> None:
        """Raise UserError for a key that cannot be, or for settings of scores of a model that generates none."""
        parse_key(self.key)
        for name, off in (("key", ANY), ("pulse", 1.0)):
            if getattr(self, name) != off and not writes_scores:
                raise UserError(
                    f"{name} is {getattr(self, name)}, and this model generates sound and no notes: leave it at {off}"
                )

    def check_style(self, styles: Sequence[str], dropout: float) -> None:
        """Raise UserError for a style that a model does not have, or guidance that it was not trained for.

        Args:
            styles: names of the model's styles; empty: it was trained without.
            dropout: share of its training clips without their style.
        """
        for name, off in (("style", ANY), ("guidance_style", 1.0)):
            if getattr(self, name) != off and not styles:
                raise UserError(
                    f"{name} is {getattr(self, name)}, and this model was trained without styles: leave it at {off}"
                )
        if self.style not in (ANY, *styles):
            raise UserError(f"style is {self.style}: give one of {ANY}, {', '.join(styles)}")
        if self.guidance_style != 1 and not dropout:
            raise UserError(
                "guidance_style needs a model trained with conditioning.style_dropout, and this one was trained "
                "without: leave it at 1"
            )

    def check(self, most_steps: int) -> None:
        """Raise UserError for a value outside its range.

        Args:
            most_steps: number of training timesteps of the model.
        """
        rules = (
            ("sampler", self.sampler in SAMPLERS, f"one of {', '.join(SAMPLERS)}"),
            ("steps", 1 <= self.steps <= most_steps, f"1 to {most_steps}"),
            ("negative_guidance", self.negative_guidance >= 0, "at least 0"),
            ("negative_cfg", self.negative_cfg >= 0, "at least 0"),
            ("guidance_style", self.guidance_style >= 0, "at least 0"),
            ("pulse", 0 <= self.pulse <= 1, "0 to 1"),
            ("guidance_rescale", 0 <= self.guidance_rescale <= 1, "0 to 1"),
            ("guidance_from", 0 <= self.guidance_from <= 1, "0 to 1"),
            (
                "guidance_until",
                0 <= self.guidance_until <= self.guidance_from,
                f"0 to guidance_from, i.e. {self.guidance_from:g}",
            ),
            ("spacing", self.spacing in SPACINGS, f"one of {', '.join(SPACINGS)}"),
            ("eta", 0 <= self.eta <= 1, "0 to 1"),
            ("overlap", 0 <= self.overlap < 1, "at least 0 and less than 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("windows_per_call", self.windows_per_call >= 1, "at least 1"),
            (
                "vocoder",
                self.vocoder in ("auto", *vocoder_names()),
                f"one of auto, {', '.join(vocoder_names())}",
            ),
            ("precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        )
        check_ranges(self, rules)
        if self.eta and self.sampler != "ddim":
            raise UserError(f"eta is {self.eta} and applies to ddim only: leave it at 0 for {self.sampler}")
