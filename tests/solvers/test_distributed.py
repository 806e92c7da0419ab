"""Shares of an update, and means over clips, parts and workers."""

from __future__ import annotations

import pytest
import torch

from pn_diffusion_plugin.solvers.distributed import ClipAverages, Share, ShareSampler, WeightedMeans


def test_shares_are_dealt_out_in_turn() -> None:
    whole = torch.arange(11)
    for workers, parts in ((1, 1), (2, 1), (1, 3), (2, 2)):
        shares = [Share(w + workers * p, workers * parts, 11) for w in range(workers) for p in range(parts)]
        rows = [share.of(whole) for share in shares]
        assert torch.cat(rows).sort().values.equal(whole)
        assert [len(row) for row in rows] == [len(share) for share in shares]
    with pytest.raises(ValueError, match="10 rows were drawn for an update of 11 clips"):
        Share(0, 1, 11).of(torch.arange(10))


def test_batches_of_all_workers_make_up_the_batch_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import flashy

    numbers = list(range(11))
    dealt = []
    for rank in range(2):
        monkeypatch.setattr(flashy.distrib, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(flashy.distrib, "world_size", lambda: 2)
        sampler = ShareSampler(torch.utils.data.SequentialSampler(numbers), 11)
        dealt.append(list(sampler))
        assert len(dealt[-1]) == len(sampler)
        assert [sampler.clips(index, 2) for index in range(3)] == [4, 4, 3]  # four clips an update
    assert dealt == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9]]


def test_means_by_name_need_no_metric_everywhere() -> None:
    means = WeightedMeans()
    means.update({"loss": 1.0, "early": 3.0}, 0.25)
    means.update({"loss": torch.tensor(5.0)}, 0.75)
    means.update({"none": 1.0}, 0.0)
    assert means.compute() == {"loss": 4.0, "early": 3.0}


def test_means_are_over_clips_and_not_over_batches() -> None:
    averages = ClipAverages()
    averages.update({"loss": torch.tensor([1.0, 2.0, 3.0])})
    averages.update({"loss": torch.tensor([10.0])})
    assert averages.compute() == {"loss": 4.0}
