"""Counts of the published size, and of layers whose cost is known by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.io.summary import (
    Part,
    autoencoder_parts,
    describe,
    diffusion_parts,
    flops_of,
    table,
    vocoder_parts,
)

Make = Callable[..., Any]


def composed(solver: str, *overrides: str) -> dict[str, Any]:
    """The configuration of `dora run solver=…`."""
    with initialize_config_dir(str(paths.config_dir()), version_base="1.3"):
        config = compose("config", [f"solver={solver}", *overrides])
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def paper() -> list[Part]:
    return diffusion_parts(composed("pn_diffusion/paper"))


@pytest.fixture(scope="module")
def ours() -> list[Part]:
    return diffusion_parts(composed("pn_diffusion/ours"))


def find(parts: list[Part], begin: str) -> Part:
    """The first part whose name begins so."""
    return next(part for part in parts if part.name.startswith(begin))


def test_the_paper_has_the_published_size(paper: list[Part]) -> None:
    """Within 5 % of what is published: motion encoder 1.2 M, with the U-Net 166.6 M, autoencoder 83.6 M, 30.1 GFLOP."""
    millions = {part.name: part.parameters / 1e6 for part in paper if part.parameters}
    assert millions["dance encoder"] == pytest.approx(1.2, rel=0.05)
    assert millions["U-Net and dance encoder"] == pytest.approx(166.6, rel=0.05)
    assert millions["autoencoder"] == pytest.approx(83.6, rel=0.05)
    assert find(paper, "U-Net, a pass with 1 token").flops / 1e9 == pytest.approx(30.1, rel=0.05)


def test_ours_costs_what_the_paper_costs(paper: list[Part], ours: list[Part]) -> None:
    pass_of_paper, pass_of_ours = (find(parts, "U-Net, a pass").flops for parts in (paper, ours))
    assert pass_of_ours == pytest.approx(pass_of_paper, rel=0.1)
    for name in ("autoencoder, encoding", "autoencoder, decoding"):
        assert find(ours, name) == find(paper, name)
    assert find(ours, "a clip").flops < find(paper, "a clip").flops / 5  # fewer steps


def test_the_paper_by_the_letter() -> None:
    config = composed("pn_diffusion/paper")
    sequence = builders.build_sequence(config)
    assert (config["mel"]["n_mels"], sequence.mel_frames, sequence.latent_columns) == (256, 256, 32)
    assert sequence.padded_samples / sequence.sample_rate == pytest.approx(5.94, abs=0.01)
    with torch.device("meta"):
        dual = builders.build_dual_diffusion(config, "meta")
    assert dual.denoiser.unet.config["cross_attention_dim"] == 3072
    assert dual.denoiser.unet.config["in_channels"] == 4
    assert [block.__class__.__name__.startswith("CrossAttn") for block in dual.denoiser.unet.down_blocks] == [
        True,
        True,
        True,
        False,
    ]
    st_gcn = dual.provider.dance.encoder.st_gcn
    assert len(st_gcn.blocks) == 10 and st_gcn.out.in_features == 1056 and st_gcn.out.out_features == 1024
    schedule = builders.build_schedule(config)
    assert schedule.config() == {
        "num_train_timesteps": 1000,
        "beta_schedule": "linear",
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "zero_terminal_snr": False,
        "prediction": "epsilon",
    }
    optim = config["optim"]
    assert (optim["optimizer"], optim["lr"], optim["max_norm"]) == ("adamw", 1e-4, 1.0)
    assert (optim["adam"]["betas"], optim["adam"]["weight_decay"]) == ([0.95, 0.999], 1e-6)
    assert config["schedule"]["lr_scheduler"] == "cosine" and config["schedule"]["cosine"]["warmup"] == 500
    assert config["dataset"]["batch_size"] == 32 and optim["ema"]["use"]
    assert (config["sampling"]["sampler"], config["sampling"]["steps"]) == ("ddpm", 1000)
    assert (config["vocoder"]["name"], config["vocoder"]["iterations"]) == ("griffin_lim", 32)


def test_both_share_features_and_an_autoencoder_and_ours_pads_nothing(ours: list[Part]) -> None:
    paper, own, vae = (composed(s) for s in ("pn_diffusion/paper", "pn_diffusion/ours", "mel_vae/paper"))
    for key in ("sample_rate", "mel", "mel_vae"):
        assert paper[key] == own[key] == vae[key]
    assert paper["features"] == own["features"] and paper["vae"] == own["vae"]
    sequence = builders.build_sequence(own)
    assert 0 <= sequence.padded_samples - sequence.samples < sequence.hop_length
    assert find(autoencoder_parts(vae), "autoencoder, decoding") == find(ours, "autoencoder, decoding")


def test_flops_are_two_a_multiply_add() -> None:
    with torch.device("meta"):
        linear, conv = torch.nn.Linear(7, 5), torch.nn.Conv2d(3, 4, 3, padding=1)
        assert flops_of(lambda: linear(torch.empty(11, 7))) == 2 * 11 * 7 * 5
        assert flops_of(lambda: conv(torch.empty(1, 3, 8, 9))) == 2 * (8 * 9) * 4 * 3 * 9


@pytest.mark.parametrize("temporal", ["pooled", "tokens", "aligned"])
def test_a_tiny_model_is_the_sum_of_its_parts(make_config: Make, make_model: Make, temporal: str) -> None:
    config = make_config({"conditioning.temporal": temporal, "negative.alpha": 0.6})
    parts = diffusion_parts(config)
    model = make_model({"conditioning.temporal": temporal})
    own = sum(p.numel() for p in model.dual.parameters())
    assert find(parts, "U-Net and dance encoder").parameters == own
    (whole,) = (part.parameters for part in parts if part.name == "autoencoder")
    assert whole == sum(p.numel() for p in model.vae.parameters())
    step, encode, decode = (
        find(parts, name).flops
        for name in ("U-Net and dance encoder", "autoencoder, encoding", "autoencoder, decoding")
    )
    assert find(parts, "a training sample, 2 streams").flops == 6 * step + encode
    clip = find(parts, "a clip of 2.56 s, 3 passes").flops
    assert 3 * find(parts, "U-Net, a pass").flops < clip - decode + 1 <= 3 * step + 1

    guided = {"sampling.guidance": 2.0, "sampling.negative_guidance": 0.5}
    more = diffusion_parts(make_config({"conditioning.temporal": temporal, "negative.alpha": 0.6, **guided}))
    assert find(more, "a clip of 2.56 s, 9 passes").flops > 2 * clip - decode
    alone = diffusion_parts(make_config({"conditioning.temporal": temporal, "negative.alpha": 1.0}))
    assert find(alone, "a training sample, 1 stream").flops == 3 * step + encode


def test_the_table_has_a_line_a_part(make_config: Make) -> None:
    config = {**make_config(), "solver": "pn_diffusion"}
    lines = table(diffusion_parts(config)).splitlines()
    assert len(lines) == 9 and len({len(line) for line in lines}) == 1
    text = describe(config)
    assert text.endswith("\n".join(lines)) and "SequenceConfig(seconds=2.56" in text
    assert "UNet2DConditionModel" in text
    assert "compression: 2 times" in describe({**config, "solver": "mel_vae"})


def test_a_vocoder_is_counted_for_a_second_of_sound() -> None:
    config = composed("vocoder")
    (part,) = vocoder_parts(config)
    assert part.parameters is not None and 2.5e6 < part.parameters < 3e6  # 6 MB in half precision
    # Every weight of a matrix is used once a frame, at two FLOPs; biases, scales and depthwise kernels apart.
    assert part.flops == pytest.approx(2 * 44 * part.parameters, rel=0.02)
    text = describe(config)
    assert "VocosNetwork" in text and "a sample depends on 0.67 s to each side" in text
    bands = composed("vocoder/paper")
    assert bands["mel"]["n_mels"] == 256 and vocoder_parts(bands)[0].parameters > 4 * part.parameters
