from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pn_diffusion_plugin.modules.mel import MelSpectrogram
from pn_diffusion_plugin.sequence import SequenceConfig

MINI = SequenceConfig(5.2, 22050, 512, 4, 4, 25.0, 1.28)


def test_lengths_of_the_mini_model() -> None:
    assert (MINI.samples, MINI.mel_frames, MINI.latent_columns, MINI.pose_frames) == (114660, 224, 56, 130)
    assert MINI.padded_samples == 114688
    assert MINI.column_seconds == pytest.approx(0.09288, abs=1e-5)


@given(
    seconds=st.floats(0.1, 60),
    sample_rate=st.sampled_from([8000, 16000, 22050, 44100]),
    hop_length=st.sampled_from([128, 256, 512]),
    latent_factor=st.sampled_from([1, 2, 4, 8]),
    column_multiple=st.sampled_from([1, 2, 4, 8]),
)
def test_the_latent_holds_the_sound_and_little_more(
    seconds: float, sample_rate: int, hop_length: int, latent_factor: int, column_multiple: int
) -> None:
    lengths = SequenceConfig(seconds, sample_rate, hop_length, latent_factor, column_multiple, 25.0, 1.28)
    assert lengths.latent_columns % column_multiple == 0
    assert lengths.padded_samples >= lengths.samples
    assert lengths.padded_samples - lengths.samples < hop_length * latent_factor * column_multiple
    assert lengths.mel_frames == lengths.latent_columns * latent_factor
    assert lengths.latent_columns * lengths.column_seconds == pytest.approx(
        lengths.padded_samples / sample_rate
    )
    assert lengths.visual_windows >= 1


def test_the_mel_front_end_agrees() -> None:
    mel = MelSpectrogram(22050, 1024, 512, 64)
    assert mel(torch.zeros(1, 1, MINI.padded_samples)).shape[-1] == MINI.mel_frames
    assert mel.frames(MINI.samples) <= MINI.mel_frames


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(SequenceConfig)])
def test_nothing_may_be_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0: it must be positive"):
        dataclasses.replace(MINI, **{name: 0})


def test_column_mask_counts_columns_with_music() -> None:
    paper = SequenceConfig(5.0, 22050, 512, 8, 8, 25.0, 0.64)  # 27 of its 32 columns hold 5 s
    column = 8 * 512
    mask = paper.column_mask(torch.tensor([paper.samples, column, column + 1, 0, paper.padded_samples]))
    assert mask.shape == (5, 1, 1, 32) and mask.dtype == torch.float32
    assert mask.sum(dim=(1, 2, 3)).tolist() == [27, 1, 2, 0, 32]
    assert (mask.diff(dim=-1) <= 0).all()  # the padding is at the end
    assert paper.columns_for(paper.samples) == 32


def test_nothing_of_the_mini_model_is_masked() -> None:
    assert MINI.column_mask(torch.tensor([MINI.samples])).all()
