"""Folding on to latent columns keeps times: analytic ramps and single moves land where they belong."""

from __future__ import annotations

import torch

from pn_diffusion_plugin.modules.alignment import average_tokens, fold_to_columns, group_any, time_positions

RATE, COLUMN, MOMENTS = 25.0, 4 * 512 / 22050, 4


def test_a_ramp_of_seconds_gives_the_seconds_of_every_moment():
    seconds = (torch.arange(130) / RATE)[None, :, None]
    folded = fold_to_columns(seconds, RATE, 56, COLUMN, MOMENTS)
    expected = (torch.arange(56)[None] + (torch.arange(MOMENTS)[:, None] + 0.5) / MOMENTS) * COLUMN
    expected = expected.clamp(max=129 / RATE)
    torch.testing.assert_close(folded[0], expected.float(), atol=1e-5, rtol=0)


def test_a_move_shows_in_its_column_at_its_moment():
    tokens = torch.zeros(1, 130, 1)
    tokens[0, 50] = 1.0  # at 2.0 s
    folded = fold_to_columns(tokens, RATE, 56, COLUMN, MOMENTS)[0]
    moment, column = divmod(int(folded.argmax()), 56)
    assert abs((column + (moment + 0.5) / MOMENTS) * COLUMN - 2.0) < COLUMN / MOMENTS
    assert folded[:, : int(1.9 / COLUMN)].abs().max() == 0


def test_positions_are_tied_to_seconds_not_to_the_length():
    torch.manual_seed(0)
    tokens = torch.randn(2, 260, 3)
    long = fold_to_columns(tokens, RATE, 112, COLUMN, MOMENTS)
    short = fold_to_columns(tokens[:, :130], RATE, 56, COLUMN, MOMENTS)
    torch.testing.assert_close(long[..., :55], short[..., :55])


def test_channels_are_moments_then_features():
    tokens = torch.stack([torch.zeros(50), torch.ones(50)], dim=-1)[None]
    folded = fold_to_columns(tokens, RATE, 10, COLUMN, 2)
    assert folded[0, :, 3].tolist() == [0, 1, 0, 1]


def test_average_is_that_of_the_group_also_where_the_last_one_is_short():
    tokens = torch.tensor([[[1.0], [3.0], [10.0], [5.0], [7.0]]])
    assert average_tokens(tokens, 2).flatten().tolist() == [2.0, 7.5, 7.0]
    assert average_tokens(tokens[:, :1], 5).flatten().tolist() == [1.0]
    assert torch.equal(average_tokens(tokens, 1), tokens)


def test_the_mean_of_a_group_is_that_of_the_tokens_that_count():
    tokens = torch.tensor([[[1.0], [3.0], [10.0], [5.0], [7.0]]])
    weight = torch.tensor([[True, False, False, False, True]])
    assert average_tokens(tokens, 2, weight).flatten().tolist() == [1.0, 0.0, 7.0]
    assert group_any(weight, 2).tolist() == [[True, False, True]]
    torch.manual_seed(0)
    tokens = torch.randn(2, 23, 4)
    assert torch.equal(
        average_tokens(tokens, 5, torch.ones(2, 23, dtype=torch.bool)), average_tokens(tokens, 5)
    )


def test_between_somebody_and_nobody_the_nearer_one_holds():
    tokens = torch.where(torch.arange(50) < 25, 1.0, -1.0)[None, :, None]
    seen = torch.arange(50)[None] < 25
    folded = fold_to_columns(tokens, RATE, 20, COLUMN, MOMENTS, seen)
    assert set(folded.flatten().tolist()) == {1.0, -1.0}
    moments = (torch.arange(20)[None] + (torch.arange(MOMENTS)[:, None] + 0.5) / MOMENTS) * COLUMN
    assert torch.equal(folded[0] > 0, moments * RATE < 24.5)
    assert not set(fold_to_columns(tokens, RATE, 20, COLUMN, MOMENTS).flatten().tolist()) <= {1.0, -1.0}


def test_a_shorter_clips_last_token_is_held_whatever_follows_in_the_batch():
    torch.manual_seed(0)
    tokens = torch.randn(2, 130, 3)
    mixed = fold_to_columns(tokens, RATE, 56, COLUMN, MOMENTS, lengths=torch.tensor([100, 130]))
    torch.testing.assert_close(mixed[:1], fold_to_columns(tokens[:1, :100], RATE, 56, COLUMN, MOMENTS))
    torch.testing.assert_close(mixed[1:], fold_to_columns(tokens[1:], RATE, 56, COLUMN, MOMENTS))


def test_time_positions_agree_across_rates():
    slow, fast = time_positions(10, 10.0, 8), time_positions(30, 30.0, 8)
    torch.testing.assert_close(slow, fast[1::3], atol=1e-4, rtol=0)
