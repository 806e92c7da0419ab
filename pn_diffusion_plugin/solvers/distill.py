"""Solver of progressive distillation: `dora run solver=pn_diffusion/distill`.

The student is initialised with its teacher's weights. In rounds of fewer and fewer steps it learns to do in one step
what its teacher does in several (`modules/distillation.py`). The teacher of the first round is the trained model with
its guidance; that of every later round is the student of the round before (the average of its weights, if there is
one). The dance encoder is the teacher's and is not trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from ..data.condition import NEGATIVE, POSITIVE
from ..errors import CheckpointError, UserError
from ..models import builders
from ..models.branches import concat_conditions, prepare_branches
from ..models.io.checkpoint import vae_source
from ..models.latent_diffusion import Condition
from ..models.pn_diffusion import PNDiffusion
from ..modules.distillation import ProgressiveDistillation
from ..modules.guidance import Guidance
from ..modules.objective import masked_mse
from ..modules.style import STYLE
from ..modules.windows import Denoiser
from .pn_diffusion import PNDiffusionSolver, update_by_timestep

#: Sections of the configuration that student and teacher must share …
SHARED_KEYS = (
    "sample_rate",
    "segment_seconds",
    "mel",
    "mel_vae",
    "features",
    "conditioning",
    "unet",
    "diffusion",
    "negative",
)
#: … except for keys that concern the teacher's training only.
OWN_KEYS = (
    "conditioning.dropout",
    "conditioning.style_dropout",
    "negative.alpha",
    "negative.latent",
    "negative.music",
    "negative.tau",
)


def differences(
    teacher: Mapping[str, Any], student: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, teacher's value, student's value) where the student's configuration differs.

    >>> list(differences({"unet": {"width": 8, "layers": 1}}, {"unet": {"width": 8, "layers": 2}, "lr": 1}))
    [('unet.layers', 1, 2)]
    """
    for key, value in teacher.items():
        own = student.get(key)
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            yield from differences(value, own, f"{prefix}{key}.")
        elif value != own and f"{prefix}{key}" not in OWN_KEYS:
            yield f"{prefix}{key}", value, own


class DistillSolver(PNDiffusionSolver):
    """Progressive distillation of a trained PN-Diffusion model."""

    def build_model(self) -> None:
        self.rounds: list[int] = list(self.config["distill"]["rounds"])
        sampling = self.config["sampling"]
        needed = {"sampler": "ddim", "steps": self.rounds[-1], "guidance": 1.0}
        needed |= {"negative_guidance": 0.0, "negative_cfg": 0.0, "guidance_style": 1.0}
        for key, value in needed.items():
            if sampling[key] != value:
                raise UserError(f"sampling.{key}={sampling[key]}: a distilled student needs {key}={value}")
        super().build_model()
        steps = [self.config["distill"]["teacher_steps"], *self.rounds]
        try:
            self.tasks = [
                ProgressiveDistillation(self.schedule, few, many)
                for many, few in zip(steps[:-1], steps[1:], strict=True)
            ]
        except ValueError as error:
            raise UserError(f"distill.teacher_steps and distill.rounds are {steps}: {error}") from error
        if self.cfg.optim.epochs < len(self.rounds):
            raise UserError(
                f"optim.epochs={self.cfg.optim.epochs} for {len(self.rounds)} rounds: set at least one epoch per round"
            )
        self.register_stateful("teacher")

    def build_networks(self) -> None:
        """Set `teacher`, its autoencoder, and `model` with the teacher's weights and input statistics.

        Raises:
            CheckpointError: the teacher was trained with another configuration.
        """
        name = self.cfg.distill.teacher
        teacher = PNDiffusion.get_pretrained(name, self.device)
        known = {key: teacher.config[key] for key in SHARED_KEYS}
        for key, value, own in differences(known, self.config):
            raise CheckpointError(
                f"the teacher {name} was trained with {key}={value} and this experiment has {own}: use the same value"
            )
        self.vae, self.vae_source = teacher.vae.requires_grad_(False), vae_source(name)
        # Here the clips have their own styles, and not the one of `sampling.style`.
        self.guidance = replace(teacher.guidance_rule(), s=teacher.params.guidance_style)
        self.teacher = teacher.dual.denoiser.requires_grad_(False)
        self.model = builders.build_dual_diffusion(self.config, self.device, audiocraft=True)
        self.model.load_state_dict(teacher.dual.state_dict())
        self.model.provider.requires_grad_(False)

    def round_of(self, epoch: int) -> int:
        """Index of the round that an epoch (from 1) belongs to."""
        return (epoch - 1) * len(self.rounds) // self.cfg.optim.epochs

    def run_epoch(self) -> None:
        if self.epoch > 1 and self.round_of(self.epoch) > self.round_of(self.epoch - 1):
            with self.swap_ema_state():
                state = {
                    name: value.clone().to(self.device)
                    for name, value in self.model.denoiser.state_dict().items()
                }
            self.teacher.load_state_dict(state)
            self.model.denoiser.load_state_dict(state)
        super().run_epoch()

    def _teacher_of(self, conditions: Mapping[str, Condition], guidance: Guidance, columns: int) -> Denoiser:
        """Guided output of the teacher for these clips, with all branches in one call."""
        rows = prepare_branches(self.teacher, conditions, guidance.branches, columns)
        prepared, k = self.teacher.prepare_for_sampling(concat_conditions(rows)), len(rows)

        def denoise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            out = self.teacher.denoise(z.repeat(k, 1, 1, 1), t.repeat(k), prepared).float()
            outputs = dict(zip(guidance.branches, out.chunk(k), strict=True))
            guided = guidance.applies(t)[:, None, None, None]  # clips are at timesteps of their own
            return torch.where(guided, guidance.combine(outputs), outputs["positive"])

        return denoise

    def run_step(self, idx: int, batch: Any, metrics: dict[str, Any]) -> dict[str, Any]:
        segments, infos = batch
        now = self.round_of(self.epoch)
        task, guidance = self.tasks[now], self.guidance if now == 0 else Guidance()
        streams = (POSITIVE, NEGATIVE) if "negative" in guidance.branches else (POSITIVE,)
        provider = self.model.provider.eval()  # its statistics do not change
        with torch.no_grad():
            attributes = [info.to_condition_attributes() for info in infos]
            conditions = provider(provider.tokenize(attributes, streams))
        noise = self._step_noise(self.epoch if self.is_training else 0, idx, self.share(len(infos)))
        style = conditions.get(STYLE)
        if style is not None and self.is_training:  # the student learns from the teacher without a style too
            style = conditions[STYLE] = self.model.denoiser.drop(style, noise.style_dropped)
        z0, mask = self.encode(segments, noise.posterior), self._mask(infos)
        timesteps = task.teacher_timesteps(noise.t)
        z = self.schedule.add_noise(z0, noise.eps, timesteps[:, 0])
        with self.autocast:
            with torch.no_grad():
                teacher = self._teacher_of(conditions, guidance, z.shape[-1])
            target = task.target(teacher, z, timesteps)
            out = self.model.denoiser(z, timesteps[:, 0], conditions[POSITIVE], style=style)
        losses = masked_mse(out, target, mask)
        metrics["loss"] = losses.detach().mean()
        update_by_timestep(
            self.averages, {"loss": losses.detach()}, timesteps[:, 0], self.schedule.num_train_timesteps
        )
        if self.is_training:
            self.optimize(losses.mean(), metrics)
        return metrics
