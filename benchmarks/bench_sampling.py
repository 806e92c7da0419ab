"""Music for one clip of a window's length, by the published procedure and by the product.

Of the published procedure's 1000 steps only 5 are run in every round; their time is multiplied by 200, since all steps
do the same work. Its decoding and inversion are run as they are. The dance is noise. Random weights decode to no music,
and the time of least squares depends on the input, so the published procedure inverts the mel spectrogram of a clip of
the embedded corpus.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

from .accelerator_rows import noise_dances
from .common import Clock
from .configs import ARCHITECTURE, RECOMMENDED, composed
from .contenders import Contender, Seconds
from .counts import Counts, counting, parts_of
from .procedure_sampling import ReferenceSampling

MEASURED_STEPS = 5  # of the published procedure in every round
FAST = {"precision": "bfloat16", "channels_last": True}
#: Generation parameters of ours on the published architecture, row by row.
LADDER: dict[str, dict[str, Any]] = {
    "ours, 20 steps of UniPC, float32": {"steps": 20},
    "ours, 20 steps, bfloat16": {"steps": 20, "precision": "bfloat16"},
    "ours, 20 steps, bfloat16, channels last": {"steps": 20, **FAST},
    "ours, 20 steps, bfloat16, channels last, compiled": {"steps": 20, **FAST, "compile": True},
    "ours, 4 steps, bfloat16, channels last": {"steps": 4, **FAST},
}
DENOISING, DECODING, INVERSION = "denoising", "decoding", "inversion"


def random_model(overrides: list[str]) -> PNDiffusion:
    """A model of this configuration with random weights."""
    config = composed(overrides)
    torch.manual_seed(0)
    dual = builders.build_dual_diffusion(config).eval()
    return PNDiffusion(config, dual, builders.build_vae(config).eval())


class ProductClip:
    """Generation by the product.

    Args:
        overrides: of the configuration.
        params: generation parameters that differ from the configuration's.
    """

    def __init__(self, overrides: list[str], params: dict[str, Any]) -> None:
        self.model = random_model(overrides)
        self.model.set_generation_params(**params)
        self.dance = noise_dances(self.model.config, 1, self.model.device)
        self.clock = Clock()
        self.denoiser, self.vae = self.model.networks()
        self.clock.wrap(self.vae, "decode", DECODING)
        self.clock.wrap(self.model.vocoder, "forward", INVERSION)

    def make(self) -> torch.Tensor:
        """Music of the clip, (1, N)."""
        return self.model.generate_from_conditions([self.dance], [0])[0]

    def run(self) -> Seconds:
        """Seconds by stage; what is neither decoding nor inversion is denoising."""
        self.clock.clear()
        self.clock.measure("whole", self.make)
        whole = self.clock.wall.pop("whole")
        return {DENOISING: whole - sum(self.clock.wall.values()), **self.clock.wall}

    def count(self) -> Counts:
        """Calls and FLOPs of a clip."""
        assert isinstance(self.vae, MelVAE)
        with counting(parts_of(self.model.dual.provider, self.denoiser, self.vae)) as counts:
            self.make()
        return counts


class ReferenceClip:
    """Generation by the published procedure, of which only a part is run: see the module's docstring.

    Args:
        overrides: of the configuration.
        sampler, steps: the cost of these is estimated.
    """

    def __init__(self, overrides: list[str], sampler: str, steps: int) -> None:
        self.sampler, self.steps = sampler, steps
        model = random_model(overrides)
        assert isinstance(model.vae, MelVAE)
        self.reference = ReferenceSampling(model.config, model.dual, model.vae)
        sequence = model.sequence
        self.dances = noise_dances(model.config, 1, model.device)
        wav = torch.from_numpy(MiniSpec().plan("test", 0).audio()[: sequence.samples])
        padded = F.pad(wav, (0, sequence.padded_samples - len(wav)))
        self.mel = self.reference.mel(padded[None, None])[0, 0]
        self.z = torch.zeros(0)

    def denoise(self, steps: int) -> None:
        """Run so many steps from noise."""
        self.z = self.reference.latents(self.dances, [0], self.sampler, steps)

    def finish(self) -> None:
        """Convert latents to audio."""
        self.reference.decode(self.z)
        self.reference.invert(self.mel)

    def run(self) -> Seconds:
        clock = Clock()
        clock.measure(DENOISING, self.denoise, MEASURED_STEPS)
        clock.measure(DECODING, self.reference.decode, self.z)
        clock.measure(INVERSION, self.reference.invert, self.mel)
        return {**clock.wall, DENOISING: clock.wall[DENOISING] * self.steps / MEASURED_STEPS}

    def count(self) -> Counts:
        dual = self.reference.dual
        parts = parts_of(dual.provider, dual.denoiser, self.reference.vae)
        with counting(parts) as step:
            self.denoise(1)
        with counting(parts) as rest:
            self.finish()
        return step.times(self.steps) + rest


def contenders(size: str, compiled: bool = True) -> list[Contender]:
    """The published procedure with 1000 steps of DDPM and 50 of DDIM, then ours with more and more options, then the
    recommended configuration.

    Args:
        size: `paper` or `mini`.
        compiled: include the compiled rows.
    """
    same, ours = ARCHITECTURE[size], RECOMMENDED[size]
    rows = [
        Contender(
            f"reference procedure, {steps} steps of {sampler.upper()}",
            ReferenceClip,
            {"overrides": same, "sampler": sampler, "steps": steps},
        )
        for sampler, steps in (("ddpm", 1000), ("ddim", 50))
    ]
    named = {name: (same, {"sampler": "unipc", **params}) for name, params in LADDER.items()}
    named[f"recommended: {ours[0].removeprefix('solver=')}"] = ours, FAST
    for name, (overrides, params) in named.items():
        rows.append(Contender(name, ProductClip, {"overrides": overrides, "params": params}))
    return [row for row in rows if compiled or "compiled" not in row.name]
