"""Plans of synthetic clips: disjoint splits, and every clip independent of all others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.genres import GENRES
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.synthetic.mini.choreography import STYLES
from pn_diffusion_plugin.data.corpora.synthetic.plan import SyntheticSpec
from pn_diffusion_plugin.data.manifest import SPLITS
from pn_diffusion_plugin.errors import CorpusError

presets = pytest.mark.parametrize("spec", [MiniSpec(), GeneratedSpec()], ids=lambda spec: spec.name)


@presets
def test_splits_share_no_tempo_song_choreography_or_dancer(spec: SyntheticSpec) -> None:
    whole = sorted(bpm for split in SPLITS for bpm in spec.tempos_of(split))
    assert whole == list(spec.tempos)
    seen: dict[str, dict[object, str]] = {}
    for split in SPLITS:
        for index in range(min(spec.clips(split), 60)):
            plan = spec.plan(split, index)
            assert int(plan.timing.bpm) in spec.tempos_of(split)
            values: dict[str, object] = {n: plan.labels[n] for n in ("song", "choreography", "dancer")}
            for name in ("motion_seed", "look_seed", "music_seed"):
                values[name] = tuple(getattr(plan, name).generate_state(2))
            for name, value in values.items():
                assert value not in seen.setdefault(name, {}), f"{name} of {plan.id}"
                seen[name][value] = split
            assert seen.setdefault("bpm", {}).setdefault(round(plan.timing.bpm, 2), split) == split


def test_presets_share_no_random_numbers() -> None:
    mini, generated = (spec.plan("train", 0) for spec in (MiniSpec(), GeneratedSpec()))
    names = ("motion_seed", "look_seed", "music_seed")
    seeds = {tuple(getattr(plan, n).generate_state(2)) for plan in (mini, generated) for n in names}
    assert len(seeds) == 6


@presets
@pytest.mark.parametrize("split", SPLITS)
def test_every_split_covers_tempos_and_genres(spec: SyntheticSpec, split: str) -> None:
    plans = [spec.plan(split, index) for index in range(min(spec.clips(split), 60))]
    low, high = spec.tempos.start, spec.tempos.stop
    thirds = np.histogram([plan.timing.bpm for plan in plans], bins=np.linspace(low, high, 4))[0]
    assert thirds.min() >= len(plans) // 4
    genres = STYLES if isinstance(spec, MiniSpec) else GENRES
    assert len({plan.genre for plan in plans}) >= (6 if isinstance(spec, MiniSpec) else len(genres) - 3)


@presets
def test_a_plan_depends_on_its_index_and_the_seed_only(spec: SyntheticSpec) -> None:
    small, other = dataclasses.replace(spec, train=5), dataclasses.replace(spec, seed=1)
    assert small.plan("train", 4).timing == spec.plan("train", 4).timing
    assert other.plan("train", 4).timing != spec.plan("train", 4).timing


@presets
def test_wrong_split_and_index_raise(spec: SyntheticSpec) -> None:
    for split, index, value in (("dev", 0, "'dev'"), ("train", spec.train, f"no clip {spec.train}")):
        with pytest.raises(CorpusError, match=value):
            spec.plan(split, index)
