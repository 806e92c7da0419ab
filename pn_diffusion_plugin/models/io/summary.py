"""Parameters and FLOPs of every part of a model, from its configuration alone.

The modules are built on PyTorch's meta device, so that the paper's configuration needs no memory. FLOPs are counted by
`torch.utils.flop_counter`: matrix products, convolutions and attention, two per multiply-add. By this convention a pass
of the paper's U-Net has 30.1 GFLOP, the published number (its "MACs" would be half of that).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ...modules.guidance import Guidance
from ...modules.style import ANY
from .. import builders
from ..generation_params import upgrade_sampling
from ..score_patches import ScorePatches

#: Cost of a training sample in forward passes: forward, and two backward (gradients of inputs and of weights).
TRAINING = 3


@dataclass(frozen=True)
class Part:
    """A row of the summary.

    Attributes:
        name: name of the part.
        parameters: number of its parameters without buffers; None: not a module.
        flops: of one pass for one clip of a segment's length.
    """

    name: str
    parameters: int | None
    flops: int


def flops_of(function: Callable[[], object]) -> int:
    """FLOPs of a call without gradients, also on the meta device."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def parameters_of(module: nn.Module) -> int:
    """Number of a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def autoencoder_parts(config: builders.Config) -> list[Part]:
    """Encoder, decoder and autoencoder for one segment, and a training sample (without the discriminator)."""
    with torch.device("meta"):
        vae = builders.build_vae(config)
    frames = builders.build_mel(config).frames(round(config["segment_seconds"] * config["sample_rate"]))
    parts = _autoencoder(vae, config["mel"]["n_mels"], frames // vae.factor)
    return [*parts, Part("a training sample", None, TRAINING * parts[-1].flops)]


def _autoencoder(vae: builders.Autoencoder, n_mels: int, columns: int) -> list[Part]:
    if isinstance(vae, ScorePatches):
        return [Part(f"autoencoder{part}", 0, 0) for part in (", encoding", ", decoding", "")]
    model = vae.autoencoder
    mel = torch.empty(1, 1, n_mels, columns * vae.factor, device="meta")
    latent = torch.empty(1, vae.latent_channels, n_mels // vae.factor, columns, device="meta")
    encode, decode = flops_of(lambda: model.encode(mel)), flops_of(lambda: model.decode(latent))
    encoder = parameters_of(model.encoder) + parameters_of(model.quant_conv)
    return [
        Part("autoencoder, encoding", encoder, encode),
        Part("autoencoder, decoding", parameters_of(vae) - encoder, decode),
        Part("autoencoder", parameters_of(vae), encode + decode),
    ]


def vocoder_parts(config: builders.Config) -> list[Part]:
    """Vocoder for a second of sound (without the inverse Fourier transforms)."""
    mel = builders.build_mel(config)
    vocoder = builders.build_vocoder_network(config, mel, config["vocoder"]["name"])
    frames = mel.frames(config["sample_rate"])
    flops = flops_of(lambda: vocoder(torch.zeros(1, 1, mel.n_mels, frames)))
    return [Part("vocoder, a second of sound", parameters_of(vocoder), flops)]


def diffusion_parts(config: builders.Config) -> list[Part]:
    """Dance encoder, U-Net pass, autoencoder, a training sample and a generated clip of one segment.

    Without the visual encoder (its windows are encoded once, in preparation), the mel front end and the vocoder.
    """
    with torch.device("meta"):
        dual, vae = builders.build_dual_diffusion(config, "meta"), builders.build_autoencoder(config)
    sequence = builders.build_sequence(config)
    conditioner, denoiser = dual.provider.dance, dual.denoiser
    own, unet_and_own = parameters_of(conditioner), parameters_of(denoiser)
    # `prepare` depends on which tokens are padding, so the small modules need real (uninitialised) memory.
    conditioner.to_empty(device="cpu")
    for name, child in denoiser.named_children():
        if name != "unet":
            child.to_empty(device="cpu")
    denoiser.null_token = nn.Parameter(torch.zeros(conditioner.output_dim))

    columns = sequence.latent_columns
    z = torch.empty(1, denoiser.latent_channels, denoiser.latent_rows, columns, device="meta")
    t = torch.empty(1, device="meta")
    dance = (
        torch.zeros(1, sequence.visual_windows, len(conditioner.encoder.visual_norm.mean)),
        torch.zeros(1, sequence.pose_frames, 33, 3),
        torch.ones(1, sequence.pose_frames, dtype=torch.bool),
        sequence.pose_fps,
    )
    encode = flops_of(lambda: conditioner.output_proj(conditioner.encoder(*dance)[0]))
    tokens = 1 if denoiser.temporal == "pooled" else sequence.pose_frames
    condition = torch.ones(1, tokens, conditioner.output_dim), torch.ones(1, tokens, dtype=torch.bool)
    prepare = flops_of(lambda: denoiser.prepare(condition, columns))
    with torch.no_grad():
        prepared = {name: value.to("meta") for name, value in denoiser.prepare(condition, columns).items()}
    unet = flops_of(lambda: denoiser.denoise(z, t, prepared))

    autoencoder = _autoencoder(vae, config["mel"]["n_mels"], columns)
    objective = builders.build_objective(config, builders.build_schedule(config))
    dances, rows = len(objective.streams), objective.rows if objective.uses_negative else 1
    sampling = upgrade_sampling(config["sampling"])
    guidance = Guidance(
        w=sampling["negative_guidance"],
        g=sampling["guidance"],
        h=sampling.get("negative_cfg", 0.0),
        s=sampling.get("guidance_style", 1.0) if sampling.get("style", ANY) != ANY else 1.0,
    )
    branches = len(guidance.branches)
    conditions = 2 if "negative" in guidance.branches else 1
    sample = TRAINING * (dances * encode + rows * (prepare + unet)) + autoencoder[0].flops
    clip = conditions * encode + branches * (prepare + sampling["steps"] * unet) + autoencoder[1].flops
    return [
        Part("dance encoder", own, encode),
        Part(
            f"U-Net, a pass with {_count(prepared['tokens'].shape[1], 'token')}", unet_and_own, prepare + unet
        ),
        Part("U-Net and dance encoder", own + unet_and_own, encode + prepare + unet),
        *autoencoder,
        Part(f"a training sample, {_count(rows, 'stream')}", None, sample),
        Part(
            f"a clip of {sequence.seconds:g} s, {_count(sampling['steps'] * branches, 'pass', 'passes')}",
            None,
            clip,
        ),
    ]


def table(parts: list[Part]) -> str:
    """Format the parts as a table: name, millions of parameters, GFLOP."""
    width = max(len(part.name) for part in parts)
    lines = [f"{'':{width}}  parameters (M)      GFLOP"]
    for part in parts:
        size = "" if part.parameters is None else f"{part.parameters / 1e6:.3f}"
        lines.append(f"{part.name:{width}}  {size:>14}  {part.flops / 1e9:>9.3f}")
    return "\n".join(lines)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def describe(config: builders.Config) -> str:
    """Describe an experiment for `show=true`: modules, lengths, parameters and FLOPs."""
    if config["solver"] == "mel_vae":
        with torch.device("meta"):
            vae = builders.build_vae(config)
        about = f"compression: {vae.factor} times in time and frequency, {vae.latent_channels} channels"
        return f"{vae}\n{about}\n{table(autoencoder_parts(config))}"
    if config["solver"] == "vocoder":
        vocoder = builders.build_vocoder_network(
            config, builders.build_mel(config), config["vocoder"]["name"]
        )
        reach = vocoder.reach * config["mel"]["hop_length"] / config["sample_rate"]
        about = f"a sample depends on {reach:.2f} s to each side"
        return f"{vocoder}\n{about}\n{table(vocoder_parts(config))}"
    with torch.device("meta"):
        dual = builders.build_dual_diffusion(config, "meta")
    return f"{dual}\n{builders.build_sequence(config)}\n{table(diffusion_parts(config))}"
