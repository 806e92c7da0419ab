from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pn_diffusion_plugin.models.mel_vae import MelVAE


@pytest.fixture
def vae() -> MelVAE:
    torch.manual_seed(1)
    return MelVAE(
        (8, 8, 8), latent_channels=3, layers_per_block=1, norm_num_groups=4, mid_attention=False
    ).eval()


def mels(clips: int, columns: int = 32) -> torch.Tensor:
    return torch.rand(clips, 1, 16, columns) * 2 - 1


@torch.no_grad()
def test_latents_of_the_training_set_have_mean_zero_and_variance_one(vae: MelVAE) -> None:
    training = mels(64)
    raw = vae.encode(training)
    assert raw.std() != pytest.approx(1, abs=0.02)  # of random weights: there is something to measure
    vae.fit_scale(vae.posterior(training).sample())
    z = vae.encode(mels(64))  # others of the same kind
    assert z.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=0.05)
    assert z.std(dim=(0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=0.05)


@torch.no_grad()
def test_the_scale_is_undone_by_decoding_and_travels_with_the_weights(vae: MelVAE) -> None:
    latent = vae.posterior(mels(4)).sample()
    plain = vae.decode_unscaled(latent).clamp(-1, 1)
    vae.fit_scale(latent * 5 + 2)
    assert torch.allclose(vae.decode(vae.scale(latent)), plain, atol=1e-5)
    other = MelVAE(**vae.config).eval()
    other.load_state_dict(vae.state_dict())
    assert torch.equal(other.scale(latent), vae.scale(latent))


def test_a_channel_that_never_varies_does_not_divide_by_zero(vae: MelVAE) -> None:
    latents = torch.randn(4, 3, 4, 8)
    latents[:, 1] = 0.5
    vae.fit_scale(latents)
    assert vae.scale(latents).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("columns", [4, 32, 60])
def test_shapes(vae: MelVAE, columns: int) -> None:
    z = vae.encode(mels(2, columns))
    assert vae.factor == 4
    assert z.shape == (2, 3, 4, columns // 4)
    mel = vae.decode(z * 100)
    assert mel.shape == (2, 1, 16, columns)
    assert mel.min() >= -1 and mel.max() <= 1


@pytest.mark.parametrize("rows, columns", [(16, 30), (14, 32)])
def test_sizes_that_cannot_be_halved_are_refused(vae: MelVAE, rows: int, columns: int) -> None:
    with pytest.raises(ValueError, match=f"{rows} x {columns} cannot be downsampled by 4: pad"):
        vae.encode(torch.zeros(1, 1, rows, columns))


@torch.no_grad()
def test_samples_follow_their_generator_and_the_mode_is_one(vae: MelVAE) -> None:
    mel = mels(2)
    same = [vae.encode(mel, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], vae.encode(mel, torch.Generator().manual_seed(6)))
    assert torch.equal(vae.encode(mel, sample=False), vae.encode(mel, sample=False))
    assert torch.equal(vae.encode(mel, sample=False), vae.scale(vae.posterior(mel).mean))


@torch.no_grad()
@pytest.mark.parametrize("channels, layers", [((8, 8), 1), ((8, 8, 16), 1), ((8, 8, 16, 16), 2)])
def test_a_long_picture_in_chunks_is_the_picture(channels: tuple[int, ...], layers: int) -> None:
    """Also where loudness changes along the way, which a chunk's own normalisation would even out."""
    torch.manual_seed(2)
    vae = MelVAE(channels, 3, layers, norm_num_groups=4, mid_attention=False).eval()
    for norm in vae.modules():
        if isinstance(norm, nn.GroupNorm):
            nn.init.normal_(norm.weight, 1.0, 0.5)
            nn.init.normal_(norm.bias)
    columns = 60
    z = torch.randn(2, 3, 16 // vae.factor, columns) * torch.linspace(0.2, 3, columns)
    mel = mels(2, columns * vae.factor) * torch.linspace(0.2, 1, columns * vae.factor)
    latent, picture = vae.posterior(mel).parameters, vae.decode_unscaled(z)
    for chunk in (13, 25):
        vae.chunk_frames = chunk * vae.factor
        assert torch.allclose(vae.decode_unscaled(z), picture, atol=1e-5)
        assert torch.allclose(vae.posterior(mel).parameters, latent, atol=1e-5)


@torch.no_grad()
def test_with_attention_chunks_are_joined_without_a_seam() -> None:
    torch.manual_seed(2)
    vae = MelVAE((8, 8, 8), 3, 1, norm_num_groups=4, mid_attention=True).eval()
    z = torch.randn(1, 3, 4, 160)
    whole = vae.decode(z)
    vae.chunk_frames = 160
    joined = vae.decode(z)
    assert joined.shape == whole.shape and vae.encode(whole, sample=False).shape == z.shape
    steps = joined.diff(dim=-1).abs().mean(dim=(0, 1, 2))
    overlap = 2 * vae.decoder_reach
    borders = [
        b * 4 for start in range(40 - overlap, 160 - overlap, 40 - overlap) for b in (start, start + overlap)
    ]
    borders = [b for b in borders if b < len(steps)]
    assert len(borders) > 6
    assert steps[[b - 1 for b in borders]].max() <= steps.max() and steps[borders].mean() < 1.2 * steps.mean()


def test_where_gradients_are_wanted_nothing_is_cut(vae: MelVAE) -> None:
    vae.chunk_frames = 8
    mel = mels(1)
    vae.decode_unscaled(vae.posterior(mel).mode()).sum().backward()
    first = vae.autoencoder.encoder.conv_in.weight.grad
    assert first is not None and first.abs().sum() > 0


@torch.no_grad()
def test_a_lighter_decoder_gives_the_same_pictures_shape_for_fewer_operations() -> None:
    options = dict(latent_channels=3, layers_per_block=1, norm_num_groups=4, mid_attention=False)
    torch.manual_seed(1)
    plain, light = (
        MelVAE((16, 16, 16), **options),
        MelVAE((16, 16, 16), decoder_channels=(8, 8, 8), **options),
    )
    latent = torch.randn(2, 3, 4, 8)
    counts = []
    for vae in (plain.eval(), light.eval()):
        with FlopCounterMode(display=False) as counter:
            assert vae.decode(latent).shape == (2, 1, 16, 32)
        counts.append(counter.get_total_flops())
        whole = vae.decode_unscaled(torch.randn(1, 3, 4, 96, generator=torch.Generator().manual_seed(1)))
        vae.chunk_frames = 256
        parts = vae.decode_unscaled(torch.randn(1, 3, 4, 96, generator=torch.Generator().manual_seed(1)))
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)
    assert counts[1] < 0.35 * counts[0]
    assert MelVAE(**light.config).load_state_dict(light.state_dict())
    with pytest.raises(ValueError, match="2 widths and the encoder 3"):
        MelVAE((16, 16, 16), decoder_channels=(8, 8), **options)
    with pytest.raises(ValueError, match="layers_per_block=1001: give 1 to 16"):
        MelVAE((16, 16, 16), layers_per_block=1001)
