"""Solver of a student of few steps: `dora run solver=pn_diffusion/distill`.

The student has the teacher's architecture and begins as its copy. In rounds of fewer and fewer steps it learns to do in
one step what its teacher does in several (`modules/distillation.py`). The first round's teacher is the trained model
with the guidance that it is used with; that of every other round is the student of the round before (its average, where
there is one). The dance encoder stays the teacher's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..data.condition import NEGATIVE, POSITIVE
from ..errors import CheckpointError, UserError
from ..models.branches import concat_conditions, prepare_branches
from ..models.io.checkpoint import vae_source
from ..models.latent_diffusion import Condition
from ..models.mel_vae import MelVAE
from ..models.pn_diffusion import PNDiffusion
from ..modules.distillation import ProgressiveDistillation
from ..modules.guidance import Guidance
from ..modules.objective import masked_mse
from ..modules.windows import Denoiser
from .diagnostics import update_by_timestep
from .pn_diffusion import PNDiffusionSolver

#: What student and teacher must have in common.
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
#: … but for what is of the teacher's training alone.
OWN_KEYS = ("conditioning.dropout", "negative.alpha")


def differences(
    teacher: Mapping[str, Any], student: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(key with dots, teacher's value, student's) of what the teacher's configuration has and the student's has not so.

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
        needed = {"sampler": "ddim", "steps": self.rounds[-1], "guidance": 1.0, "negative_guidance": 0.0}
        for key, value in needed.items():
            if sampling[key] != value:
                raise UserError(f"sampling.{key}={sampling[key]}: this student is made for {key}={value}")
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
                f"optim.epochs={self.cfg.optim.epochs} for {len(self.rounds)} rounds: give each an epoch at least"
            )
        self.register_stateful("teacher")

    def _load_vae(self) -> MelVAE:
        """The teacher, and its autoencoder, which is the student's."""
        name = self.cfg.distill.teacher
        model = PNDiffusion.get_pretrained(name, self.device)
        known = {key: model.config[key] for key in SHARED_KEYS}
        for key, value, own in differences(known, self.config):
            raise CheckpointError(
                f"the teacher {name} was trained with {key}={value} and this experiment has {own}: make them alike"
            )
        self.vae_source = vae_source(name)
        self.guidance = model.guidance_rule()
        self.teacher = model.dual.denoiser.requires_grad_(False)
        self._beginning = model.dual.state_dict()
        return model.vae.requires_grad_(False)

    def _fit_statistics(self) -> None:
        """The student begins as its teacher, whose statistics its inputs keep."""
        self.model.load_state_dict(self._beginning)
        del self._beginning
        self.model.provider.requires_grad_(False)

    def round_of(self, epoch: int) -> int:
        """Which round an epoch, the first is 1, belongs to."""
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
        """The teacher's guided output for these clips, all branches in one call."""
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
        provider = self.model.provider.eval()  # whose statistics stay as they are
        with torch.no_grad():
            attributes = [info.to_condition_attributes() for info in infos]
            conditions = provider(provider.tokenize(attributes, streams))
        draws = self._draw(self.epoch if self.is_training else 0, idx, self.share(len(infos)))
        z0, mask = self.encode(segments, draws.posterior), self._mask(infos)
        timesteps = task.teacher_timesteps(draws.t)
        z = self.schedule.add_noise(z0, draws.eps, timesteps[:, 0])
        with self.autocast:
            with torch.no_grad():
                teacher = self._teacher_of(conditions, guidance, z.shape[-1])
            target = task.target(teacher, z, timesteps)
            out = self.model.denoiser(z, timesteps[:, 0], conditions[POSITIVE])
        losses = masked_mse(out, target, mask)
        metrics["loss"] = losses.detach().mean()
        update_by_timestep(
            self.averages, {"loss": losses.detach()}, timesteps[:, 0], self.schedule.num_train_timesteps
        )
        if self.is_training:
            self.optimize(losses.mean(), metrics)
        return metrics
