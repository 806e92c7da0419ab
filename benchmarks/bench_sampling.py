"""Music for one clip of a window's length, by the reference procedure and by the product: what it takes.

The reference's 1000 steps are not run: 5 of them are, in every round, and stand for the others, which do the same work.
Its decoding and its inversion are run whole. Random weights decode to no music, and least squares take longer or
shorter by what they are given, so the reference inverts the mel of a clip's real music instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from pn_diffusion_plugin.data.condition import dance_conditions
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.metrics.corpus import CorpusClip, read_split
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

from .bench_contenders import Contender, Counts, Seconds
from .bench_corpus import build_corpus
from .bench_counts import counting, parts_of
from .configs import ARCHITECTURE, RECOMMENDED, composed
from .procedure_sampling import STREAMS, ReferenceSampling
from .profile_groups import profiled

MEASURED_STEPS = 5  # of the reference procedure, in every round
FAST = {"precision": "bfloat16", "channels_last": True}
#: Ours on the published architecture, row by row: parameters of the generation.
LADDER: dict[str, dict[str, Any]] = {
    "ours, 20 steps of UniPC, float32": {"steps": 20},
    "ours, 20 steps, bfloat16": {"steps": 20, "precision": "bfloat16"},
    "ours, 20 steps, bfloat16, channels last": {"steps": 20, **FAST},
    "ours, 20 steps, bfloat16, channels last, compiled": {"steps": 20, **FAST, "compile": True},
    "ours, 10 steps, bfloat16, channels last": {"steps": 10, **FAST},
    "ours, 4 steps, bfloat16, channels last": {"steps": 4, **FAST},
}
DENOISING, DECODING, INVERSION = "denoising", "decoding", "inversion"


def random_model(overrides: list[str]) -> PNDiffusion:
    """A model of random weights of this configuration."""
    config = composed(overrides)
    torch.manual_seed(0)
    dual = builders.build_dual_diffusion(config).eval()
    return PNDiffusion(config, dual, builders.build_vae(config).eval())


def first_clip(model: PNDiffusion, folder: Path) -> CorpusClip:
    """A test clip with features as the model wants them."""
    spec = model.feature_spec
    corpus = build_corpus(folder / f"corpus_{spec.visual_encoder}", spec)
    return read_split(CorpusPaths(corpus).manifest("test"), 1)[0]


class Clock:
    """Seconds by stage of functions that are wrapped."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Count the time of `owner.name` as the stage's from now on."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

        setattr(owner, name, timed)


class ProductClip:
    """The product's generation from features.

    Args:
        overrides: of the configuration.
        params: of the generation, where they differ from the configuration's.
        folder: of the corpus.
    """

    def __init__(self, overrides: list[str], params: dict[str, Any], folder: Path) -> None:
        self.model = random_model(overrides)
        self.model.set_generation_params(**params)
        dance = dance_conditions(first_clip(self.model, folder).features, 0.0, self.model.sequence.seconds)
        self.dance = dict(zip(STREAMS, dance, strict=True))
        self.clock = Clock()
        self.denoiser, self.vae = self.model.networks()
        self.clock.wrap(self.vae, "decode", DECODING)
        self.clock.wrap(self.model.vocoder, "forward", INVERSION)

    def make(self) -> torch.Tensor:
        """Music of the clip, (1, N)."""
        return self.model.generate_from_conditions([self.dance], [0])[0]

    def run(self) -> Seconds:
        """Seconds by stage; what is neither decoding nor inversion is denoising."""
        self.clock.seconds.clear()
        began = time.perf_counter()
        self.make()
        whole = time.perf_counter() - began
        return {DENOISING: whole - sum(self.clock.seconds.values()), **self.clock.seconds}

    def count(self) -> Counts:
        """A clip, counted."""
        with counting(parts_of(self.model.dual.provider, self.denoiser, self.vae)) as counts:
            self.make()
        return counts

    def profile(self) -> dict[str, Seconds]:
        """A clip, profiled."""
        return {"clip": profiled(self.make)}


