"""A clip by the reference procedure and by the product: the same latents from the same noise, less work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_model import tiny_model

from benchmarks.accelerator_rows import noise_dances
from benchmarks.counts import counting, parts_of
from benchmarks.procedure_sampling import ReferenceSampling
from pn_diffusion_plugin.data.condition import DanceCondition
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

STEPS = 6


@pytest.fixture(scope="module")
def model() -> PNDiffusion:
    """Told to sample as published, but in few steps."""
    return tiny_model({"sampling.sampler": "ddpm", "sampling.steps": STEPS})


@pytest.fixture(scope="module")
def dance(model: PNDiffusion) -> dict[str, DanceCondition]:
    torch.manual_seed(0)
    return noise_dances(model.config, 1, model.device)


@pytest.fixture(scope="module")
def reference(model: PNDiffusion) -> ReferenceSampling:
    return ReferenceSampling(model.config, model.dual, model.vae)


def test_the_same_latents_from_the_same_noise(
    model: PNDiffusion, reference: ReferenceSampling, dance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[torch.Tensor] = []
    decode = model.vae.decode
    monkeypatch.setattr(model.vae, "decode", lambda z: decoded.append(z) or decode(z))
    model.generate_from_conditions([dance], [5])
    tokenized = model.dual.provider.collate([dance])
    expected = reference.latents(tokenized, [5], "ddpm", STEPS)
    torch.testing.assert_close(decoded[0], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(expected, reference.latents(tokenized, [6], "ddpm", STEPS), atol=0.1)


def test_the_dance_is_encoded_once_and_half_the_passes_are_made(
    model: PNDiffusion, reference: ReferenceSampling, dance: Any
) -> None:
    parts = parts_of(model.dual.provider, model.dual.denoiser, model.vae)
    with counting(parts) as ours:
        model.generate_from_conditions([dance], [0])
    with counting(parts) as step:
        reference.latents(model.dual.provider.collate([dance]), [0], "ddpm", 1)
    whole = step.times(STEPS)
    assert (whole.parts["U-Net"].calls, ours.parts["U-Net"].calls) == (2 * STEPS, STEPS)
    assert (whole.parts["ST-GCN"].calls, ours.parts["ST-GCN"].calls) == (2 * STEPS, 1)
    assert ours.parts["U-Net"].flops <= whole.parts["U-Net"].flops / 2
    # 20 steps of ours against the published 1000, to which the U-Net's FLOPs are proportional
    assert 20 * ours.parts["U-Net"].flops / STEPS <= step.times(1000).parts["U-Net"].flops / 80
    assert ours.parts["VAE decoder"].calls == 1 and step.parts["VAE decoder"].calls == 0


def test_counts_add_up(model: PNDiffusion, reference: ReferenceSampling, dance: Any) -> None:
    parts = parts_of(model.dual.provider, model.dual.denoiser, model.vae)
    tokenized = model.dual.provider.collate([dance])
    with counting(parts) as one:
        z = reference.latents(tokenized, [0], "ddpm", 1)
    with counting(parts) as three:
        reference.latents(tokenized, [0], "ddpm", 3)
    with counting(parts) as rest:
        reference.decode(z)
    assert one.times(3) == three
    assert (three + rest).flops == three.flops + rest.flops
    assert (three + rest).parts["VAE decoder"] == rest.parts["VAE decoder"]


def test_librosa_gives_sound_of_the_picture(reference: ReferenceSampling) -> None:
    """A mel with one loud band comes back as a tone of about its frequency."""
    front = reference.mel
    mel = torch.full((front.n_mels, 60), -1.0)
    mel[5] = 1.0
    sound = reference.invert(mel)
    assert sound.shape == (59 * front.hop_length,)
    power = np.abs(np.fft.rfft(sound)) ** 2
    centre = float(front.filters[5].argmax()) * front.sample_rate / front.n_fft
    # The mean, not the peak: librosa's phases are random, so a single bin may stand out.
    found = (power * np.arange(len(power))).sum() / power.sum() * front.sample_rate / len(sound)
    assert abs(found - centre) < 2 * front.sample_rate / front.n_fft
