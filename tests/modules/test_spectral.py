from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.modules.spectral import MultiSpectralConvergence


def test_known_answers() -> None:
    t = torch.arange(8192) / 22050
    low, high = (torch.sin(2 * torch.pi * f * t)[None, None] for f in (500.0, 6000.0))
    loss = MultiSpectralConvergence()
    assert loss(low, low).item() == 0
    assert loss(-low, low).item() == pytest.approx(0, abs=1e-6)  # phases do not count
    assert loss(0.25 * low, low).item() == pytest.approx(0.75, abs=0.01)
    assert loss(0 * low, low).item() == pytest.approx(1, abs=0.01)
    assert loss(low, low + high).item() == pytest.approx(0.5**0.5, abs=0.02)


def test_gradients_are_finite_at_silence() -> None:
    estimate = torch.zeros(1, 1, 4096, requires_grad=True)
    wave = torch.randn(1, 1, 4096, generator=torch.Generator().manual_seed(0))
    MultiSpectralConvergence([256])(estimate, wave).backward()
    assert estimate.grad is not None and estimate.grad.isfinite().all()