class ReferenceClip:
    """The reference procedure's generation; see the module's text for what is run of it.

    Args:
        overrides: of the configuration.
        sampler, steps: whose cost is asked.
        folder: of the corpus.
    """

    def __init__(self, overrides: list[str], sampler: str, steps: int, folder: Path) -> None:
        self.sampler, self.steps = sampler, steps
        model = random_model(overrides)
        self.reference = ReferenceSampling(model.config, model.dual, model.vae)
        clip, sequence = first_clip(model, folder), model.sequence
        dances = dance_conditions(clip.features, 0.0, sequence.seconds)
        self.tokenized = model.dual.provider.collate([dict(zip(STREAMS, dances, strict=True))])
        wav = torch.from_numpy(clip.reference[: sequence.samples])
        padded = F.pad(wav, (0, sequence.padded_samples - len(wav)))
        self.mel = self.reference.mel(padded[None, None])[0, 0]
        self.z = torch.zeros(0)

    def denoise(self, steps: int) -> None:
        """So many steps from noise."""
        self.z = self.reference.latents(self.tokenized, [0], self.sampler, steps)

    def finish(self) -> None:
        """From latents to sound."""
        self.reference.decode(self.z)
        self.reference.invert(self.mel)

    def run(self) -> Seconds:
        times = [time.perf_counter()]
        for work in (
            lambda: self.denoise(MEASURED_STEPS),
            lambda: self.reference.decode(self.z),
            lambda: self.reference.invert(self.mel),
        ):
            work()
            times.append(time.perf_counter())
        few, decoding, inversion = (b - a for a, b in zip(times, times[1:], strict=False))
        return {DENOISING: few * self.steps / MEASURED_STEPS, DECODING: decoding, INVERSION: inversion}

    def count(self) -> Counts:
        dual = self.reference.dual
        parts = parts_of(dual.provider, dual.denoiser, self.reference.vae)
        with counting(parts) as step:
            self.denoise(1)
        with counting(parts) as rest:
            self.finish()
        return step.times(self.steps) + rest

    def profile(self) -> dict[str, Seconds]:
        few = profiled(lambda: self.denoise(MEASURED_STEPS))
        denoising = {group: seconds * self.steps / MEASURED_STEPS for group, seconds in few.items()}
        rest = profiled(self.finish)
        groups = {**denoising, **rest}
        return {"clip": {group: denoising.get(group, 0.0) + rest.get(group, 0.0) for group in groups}}


def contenders(size: str, folder: Path, compiled: bool = True) -> list[Contender]:
    """The reference procedure with 1000 steps of DDPM and 50 of DDIM, ours switch by switch, what we recommend.

    Args:
        size: `paper` or `mini`.
        folder: for the corpus.
        compiled: with the rows that compile.
    """
    same, ours = ARCHITECTURE[size], RECOMMENDED[size]
    for overrides in (same, ours):  # before several processes want them
        spec = builders.build_feature_spec(composed(overrides))
        build_corpus(folder / f"corpus_{spec.visual_encoder}", spec)

    def reference(sampler: str, steps: int) -> Contender:
        name = f"reference procedure, {steps} steps of {sampler.upper()}"
        arguments = {"overrides": same, "sampler": sampler, "steps": steps, "folder": folder}
        return Contender(name, ReferenceClip, arguments)

    def product(name: str, overrides: list[str], params: dict[str, Any]) -> Contender:
        return Contender(name, ProductClip, {"overrides": overrides, "params": params, "folder": folder})

    rows = [reference("ddpm", 1000), reference("ddim", 50)]
    rows += [product(name, same, {"sampler": "unipc", **switches}) for name, switches in LADDER.items()]
    rows.append(product(f"recommended: {ours[0].removeprefix('solver=')}", ours, FAST))
    return [row for row in rows if compiled or "compiled" not in row.name]
