"""A minute in windows and chunks: exact to the sample, and no place shows where it was joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from seams import find_seams

from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.models.vocoders.griffin_lim import GriffinLim
from pn_diffusion_plugin.modules.st_gcn import STGCN
from pn_diffusion_plugin.modules.windows import window_starts

Make = Callable[..., Any]
SECONDS = 60.03
COLUMN = 512  # samples a latent column of the tiny model


@pytest.fixture(scope="module")
def make_long(make_model: Make, make_features: Make) -> Callable[..., torch.Tensor]:
    """Music of a minute by a model of random weights: (samples,)."""
    features = make_features(SECONDS, 3)

    def make(chunk_frames: int = 1024, **params: Any) -> torch.Tensor:
        model: PNDiffusion = make_model()
        model.set_generation_params(steps=2, **params)
        model.vae.chunk_frames = model.vocoder.chunk_frames = chunk_frames
        return model.generate_from_features([features], [1])[0][0]

    return make


@pytest.fixture(scope="module")
def minute(make_long: Callable[..., torch.Tensor]) -> torch.Tensor:
    return make_long()


def window_borders(overlap: float) -> list[int]:
    """Samples at which windows of the tiny model begin or end."""
    columns = -(-round(SECONDS * 8000) // COLUMN)
    starts = window_starts(columns + columns % 2, 40, round(40 * (1 - overlap)))[:-1]
    return sorted({at * COLUMN for s in starts for at in (s, s + 40) if 0 < at < columns - 2})


def test_the_length_is_exact_and_chunks_change_nothing(
    minute: torch.Tensor, make_long: Callable[..., torch.Tensor]
) -> None:
    assert minute.shape == (round(SECONDS * 8000),) and minute.abs().max() == pytest.approx(0.95, abs=1e-5)
    again = make_long(chunk_frames=300, windows_per_call=5)
    assert torch.allclose(again, minute, atol=1e-3)
    assert (again - minute).square().mean().sqrt() < 1e-5


def test_neither_windows_nor_chunks_leave_a_seam(minute: torch.Tensor) -> None:
    wave = minute.numpy()
    windows = find_seams([wave], [window_borders(0.5)])
    assert not windows.stand_out, windows
    chunks = find_seams([wave], [[1024 * 256]])
    assert not chunks.stand_out, chunks


def test_windows_that_are_only_laid_end_to_end_do(
    minute: torch.Tensor, make_features: Make, make_model: Make
) -> None:
    """The measure hears what the windows avoid."""
    model: PNDiffusion = make_model()
    model.set_generation_params(steps=2)
    singles = model.generate_from_features([make_features(2.56, i) for i in range(24)])
    joined = np.concatenate([wav[0].numpy() for wav in singles])
    borders = list(range(20480, len(joined) - 1, 20480))
    assert find_seams([joined], [borders]).stand_out


def test_nothing_that_is_computed_at_once_grows_with_the_length(
    make_model: Make, make_features: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that go into dance encoder, U-Net, decoder and vocoder at a time, at most."""
    model: PNDiffusion = make_model(
        {"vocoder": {"name": "griffin_lim", "iterations": 2, "chunk_frames": 200}}
    )
    model.set_generation_params(steps=1, guidance=2.0, windows_per_call=8)
    model.vae.chunk_frames = 200
    most: dict[str, int] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        most[name] = max(most.get(name, 0), value.numel())

    (encoder,) = (m for m in model.dual.modules() if isinstance(m, STGCN))
    for name, module in (
        ("encoder", encoder),
        ("unet", model.dual.denoiser.unet),
        ("decoder", model.vae.autoencoder.decoder),
    ):
        module.register_forward_pre_hook(lambda _, args, name=name: watch(name, args[0]))
    search = GriffinLim.search

    def watched(self: GriffinLim, power: torch.Tensor, first: int | None = None) -> torch.Tensor:
        watch("vocoder", power)
        return search(self, power, first)

    monkeypatch.setattr(GriffinLim, "search", watched)
    found = []
    for seconds in (30.0, 90.0):
        most.clear()
        model.generate_from_features([make_features(seconds)])
        found.append(dict(most))
    assert set(found[0]) == {"encoder", "unet", "decoder", "vocoder"} and found[0] == found[1]
