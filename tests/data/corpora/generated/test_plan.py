"""What decides a generated clip: splits apart, every clip by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.generated.genres import GENRES
from pn_diffusion_plugin.data.corpora.generated.plan import GeneratedSpec, clip_plan, tempos
from pn_diffusion_plugin.data.manifest import SPLITS
from pn_diffusion_plugin.errors import CorpusError

SPEC = GeneratedSpec()


def test_the_corpus_is_large() -> None:
    assert sum(SPEC.clips(split) for split in SPLITS) >= 2000
    assert len(SPEC.everything()) == sum(SPEC.clips(split) for split in SPLITS)


def test_splits_share_no_tempo_song_choreography_or_dancer() -> None:
    assert sorted(bpm for split in SPLITS for bpm in tempos(split)) == list(range(75, 180))
    seen: dict[str, dict[object, str]] = {}
    for split in SPLITS:
        for index in range(60):
            plan = clip_plan(SPEC, split, index)
            assert 75 <= plan.score.bpm < 180
            about = plan.about(SPEC)
            values: dict[str, object] = {name: about[name] for name in ("song", "choreography", "dancer")}
            for name in ("motion_seed", "look_seed", "music_seed", "noise_seed"):
                values[name] = tuple(getattr(plan, name).generate_state(2))
            for name, value in values.items():
                assert value not in seen.setdefault(name, {}), f"{name} of {plan.id}"
                seen[name][value] = split
            assert seen.setdefault("bpm", {}).setdefault(round(plan.score.bpm, 2), split) == split
            assert int(plan.score.bpm) in tempos(split)


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_covers_tempos_and_genres(split: str) -> None:
    plans = [clip_plan(SPEC, split, index) for index in range(60)]
    thirds = np.histogram([plan.score.bpm for plan in plans], bins=[75, 110, 145, 181])[0]
    assert thirds.min() >= len(plans) // 4
    assert len({plan.genre for plan in plans}) >= len(GENRES) - 3


def test_a_plan_depends_on_no_number_of_clips_and_seeds_differ() -> None:
    small = dataclasses.replace(SPEC, train=5)
    assert clip_plan(small, "train", 4).score == clip_plan(SPEC, "train", 4).score
    other = dataclasses.replace(SPEC, seed=1)
    assert clip_plan(other, "train", 4).score != clip_plan(SPEC, "train", 4).score


def test_a_wrong_split_or_index_is_named() -> None:
    with pytest.raises(CorpusError, match="'dev'"):
        SPEC.clips("dev")
    with pytest.raises(CorpusError, match="no clip 2000"):
        clip_plan(SPEC, "train", 2000)
